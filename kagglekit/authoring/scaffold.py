"""Write a competition's plugin from the layout of its data folder."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from kagglekit.authoring.competition_source import TARGETS, asked_for, competition_source, named_targets
from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.container_labels import Containers
from kagglekit.authoring.detect.layout import DataLayout, Labels, TestImages, count_labelled, target_of
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.labels_source import labels_source, used_functions
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.quoting import WIDTH, comment, list_literal, literal
from kagglekit.authoring.templates import COLUMNS, FILLED, NAMES, PLUGIN, RECIPE
from kagglekit.system.errors import listing

CLASSES_SHOWN = 6
# px. Images of 160 px gained on four sets when they were enlarged to 224 (docs/results.md). Smaller ones than this were
# not tried, and are trained at their own size.
LEAST_SIDE = 112
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
        targets=_targets(layout.labels),
        imports=", ".join(_imports(layout)),
        competition=competition_source(facts, layout),
        labels=textwrap.indent("\n".join(_labels(layout)), "    "),
        recipe=_recipe(layout),
        submission=_submission(layout),
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
        targets="",
        imports="Competition, Recipe, UserError, hookimpl, progressive_stages",
        competition=competition_source(facts, USUAL),
        labels=textwrap.indent("\n".join(labels), "    "),
        recipe=_recipe(USUAL),
        submission="",
    )
    return text.rstrip() + "\n"


def _imports(layout: DataLayout) -> list[str]:
    first, *more = sorted(used_functions(layout), key=lambda name: (not name.startswith("labels"), name))
    labels = [name for name in (first, *more) if name.startswith("labels")]
    others = [name for name in more if not name.startswith("labels")]
    return ["Competition", "Recipe", "hookimpl", *labels, "progressive_stages", *others]


def _notes(notes: list[str]) -> str:
    return "\n".join(["", *(line for note in notes for line in comment(note)), ""]) if notes else ""


def _targets(labels: Labels) -> str:
    """Return the line with the names of the targets, if the plugin names them."""
    names = named_targets(labels)
    if not names:
        return ""
    short = f"{TARGETS} = ({', '.join(map(literal, names))},)" if len(names) == 1 else ""
    short = short or f"{TARGETS} = ({', '.join(map(literal, names))})"
    if len(short) > WIDTH:
        short = f"{TARGETS} = (" + "".join(f"\n    {literal(name)}," for name in names) + "\n)"
    return f"\n{short}\n"


def _labels(layout: DataLayout) -> Iterator[str]:
    """Yield the lines of the labels hook's body."""
    if not layout.guessed:
        yield from comment(f"Detected: {summary(layout)}")
    yield from labels_source(layout)


def summary(layout: DataLayout) -> str:
    """Return what was detected, in one sentence."""
    labels, sample = layout.labels, layout.sample
    n, classes = count_labelled(labels), labels.classes
    names = ", ".join(classes[:CLASSES_SHOWN]) + (", ..." if len(classes) > CLASSES_SHOWN else "")
    text = f"{n:,} labelled images {_kind(labels)} ({names}), from {_where(labels)}; "
    folders = listing([folder or "DIR" for folder in layout.test.folders]) if layout.test else ""
    text += f"test images in {folders}; " if folders else "no test images; "
    if sample is None:
        return f"{text}no sample_submission.csv."
    columns = ", ".join(sample.columns[:4]) + (", ..." if len(sample.columns) > 4 else "")
    return f"{text}{sample.name} asks for {asked_for(sample)} ({columns})."


def _kind(labels: Labels) -> str:
    """Return what images are labelled with, as ``of 5 classes``."""
    n, task = len(labels.classes), target_of(labels).task
    if task == "multi-label":
        return f"with any of {n} labels"
    if task == "regression":
        return f"with {n} numbers each" if n > 1 else "with a number each"
    return f"with {n} targets each" if task == "several" else f"of {n} classes"


def _where(labels: Labels) -> str:
    if isinstance(labels, ClassFolders):
        return f"the folders in {labels.train or 'the data folder'}"
    if isinstance(labels, Table):
        hot = labels.one_hot or (labels.targets and labels.target.task == "multi-label" and not labels.long)
        return labels.csv + (" (columns of 0 and 1)" if hot else " (a row a target)" if labels.long else "")
    if isinstance(labels, Containers):
        return f"{labels.label_column} in {listing(labels.train, 3)}"
    return f"the file names in {labels.images or 'the data folder'}"


def _recipe(layout: DataLayout) -> str:
    whole = not layout.side or layout.side >= LEAST_SIDE  # then the sizes are those of the default recipe
    last = 224 if whole else max(64, -(-layout.side // 32) * 32)
    first = 160 if whole else round(last * 0.8 / 32) * 32
    n = count_labelled(layout.labels)
    batch = next((size for least, size in ((2000, 64), (500, 32), (100, 16)) if n >= least), 8) if n else 64
    sizes = f"({first}, {last})" if first < last else f"({last},)"
    sides = f"the network trains at {f'{first} px, then {last}' if first < last else last} px"
    usual = "head_size=224, cycles=1, " if whole else ""
    return RECIPE.substitute(
        why=f"# The images' median short side is {layout.side} px; {sides}." if layout.side else f"# {sides}",
        settings=usual + (f"batch_size={batch}, " if batch != 64 else ""),
        sizes=sizes,
    )


def _column_lines(columns: Sequence[str]) -> str:
    """Return a list literal of strings that is formatted as ruff does it."""
    short = list_literal(columns)
    if len(short) <= WIDTH:
        return short
    return "[" + "".join(f"\n        {literal(column)}," for column in columns) + "\n    ]"


def _classes(n: int) -> str:
    return "1 class" if n == 1 else f"{n} classes"


def _submission(layout: DataLayout) -> str:
    """Return a submission hook if kagglekit does not know how to fill the sample's columns, else nothing."""
    sample = layout.sample
    if sample and sample.unlabelled and sample.form == "a column a class":
        return FILLED.substitute(image=literal(sample.columns[0]), n=_classes(len(sample.unlabelled)))
    if sample is None or sample.form != "unknown" or target_of(layout.labels).task != "single-label":
        return ""
    image, *others = sample.columns
    if len(others) == 1:
        return NAMES.substitute(image=literal(image), value=literal(others[0]))
    return COLUMNS.substitute(image=literal(image), columns=_column_lines(others))
