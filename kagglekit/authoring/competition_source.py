"""Write the facts of a plugin's competition: task and targets, metric, and what the CSV holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, target_of
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.detect.tables.target import Target, Task
from kagglekit.authoring.kaggle_metrics import RANKS_UNKNOWN
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.quoting import comment, literal
from kagglekit.types.metric import BUILT_IN_METRICS

USUAL_METRICS = ("log_loss", "roc_auc", "accuracy", "balanced_accuracy", "macro_f1", "quadratic_kappa", "map_at_5")
ROWS = "CHECK: images of one row of the CSV give their mean; max and noisy-or are the other ways"
TARGETS = "TARGETS"  # what the plugin calls the names of its targets
_ASKS = {
    "a column a class": "the probability of each class, a column a class",
    "probability of one class": "the probability of one of the two classes",
    "class names": "the name of the class",
    "a column a label": "the probability of each label, a column a label",
    "sets of labels": "the labels of each image in one cell",
    "a column a number": "numbers, a column each",
    "one number": "a number",
    "a column a target": "a column for each target",
    "a row a target": "a row for each image and target",
    "unknown": "an unknown form",
}
_GUESSES = {"regression": "rmse", "ordinal": "quadratic_kappa"}


def competition_source(facts: Facts, layout: DataLayout) -> str:
    """Return the arguments of `Competition` in a plugin, a line each."""
    metric, why = metric_of(facts, layout)
    lines = [f"title={literal(title_of(facts))},"]
    lines += (
        [f"slug={literal(facts.slug)},"] if facts.slug else ["# slug=...,  the name in Kaggle's addresses, to submit"]
    )
    lines += _task_lines(facts, layout)
    lines += [*comment(why), f"metric={literal(metric)},"]
    if layout.sample and layout.sample.form == "probability of one class":
        lines += _positive(layout.sample, layout.labels.classes)
    if layout.test and layout.test.labelled:
        lines += ["# test images are in class folders: their labels score finished predictions, and nothing else"]
        lines += ["known_test_labels=True,"]
    lines += ['licence="",  # CHECK: the terms that the images come under']
    return "\n".join(f"        {line}" for line in lines)


def title_of(facts: Facts) -> str:
    """Return the competition's title."""
    return facts.title or facts.name.replace("-", " ").capitalize()


def task_of(metric: str, labels: Labels) -> Task:
    """Return the task: grades 0, 1, 2, ... are ordered where the metric punishes distances."""
    task = target_of(labels).task
    ordered = task == "single-label" and metric == "quadratic_kappa" and are_grades(labels.classes)
    return "ordinal" if ordered else task


def are_grades(classes: Sequence[str]) -> bool:
    """Return whether the names of classes are whole numbers from 0, without a gap."""
    return all(name.isdecimal() for name in classes) and sorted(map(int, classes)) == list(range(len(classes)))


def ordinal_hint(classes: Sequence[str]) -> str:
    """Return what a metric of distances suggests for three or more classes that are grades; empty for others."""
    if len(classes) < 3 or not are_grades(classes):
        return ""
    return f"classes are the grades 0 to {len(classes) - 1}: task='ordinal' learns them as a number"


def named_targets(labels: Labels) -> tuple[str, ...]:
    """Return the targets that the plugin names: those with a column of their own in the image table."""
    return labels.targets if isinstance(labels, Table) else ()


def _task_lines(facts: Facts, layout: DataLayout) -> Iterator[str]:
    """Yield the arguments that say what is predicted; none for one label an image."""
    labels, target = layout.labels, target_of(layout.labels)
    task = task_of(facts.metric, labels)
    if task != "single-label":
        yield f"task={literal(task)},"
    if named_targets(labels):
        yield f"targets={TARGETS},"
    if target.kinds:
        yield f"kinds={{{', '.join(f'{literal(name)}: {literal(kind)}' for name, kind in target.kinds.items())}}},"
    if isinstance(labels, Table) and target.numbers and labels.low >= 0:
        yield from _bounds(labels)
    if layout.test and layout.test.listed and layout.test.listed.row_column:
        yield from (*comment(ROWS), 'rows="mean",')
    if layout.sample and layout.sample.form == "sets of labels" and layout.sample.separator != " ":
        yield f"separator={literal(layout.sample.separator)},"


