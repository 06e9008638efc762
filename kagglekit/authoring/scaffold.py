"""Writes a competition's plugin from what was recognised in its data folder."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.csv_labels import Table
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestImages
from kagglekit.authoring.templates import COLUMNS, NAMES, PLUGIN, RECIPE

CLASSES_SHOWN = 6
_ASKS = {
    "a column a class": "the probability of each class, a column a class",
    "probability of one class": "the probability of one of the two classes",
    "class names": "the name of the class",
    "unknown": "something that was not recognised",
}


@dataclass(frozen=True)
class Facts:
    """What is known of a competition besides its data.

    Attributes:
        name: Short name, which is the plugin's.
        slug: Its name in Kaggle's addresses; empty if it is not there.
        title: As people know it.
        metric: One of kagglekit's metrics; empty where it is not known.
        said: Kaggle's own name for the metric; empty where Kaggle was not asked.
    """

    name: str
    slug: str = ""
    title: str = ""
    metric: str = ""
    said: str = ""


USUAL = DataLayout(
    ClassFolders("train", "valid", ("one", "other"), {"one": 0, "other": 0}),
    TestImages("test"),
    None,
    0,
    ("no data folder was looked at: the labels below are for train/CLASS/*.jpg and test/*.jpg",),
    guessed=True,
)
"""What is written about where no data folder was looked at."""


def plugin_text(facts: Facts, seen: DataLayout) -> str:
    """Return the source of a plugin, with comments that say what was recognised and what to check.

    Args:
        facts: Of the competition.
        seen: In its data folder; `USUAL` where there was none to look at.
    """
    text = PLUGIN.substitute(
        title=_title(facts),
        name=facts.name,
        notes=_notes([f"CHECK: {note}" for note in seen.notes]),
        imports=", ".join(_imports(seen)),
        competition=_competition(facts, seen),
        labels=textwrap.indent("\n".join(_labels(seen)), "    "),
        recipe=_recipe(seen),
        submission=_submission(seen.sample),
    )
    return text.rstrip() + "\n"


def _title(facts: Facts) -> str:
    return facts.title or facts.name.replace("-", " ").capitalize()


def _imports(seen: DataLayout) -> list[str]:
    own = ["unlabelled_images"] if _apart(seen) else []
    return ["Competition", "Recipe", "hookimpl", _helper(seen.labels), "progressive_stages", *own]


def _helper(labels: Labels) -> str:
    """Return the function of kagglekit that reads such labels."""
    if isinstance(labels, ClassFolders):
        return "labels_from_folders"
    return "labels_from_csv" if isinstance(labels, Table) else "labels_from_names"


def _notes(notes: list[str]) -> str:
    return "\n".join(["", *(line for note in notes for line in _wrapped(note)), ""]) if notes else ""


def _competition(facts: Facts, seen: DataLayout) -> str:
    metric, why = _metric(facts, seen)
    lines = [f"title={_quoted(_title(facts))},"]
    lines += (
        [f"slug={_quoted(facts.slug)},"] if facts.slug else ["# slug=...,  its name in Kaggle's addresses, to submit"]
    )
    lines += [*_wrapped(why), f'metric="{metric}",']
    if seen.sample and seen.sample.form == "probability of one class":
        lines += _positive(seen.sample, seen.labels.classes)
    if seen.test and seen.test.labelled:
        lines += ["# the test images lie in class folders: their labels score finished predictions, nothing else"]
        lines += ["known_test_labels=True,"]
    lines += ['licence="",  # CHECK: the terms that the images come under']
    return "\n".join(f"        {line}" for line in lines)


def _metric(facts: Facts, seen: DataLayout) -> tuple[str, str]:
    """Return the metric and a comment that says why it is this one."""
    form = seen.sample.form if seen.sample else "unknown"
    guess = "log_loss" if form in ("a column a class", "probability of one class") else "accuracy"
    others = "others: log_loss, accuracy, balanced_accuracy, roc_auc, macro_f1"
    if facts.metric:
        return facts.metric, f"Kaggle says {facts.said}"
    if facts.said:
        return guess, f"CHECK: Kaggle says {facts.said}, which no plugin computes; this is reported instead ({others})"
    if form == "unknown":
        return guess, f"CHECK: what ranks submissions is not known ({others})"
    return guess, f"CHECK: a guess, since sample_submission.csv asks for {_ASKS[form]} ({others})"


def _positive(sample: Sample, classes: tuple[str, ...]) -> list[str]:
    if sample.positive:
        return [
            f"# the column {sample.columns[1]!r} takes the probability of this class",
            f"positive={_quoted(sample.positive)},",
        ]
    return [
        f"# CHECK: the column {sample.columns[1]!r} takes the probability of one of {classes[0]!r} and {classes[1]!r}",
        f"positive={_quoted(classes[1])},",
    ]


def _labels(seen: DataLayout) -> Iterator[str]:
    """Yield the lines of the labels hook's body."""
    if not seen.guessed:
        yield from _wrapped(_recognised(seen))
    call = _call(_helper(seen.labels), _arguments(seen))
    if not (_apart(seen) or _renamed(seen)):
        yield f"return {call}"
        return
    yield f"table = {call}"
    if _renamed(seen) and seen.sample:
        yield "# sample_submission.csv spells these classes otherwise"
        yield "spelling = {"
        yield from (f"    {_quoted(ours)}: {_quoted(theirs)}," for ours, theirs in _spelling(seen.sample, seen.labels))
        yield "}"
        yield 'table["label"] = table["label"].replace(spelling)'
    if not (_apart(seen) and seen.test):
        yield "return table"
        return
    yield f"test = unlabelled_images({_path(seen.test.folder)}, suffix={_suffix(seen.test)})"
    if seen.test.prefix:
        yield f'test["id"] = {_quoted(seen.test.prefix)} + test["id"]  # as sample_submission.csv writes them'
    if seen.test.shared:
        yield 'test = test[~test["path"].isin(table["path"])]  # the folder holds the train images, too'
    yield "import pandas as pd"
    yield ""
    yield "return pd.concat([table, test], ignore_index=True)"


