"""Write a competition's plugin from the layout of its data folder."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.csv_labels import Table
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestImages
from kagglekit.authoring.quoting import comment, literal
from kagglekit.authoring.templates import COLUMNS, NAMES, PLUGIN, RECIPE

CLASSES_SHOWN = 6
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
    """

    name: str
    slug: str = ""
    title: str = ""
    metric: str = ""
    kaggle_metric: str = ""


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


def _title(facts: Facts) -> str:
    return facts.title or facts.name.replace("-", " ").capitalize()


def _imports(layout: DataLayout) -> list[str]:
    own = ["unlabelled_images"] if _needs_own_test_rows(layout) else []
    return ["Competition", "Recipe", "hookimpl", _reader(layout.labels), "progressive_stages", *own]


def _reader(labels: Labels) -> str:
    """Return the name of kagglekit's function that reads these labels."""
    if isinstance(labels, ClassFolders):
        return "labels_from_folders"
    return "labels_from_csv" if isinstance(labels, Table) else "labels_from_names"


def _notes(notes: list[str]) -> str:
    return "\n".join(["", *(line for note in notes for line in comment(note)), ""]) if notes else ""


def _competition(facts: Facts, layout: DataLayout) -> str:
    metric, why = _metric(facts, layout)
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


def _metric(facts: Facts, layout: DataLayout) -> tuple[str, str]:
    """Return the metric and a comment with the reason."""
    form = layout.sample.form if layout.sample else "unknown"
    guess = "log_loss" if form in ("a column a class", "probability of one class") else "accuracy"
    others = "others: log_loss, accuracy, balanced_accuracy, roc_auc, macro_f1"
    if facts.metric:
        return facts.metric, f"on Kaggle: {facts.kaggle_metric}"
    if facts.kaggle_metric:
        return guess, f"CHECK: on Kaggle: {facts.kaggle_metric}, which no plugin computes; using this one ({others})"
    if form == "unknown":
        return guess, f"CHECK: the competition's metric is unknown ({others})"
    return guess, f"CHECK: guessed, because sample_submission.csv asks for {_ASKS[form]} ({others})"


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
    call = _call(_reader(layout.labels), _arguments(layout))
    if not (_needs_own_test_rows(layout) or _renamed(layout)):
        yield f"return {call}"
        return
    yield f"table = {call}"
    if _renamed(layout) and layout.sample:
        yield "# sample_submission.csv spells these classes differently"
        yield "spelling = {"
        yield from (
            f"    {literal(ours)}: {literal(theirs)}," for ours, theirs in _spelling(layout.sample, layout.labels)
        )
        yield "}"
        yield 'table["label"] = table["label"].replace(spelling)'
    if not (_needs_own_test_rows(layout) and layout.test):
        yield "return table"
        return
    yield f"test = unlabelled_images({_path(layout.test.folder)}, suffix={_suffix(layout.test)})"
    if layout.test.prefix:
        yield f'test["id"] = {literal(layout.test.prefix)} + test["id"]  # as in sample_submission.csv'
    if layout.test.shared:
        yield 'test = test[~test["path"].isin(table["path"])]  # the folder holds the train images too'
    yield "import pandas as pd"
    yield ""
    yield "return pd.concat([table, test], ignore_index=True)"


def _spelling(sample: Sample, labels: Labels) -> Iterator[tuple[str, str]]:
    """Yield our name and the sample's name of each class to rename.

    Where the CSV holds class names, yield the classes of unknown spelling too.
    """
    for name in labels.classes:
        if name in sample.spelling or sample.form == "class names":
            yield name, sample.spelling.get(name, name)


def summary(layout: DataLayout) -> str:
    """Return what was detected, in one sentence."""
    labels, sample = layout.labels, layout.sample
    n, classes = sum(labels.counts.values()), labels.classes
    names = ", ".join(classes[:CLASSES_SHOWN]) + (", ..." if len(classes) > CLASSES_SHOWN else "")
    text = f"{n:,} labelled images of {len(classes)} classes ({names}), from {_where(labels)}; "
    text += f"test images in {layout.test.folder or 'DIR'}; " if layout.test else "no test images; "
    if sample is None:
        return f"{text}no sample_submission.csv."
    columns = ", ".join(sample.columns[:4]) + (", ..." if len(sample.columns) > 4 else "")
    return f"{text}sample_submission.csv asks for {_ASKS[sample.form]} ({columns})."


def _where(labels: Labels) -> str:
    if isinstance(labels, ClassFolders):
        return f"the folders in {labels.train or 'DIR'}"
    return labels.csv if isinstance(labels, Table) else f"the file names in {labels.images or 'DIR'}"


def _needs_own_test_rows(layout: DataLayout) -> bool:
    """Return whether the test images need their own call: the labels' function cannot take their folder or suffix."""
    if layout.test is None or layout.test.prefix:
        return layout.test is not None
    if isinstance(layout.labels, Table):
        return layout.test.suffix != layout.labels.suffix
    return not isinstance(layout.labels, ClassFolders) and (layout.test.shared or layout.test.suffix == "")


def _renamed(layout: DataLayout) -> bool:
    return bool(layout.sample and layout.sample.spelling)


def _arguments(layout: DataLayout) -> Iterator[str]:
    """Yield the arguments of the labels' function."""
    labels, test = layout.labels, None if _needs_own_test_rows(layout) else layout.test
    if isinstance(labels, ClassFolders):
        yield _path(labels.train)
        if labels.valid:
            yield f"valid={_path(labels.valid)}"
    elif isinstance(labels, Table):
        yield from (_path(labels.csv), f"images={_path(labels.images)}", f"suffix={literal(labels.suffix)}")
        yield from (f"id_column={literal(labels.id_column)}", f"label_column={literal(labels.label_column)}")
    else:
        yield from (_path(labels.images), f'r"{labels.pattern}"')
    if test:
        yield f"test={_path(test.folder)}"
        if isinstance(labels, ClassFolders) and test.suffix is not None:
            yield f"suffix={_suffix(test)}"
    if isinstance(labels, Table) and labels.unlabelled and not (test and test.shared):
        yield "ignore_unlabelled=True"


def _call(function: str, arguments: Iterable[str]) -> str:
    """Return a call on one line, or with one line for each argument."""
    arguments = list(arguments)
    short = f"{function}({', '.join(arguments)})"
    if len(short) <= 100:
        return short
    return f"{function}(" + "".join(f"\n    {argument}," for argument in arguments) + "\n)"


def _path(relative: str) -> str:
    return f"data / {literal(relative)}" if relative else "data"


def _suffix(test: TestImages) -> str:
    return "None" if test.suffix is None else literal(test.suffix)


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


def _submission(sample: Sample | None) -> str:
    """Return a submission hook if kagglekit does not know the form of sample_submission.csv, else nothing."""
    if sample is None or sample.form != "unknown":
        return ""
    return NAMES if len(sample.columns) == 2 else COLUMNS
