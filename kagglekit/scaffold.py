"""Writes a competition's plugin from what was recognised in its data folder."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from kagglekit.recognise import ClassFolders, Sample, Seen, TestImages
from kagglekit.recognise_csv import Table
from kagglekit.scaffold_text import COLUMNS, NAMES, PLUGIN, RECIPE

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


USUAL = Seen(ClassFolders("train", "valid", ("one", "other"), {"one": 0, "other": 0}), TestImages("test"), None, 0, ())
"""What is written about where no data folder was looked at."""


def plugin_text(facts: Facts, seen: Seen | None) -> str:
    """Return the source of a plugin, with comments that say what was recognised and what to check.

    Args:
        facts: Of the competition.
        seen: In its data folder; None where there was none to look at.
    """
    layout = seen or USUAL
    text = PLUGIN.substitute(
        title=_title(facts),
        name=facts.name,
        notes=_notes(_todo(layout, seen is None)),
        imports=", ".join(_imports(layout)),
        competition=_competition(facts, layout),
        labels=textwrap.indent("\n".join(_labels(layout, guessed=seen is None)), "    "),
        recipe=_recipe(layout),
        submission=_submission(layout.sample),
    )
    return text.rstrip() + "\n"


def _title(facts: Facts) -> str:
    return facts.title or facts.name.replace("-", " ").capitalize()


def _imports(seen: Seen) -> list[str]:
    own = ["unlabelled_images"] if _apart(seen) else []
    labels = "labels_from_folders" if isinstance(seen.labels, ClassFolders) else "labels_from_csv"
    return ["Competition", "Recipe", "hookimpl", labels, "progressive_stages", *own]


def _notes(notes: list[str]) -> str:
    return "\n".join(["", *(line for note in notes for line in _wrapped(note)), ""]) if notes else ""


def _todo(seen: Seen, guessed: bool) -> list[str]:
    """List what a person should look at."""
    first = (
        ["no data folder was looked at: the labels below are for train/CLASS/*.jpg and test/*.jpg"] if guessed else []
    )
    return [f"CHECK: {note}" for note in [*first, *seen.notes]]


def _competition(facts: Facts, seen: Seen) -> str:
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


def _metric(facts: Facts, seen: Seen) -> tuple[str, str]:
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


def _labels(seen: Seen, guessed: bool) -> Iterator[str]:
    """Yield the lines of the labels hook's body."""
    if not guessed:
        yield from _wrapped(_recognised(seen))
    call = _from_folders(seen) if isinstance(seen.labels, ClassFolders) else _from_csv(seen.labels, seen.test)
    if not (_apart(seen) or _renamed(seen)):
        yield f"return {call}"
        return
    yield f"table = {call}"
    if _renamed(seen) and seen.sample:
        yield "# sample_submission.csv spells these classes otherwise"
        yield "spelling = {"
        yield from (f"    {_quoted(ours)}: {_quoted(theirs)}," for ours, theirs in seen.sample.spelling.items())
        yield "}"
        yield 'table["label"] = table["label"].replace(spelling)'
    if not (_apart(seen) and seen.test):
        yield "return table"
        return
    yield f"test = unlabelled_images({_path(seen.test.folder)}, suffix={_suffix(seen.test)})"
    if seen.test.shared:
        yield 'test = test[~test["path"].isin(table["path"])]  # the folder holds the train images, too'
    yield "import pandas as pd"
    yield ""
    yield "return pd.concat([table, test], ignore_index=True)"


def _recognised(seen: Seen) -> str:
    labels, sample = seen.labels, seen.sample
    n, classes = sum(labels.counts.values()), labels.classes
    names = ", ".join(classes[:CLASSES_SHOWN]) + (", ..." if len(classes) > CLASSES_SHOWN else "")
    where = f"the folders in {labels.train or 'DIR'}" if isinstance(labels, ClassFolders) else labels.csv
    text = f"Recognised: {n:,} labelled images of {len(classes)} classes ({names}), from {where}; "
    text += f"test images in {seen.test.folder or 'DIR'}; " if seen.test else "no test images; "
    if sample is None:
        return f"{text}no sample_submission.csv."
    columns = ", ".join(sample.columns[:4]) + (", ..." if len(sample.columns) > 4 else "")
    return f"{text}sample_submission.csv asks for {_ASKS[sample.form]} ({columns})."


def _apart(seen: Seen) -> bool:
    """Tell whether the test images need a line of their own: their ids lack something else of the file names."""
    return isinstance(seen.labels, Table) and seen.test is not None and seen.test.suffix != seen.labels.suffix


def _renamed(seen: Seen) -> bool:
    return bool(seen.sample and seen.sample.spelling)


def _from_folders(seen: Seen) -> str:
    labels, test = seen.labels, seen.test
    assert isinstance(labels, ClassFolders)
    arguments = [_path(labels.train)]
    arguments += [f"valid={_path(labels.valid)}"] if labels.valid else []
    arguments += [f"test={_path(test.folder)}"] if test else []
    arguments += [f"suffix={_suffix(test)}"] if test and test.suffix is not None else []
    return _call("labels_from_folders", arguments)


def _from_csv(table: Table, test: TestImages | None) -> str:
    arguments = [_path(table.csv), f"images={_path(table.images)}", f'suffix="{table.suffix}"']
    arguments += [f"id_column={_quoted(table.id_column)}", f"label_column={_quoted(table.label_column)}"]
    ours = test if test and test.suffix == table.suffix else None
    if ours:
        arguments.append(f"test={_path(ours.folder)}")
    if table.unlabelled and not (ours and ours.shared):
        arguments.append("ignore_unlabelled=True")
    return _call("labels_from_csv", arguments)


def _call(function: str, arguments: list[str]) -> str:
    """Write a call on one line, or with a line for each argument."""
    short = f"{function}({', '.join(arguments)})"
    if len(short) <= 100:
        return short
    return f"{function}(" + "".join(f"\n    {argument}," for argument in arguments) + "\n)"


def _path(relative: str) -> str:
    return f"data / {_quoted(relative)}" if relative else "data"


def _suffix(test: TestImages) -> str:
    return "None" if test.suffix is None else _quoted(test.suffix)


def _recipe(seen: Seen) -> str:
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