def _spelling(sample: Sample, labels: Labels) -> Iterator[tuple[str, str]]:
    """Yield the classes that are spelt otherwise; those whose spelling is not known, too, where names are written."""
    for name in labels.classes:
        if name in sample.spelling or sample.form == "class names":
            yield name, sample.spelling.get(name, name)


def _recognised(seen: DataLayout) -> str:
    labels, sample = seen.labels, seen.sample
    n, classes = sum(labels.counts.values()), labels.classes
    names = ", ".join(classes[:CLASSES_SHOWN]) + (", ..." if len(classes) > CLASSES_SHOWN else "")
    text = f"Recognised: {n:,} labelled images of {len(classes)} classes ({names}), from {_where(labels)}; "
    text += f"test images in {seen.test.folder or 'DIR'}; " if seen.test else "no test images; "
    if sample is None:
        return f"{text}no sample_submission.csv."
    columns = ", ".join(sample.columns[:4]) + (", ..." if len(sample.columns) > 4 else "")
    return f"{text}sample_submission.csv asks for {_ASKS[sample.form]} ({columns})."


def _where(labels: Labels) -> str:
    if isinstance(labels, ClassFolders):
        return f"the folders in {labels.train or 'DIR'}"
    return labels.csv if isinstance(labels, Table) else f"the file names in {labels.images or 'DIR'}"


def _apart(seen: DataLayout) -> bool:
    """Tell whether the test images need a line of their own: folder or suffix are not what the labels' helper takes."""
    if seen.test is None or seen.test.prefix:
        return seen.test is not None
    if isinstance(seen.labels, Table):
        return seen.test.suffix != seen.labels.suffix
    return not isinstance(seen.labels, ClassFolders) and (seen.test.shared or seen.test.suffix == "")


def _renamed(seen: DataLayout) -> bool:
    return bool(seen.sample and seen.sample.spelling)


def _arguments(seen: DataLayout) -> Iterator[str]:
    """Yield what the labels' helper is given."""
    labels, test = seen.labels, None if _apart(seen) else seen.test
    if isinstance(labels, ClassFolders):
        yield _path(labels.train)
        if labels.valid:
            yield f"valid={_path(labels.valid)}"
    elif isinstance(labels, Table):
        yield from (_path(labels.csv), f"images={_path(labels.images)}", f'suffix="{labels.suffix}"')
        yield from (f"id_column={_quoted(labels.id_column)}", f"label_column={_quoted(labels.label_column)}")
    else:
        yield from (_path(labels.images), f'r"{labels.pattern}"')
    if test:
        yield f"test={_path(test.folder)}"
        if isinstance(labels, ClassFolders) and test.suffix is not None:
            yield f"suffix={_suffix(test)}"
    if isinstance(labels, Table) and labels.unlabelled and not (test and test.shared):
        yield "ignore_unlabelled=True"


def _call(function: str, arguments: Iterable[str]) -> str:
    """Write a call on one line, or with a line for each argument."""
    arguments = list(arguments)
    short = f"{function}({', '.join(arguments)})"
    if len(short) <= 100:
        return short
    return f"{function}(" + "".join(f"\n    {argument}," for argument in arguments) + "\n)"


def _path(relative: str) -> str:
    return f"data / {_quoted(relative)}" if relative else "data"


def _suffix(test: TestImages) -> str:
    return "None" if test.suffix is None else _quoted(test.suffix)


def _recipe(seen: DataLayout) -> str:
    last = min(160, max(64, -(-seen.side // 32) * 32)) if seen.side else 160
    first = round(last * 0.8 / 32) * 32
    n = sum(seen.labels.counts.values())
    batch = next((size for least, size in ((2000, 64), (500, 32), (100, 16)) if n >= least), 8) if n else 64
    sizes = f"({first}, {last})" if first < last else f"({last},)"
    shown = f"the network sees {f'{first} px, then {last}' if first < last else last} px"
    return RECIPE.substitute(
        why=f"# The pictures' short side is {seen.side} px in the middle; {shown}." if seen.side else f"# {shown}",
        batch=f"batch_size={batch}, " if batch != 64 else "",
        sizes=sizes,
    )


def _submission(sample: Sample | None) -> str:
    """Write a submission hook only where the form of sample_submission.csv is none that kagglekit knows."""
    if sample is None or sample.form != "unknown":
        return ""
    return NAMES if len(sample.columns) == 2 else COLUMNS


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
