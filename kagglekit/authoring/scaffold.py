"""Write a competition's plugin from the layout of its data folder."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.container_labels import Containers
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestImages
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.kaggle_metrics import RANKS_UNKNOWN
from kagglekit.authoring.labels_source import labels_source, used_functions
from kagglekit.authoring.quoting import WIDTH, comment, list_literal, literal
from kagglekit.authoring.templates import COLUMNS, NAMES, PLUGIN, RECIPE
from kagglekit.system.errors import listing
from kagglekit.types.metric import BUILT_IN_METRICS

CLASSES_SHOWN = 6
OTHERS = "others: log_loss, roc_auc, accuracy, balanced_accuracy, macro_f1, quadratic_kappa, map_at_5, ..."
_COLUMNS = 'images=data / "FOLDER", id_column="COLUMN", label_column="COLUMN"'
_EXAMPLES = {
    "labels_from_csv": f'labels_from_csv(data / "FILE.csv", {_COLUMNS}, test=data / "FOLDER")',
    "labels_from_json": f'labels_from_json(data / "FILE.json", {_COLUMNS}, test=data / "FOLDER")',
    "labels_from_containers": 'labels_from_containers(data / "FILE", label_column="COLUMN", test=data / "FILE")',
    "labels_from_list": 'labels_from_list({"train": data / "LIST.txt"}, images=data / "FOLDER")',
    "labels_from_mat": (
        'labels_from_mat(data / "LABELS.mat", data / "SPLITS.mat", images=data / "FOLDER", '
        'name="image_{:05d}.jpg", variables={"trnid": "train"})'
    ),
    "unlabelled_images": 'pd.concat([labels, unlabelled_images(data / "FOLDER")], ignore_index=True)',
}
_ASKS = {
    "a column a class": "the probability of each class, a column a class",
    "probability of one class": "the probability of one of the two classes",
    "class names": "the name of the class",
    "unknown": "an unknown form",
}


@dataclass(frozen=True)
class Facts:
    """Facts of a competition besides its data.

    Attributes:
        name: The plugin's name.
        slug: Its name in Kaggle's addresses; empty if it is not on Kaggle.
        title: For people; empty for one derived from the name.
        metric: One of kagglekit's metrics; empty if unknown.
        kaggle_metric: Kaggle's own name for the metric; empty if Kaggle was not asked.
        metric_note: What to check about it, or why none of kagglekit's fits; may be empty.
    """

    name: str
    slug: str = ""
    title: str = ""
    metric: str = ""
    kaggle_metric: str = ""
    metric_note: str = ""


USUAL = DataLayout(
    ClassFolders("train", "valid", ("one", "other"), {"one": 0, "other": 0}),
    TestImages("test"),
    None,
    0,
    ("no data folder was given: the labels below are for train/CLASS/*.jpg and test/*.jpg",),
    guessed=True,
)
"""The layout of a plugin that is written without a data folder."""


def plugin_text(facts: Facts, layout: DataLayout, called: str = "") -> str:
    """Return the source of a plugin; its comments say what was detected and what to check.

    Args:
        facts: The competition's.
        layout: Of its data folder; `USUAL` without one.
        called: What commands call the plugin; empty for ``./NAME.py``.
    """
    text = PLUGIN.substitute(
        name=facts.name,
        called=called or f"./{facts.name}.py",
        notes=_notes([f"CHECK: {note}" for note in layout.notes]),
        imports=", ".join(_imports(layout)),
        competition=_competition(facts, layout),
        labels=textwrap.indent("\n".join(_labels(layout)), "    "),
        recipe=_recipe(layout),
        submission=_submission(layout.sample),
    )
    return text.rstrip() + "\n"


def skeleton_text(facts: Facts, found: Sequence[str], helper: str) -> str:
    """Return the source of a plugin whose labels hook is still to be written: until then it raises an error.

    Args:
        facts: The competition's.
        found: What is in the data folder and what is missing, as sentences.
        helper: The function of kagglekit that comes nearest to the labels.
    """
    why = [f"CHECK: no labels were recognised: {found[0]}", *found[1:]]
    labels = [
        *comment(f"Write this hook, for example with kagglekit's {helper}:"),
        f"# return {_EXAMPLES[helper]}",
        "raise UserError(",
        f'    "kagglekit_labels of {facts.name}.py is not written yet",',
        '    "docs/how-to/competition.md shows what it returns",',
        ")",
    ]
    text = PLUGIN.substitute(
        name=facts.name,
        called=f"./{facts.name}.py",
        notes=_notes(why),
        imports="Competition, Recipe, UserError, hookimpl, progressive_stages",
        competition=_competition(facts, USUAL),
        labels=textwrap.indent("\n".join(labels), "    "),
        recipe=_recipe(USUAL),
        submission="",
    )
    return text.rstrip() + "\n"


def _title(facts: Facts) -> str:
    return facts.title or facts.name.replace("-", " ").capitalize()


def _imports(layout: DataLayout) -> list[str]:
    first, *more = sorted(used_functions(layout), key=lambda name: (not name.startswith("labels"), name))
    labels = [name for name in (first, *more) if name.startswith("labels")]
    others = [name for name in more if not name.startswith("labels")]
    return ["Competition", "Recipe", "hookimpl", *labels, "progressive_stages", *others]


def _notes(notes: list[str]) -> str:
    return "\n".join(["", *(line for note in notes for line in comment(note)), ""]) if notes else ""


def _competition(facts: Facts, layout: DataLayout) -> str:
    metric, why = metric_of(facts, layout)
    lines = [f"title={literal(_title(facts))},"]
    lines += (
        [f"slug={literal(facts.slug)},"] if facts.slug else ["# slug=...,  the name in Kaggle's addresses, to submit"]
    )
    lines += [*comment(why), f"metric={literal(metric)},"]
    if layout.sample and layout.sample.form == "probability of one class":
        lines += _positive(layout.sample, layout.labels.classes)
    if layout.test and layout.test.labelled:
        lines += ["# test images are in class folders: their labels score finished predictions, and nothing else"]
        lines += ["known_test_labels=True,"]
    lines += ['licence="",  # CHECK: the terms that the images come under']
    return "\n".join(f"        {line}" for line in lines)


def metric_of(facts: Facts, layout: DataLayout) -> tuple[str, str]:
    """Return the metric and a comment with the reason, which begins with CHECK if it is a guess."""
    sample = layout.sample
    if facts.metric:
        return _kaggles_metric(facts, sample)
    guess = _guess(sample)
    if facts.kaggle_metric:
        why = f"which no plugin computes{f': {facts.metric_note}' if facts.metric_note else ''}"
        return guess, f"CHECK: on Kaggle: {facts.kaggle_metric}, {why}; using this one ({OTHERS})"
    if sample is None or sample.form == "unknown":
        return guess, f"CHECK: the competition's metric is unknown ({OTHERS})"
    return guess, f"CHECK: guessed, because the sample submission asks for {_asks(sample)} ({OTHERS})"


def _kaggles_metric(facts: Facts, sample: Sample | None) -> tuple[str, str]:
    """Return Kaggle's metric; if its name does not say how many ranks count, the sample submission does."""
    why = f"on Kaggle: {facts.kaggle_metric}"
    if facts.metric_note == RANKS_UNKNOWN and sample and sample.names > 1:
        ranked = facts.metric.replace("5", str(sample.names))
        if ranked in BUILT_IN_METRICS:
            return ranked, f"{why}; {sample.name} has {sample.names} names in a cell"
    return facts.metric, f"CHECK: {why}; {facts.metric_note}" if facts.metric_note else why