def _bounds(labels: Table) -> list[str]:
    """Return the bounds of numbers none of which is negative."""
    shares = labels.high <= 1
    why = f"CHECK: no number in {labels.csv} is negative{' or above 1' if shares else ''}"
    return [*comment(why), f"bounds=(0, {1 if shares else None}),"]


def metric_of(facts: Facts, layout: DataLayout) -> tuple[str, str]:
    """Return the metric and a comment with the reason, which begins with CHECK if it is a guess."""
    sample = layout.sample
    if facts.metric:
        return _kaggles_metric(facts, layout)
    guess = _guess(sample, target_of(layout.labels))
    others = _others(guess, layout.labels)
    if facts.kaggle_metric:
        why = f"which no plugin computes{f': {facts.metric_note}' if facts.metric_note else ''}"
        return guess, f"CHECK: on Kaggle: {facts.kaggle_metric}, {why}; using this one ({others})"
    if sample is None or sample.form == "unknown":
        return guess, f"CHECK: the competition's metric is unknown ({others})"
    return guess, f"CHECK: guessed, because the sample submission asks for {asked_for(sample)} ({others})"


def _others(guess: str, labels: Labels) -> str:
    """Return the other metrics for the kind of task: of one label an image, which has many, the usual ones."""
    task = task_of(guess, labels)
    if task != "single-label":
        return f"others: {', '.join(name for name in _metrics_for(task) if name != guess) or 'a plugin'}"
    hint = ordinal_hint(labels.classes)
    usual = ", ".join(name for name in USUAL_METRICS if name != guess)
    return f"others: {usual}, ...{f'; with quadratic_kappa: {hint}' if hint else ''}"


def _metrics_for(task: Task) -> list[str]:
    return [name for name, facts in BUILT_IN_METRICS.items() if task in facts.tasks]


def _kaggles_metric(facts: Facts, layout: DataLayout) -> tuple[str, str]:
    """Return Kaggle's metric; if its name does not say how many ranks count, the sample submission does."""
    sample, why = layout.sample, f"on Kaggle: {facts.kaggle_metric}"
    if facts.metric_note == RANKS_UNKNOWN and sample and sample.names > 1:
        ranked = facts.metric.replace("5", str(sample.names))
        if ranked in BUILT_IN_METRICS:
            return ranked, f"{why}; {sample.name} has {sample.names} names in a cell"
    known, task = BUILT_IN_METRICS.get(facts.metric), task_of(facts.metric, layout.labels)
    if known and task not in known.tasks:
        fitting = _metrics_for(task)
        guess = _guess(sample, target_of(layout.labels))
        return guess, f"CHECK: {why}, which is not computed for the task {task}; these are: {', '.join(fitting)}"
    return facts.metric, f"CHECK: {why}; {facts.metric_note}" if facts.metric_note else why


def _guess(sample: Sample | None, target: Target) -> str:
    """Return a metric that fits what is predicted and the form of the sample submission."""
    form = sample.form if sample else "unknown"
    if target.task in _GUESSES:
        return _GUESSES[target.task]
    if target.task == "several":
        return "blocks_loss"
    if target.task == "multi-label":
        return "macro_f1" if form == "sets of labels" else "log_loss"
    if form in ("a column a class", "probability of one class"):
        return "log_loss"
    ranked = f"map_at_{sample.names}" if sample else ""
    return ranked if ranked in BUILT_IN_METRICS else "accuracy"


def asked_for(sample: Sample) -> str:
    """Return what the sample submission asks for, as a phrase."""
    if sample.names > 1:
        return f"the names of the {sample.names} likeliest classes"
    return _ASKS[sample.form]


def _positive(sample: Sample, classes: Sequence[str]) -> list[str]:
    if sample.positive:
        why = f"the column {sample.columns[1]!r} holds the probability of this class"
        return [*comment(why), f"positive={literal(sample.positive)},"]
    why = f"CHECK: the column {sample.columns[1]!r} holds the probability of {classes[0]!r} or of {classes[1]!r}"
    return [*comment(why), f"positive={literal(classes[1])},"]