def _guess(sample: Sample | None) -> str:
    """Return a metric that fits the form of the sample submission."""
    form = sample.form if sample else "unknown"
    if form in ("a column a class", "probability of one class"):
        return "log_loss"
    ranked = f"map_at_{sample.names}" if sample else ""
    return ranked if ranked in BUILT_IN_METRICS else "accuracy"


def _asks(sample: Sample) -> str:
    if sample.names > 1:
        return f"the names of the {sample.names} likeliest classes"
    return _ASKS[sample.form]


def _positive(sample: Sample, classes: tuple[str, ...]) -> list[str]:
    if sample.positive:
        why = f"the column {sample.columns[1]!r} holds the probability of this class"
        return [*comment(why), f"positive={literal(sample.positive)},"]
    why = f"CHECK: the column {sample.columns[1]!r} holds the probability of {classes[0]!r} or of {classes[1]!r}"
    return [*comment(why), f"positive={literal(classes[1])},"]


def _labels(layout: DataLayout) -> Iterator[str]:
    """Yield the lines of the labels hook's body."""
    if not layout.guessed:
        yield from comment(f"Detected: {summary(layout)}")
    yield from labels_source(layout)


def summary(layout: DataLayout) -> str:
    """Return what was detected, in one sentence."""
    labels, sample = layout.labels, layout.sample
    n, classes = sum(labels.counts.values()), labels.classes
    names = ", ".join(classes[:CLASSES_SHOWN]) + (", ..." if len(classes) > CLASSES_SHOWN else "")
    text = f"{n:,} labelled images of {len(classes)} classes ({names}), from {_where(labels)}; "
    folders = listing([folder or "DIR" for folder in layout.test.folders]) if layout.test else ""
    text += f"test images in {folders}; " if folders else "no test images; "
    if sample is None:
        return f"{text}no sample_submission.csv."
    columns = ", ".join(sample.columns[:4]) + (", ..." if len(sample.columns) > 4 else "")
    return f"{text}{sample.name} asks for {_asks(sample)} ({columns})."


def _where(labels: Labels) -> str:
    if isinstance(labels, ClassFolders):
        return f"the folders in {labels.train or 'the data folder'}"
    if isinstance(labels, Table):
        return labels.csv + (" (columns of 0 and 1)" if labels.one_hot else "")
    if isinstance(labels, Containers):
        return f"{labels.label_column} in {listing(labels.train, 3)}"
    return f"the file names in {labels.images or 'the data folder'}"


def _recipe(layout: DataLayout) -> str:
    last = min(160, max(64, -(-layout.side // 32) * 32)) if layout.side else 160
    first = round(last * 0.8 / 32) * 32
    n = sum(layout.labels.counts.values())
    batch = next((size for least, size in ((2000, 64), (500, 32), (100, 16)) if n >= least), 8) if n else 64
    sizes = f"({first}, {last})" if first < last else f"({last},)"
    sides = f"the network trains at {f'{first} px, then {last}' if first < last else last} px"
    return RECIPE.substitute(
        why=f"# The images' median short side is {layout.side} px; {sides}." if layout.side else f"# {sides}",
        batch=f"batch_size={batch}, " if batch != 64 else "",
        sizes=sizes,
    )


def _column_lines(columns: Sequence[str]) -> str:
    """Return a list literal of strings that is formatted as ruff does it."""
    short = list_literal(columns)
    if len(short) <= WIDTH:
        return short
    return "[" + "".join(f"\n        {literal(column)}," for column in columns) + "\n    ]"


def _submission(sample: Sample | None) -> str:
    """Return a submission hook if kagglekit does not know the form of the sample, else nothing."""
    if sample is None or sample.form != "unknown":
        return ""
    image, *others = sample.columns
    if len(others) == 1:
        return NAMES.substitute(image=literal(image), value=literal(others[0]))
    return COLUMNS.substitute(image=literal(image), columns=_column_lines(others))
