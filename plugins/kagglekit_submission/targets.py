"""The forms of a CSV of other targets: rows or columns for each, labels in a cell, numbers, grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, UserError, listing
from kagglekit_submission.classes import probability_of_each_class
from kagglekit_submission.rows import in_order_of, needs_of, numeric, two_columns

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Task


def row_of_each_target(predictions: pd.DataFrame, sample: pd.DataFrame) -> pd.DataFrame | None:
    """Return form 5: a row for each image and target, whose id is both; None if the sample has another form."""
    import pandas as pd

    from kagglekit import split_ids

    ids = sample.iloc[:, 0]
    if len(sample.columns) != 2 or ids.isin(predictions.index).any():
        return None
    pairs = split_ids(ids.tolist(), list(predictions.columns), predictions.index)
    if not pairs:
        return None
    images, names = zip(*pairs, strict=True)
    if strange := [image for image in dict.fromkeys(images) if image not in predictions.index]:
        raise UserError(
            f"the sample submission has rows of images that are no test images: {listing(strange)}",
            "return the ids from the labels hook as they are written there, without the target",
        )
    places = {name: place for place, name in enumerate(predictions.columns)}
    rows, columns = predictions.index.get_indexer(pd.Index(images)), [places[name] for name in names]
    return two_columns(ids.to_frame().set_index(ids), list(sample.columns), predictions.to_numpy()[rows, columns])


def refuse_strange_targets(sample: pd.DataFrame, predictions: pd.DataFrame, task: Task) -> None:
    """Refuse a row for each image and target if only some of the targets are ours.

    Raises:
        UserError: The ids name our images and some of our targets, in any case, but also others.
    """
    ids, targets = sample.iloc[:, 0], set(task.targets)
    if len(sample.columns) != 2 or ids.isin(predictions.index).any():
        return
    images = set(predictions.index)
    words = dict.fromkeys(word for each in ids if (word := _after_image(each, images, targets)))
    strange = [word for word in words if word not in targets]
    known = {word.casefold() for word in words} & {name.casefold() for name in targets}
    if known and strange:
        raise UserError(
            "the sample submission has a row for each image and target, but names after the images that are no "
            f"targets: {listing(strange)}; the targets are {listing(task.targets)}",
            "name the targets as the sample submission does, or implement kagglekit_submission in the competition's "
            "plugin",
        )


def _after_image(row: str, images: set[str], targets: set[str]) -> str:
    """Return the word that follows an image's id and a separator: a target if any does; empty if none does."""
    ends = (end for end, sign in enumerate(row) if not sign.isalnum() and row[:end] in images)
    words = [row[end:].lstrip(row[end]) for end in ends]
    return next((word for word in words if word in targets), words[-1] if words else "")


def value_of_each_target(predictions: pd.DataFrame, sample: pd.DataFrame, task: Task) -> pd.DataFrame | None:
    """Return form 7: a column, or a row, for each of several targets; None if the sample has another form."""
    from kagglekit import Several

    if not isinstance(task, Several):
        return None
    values = task.of_targets(predictions)
    if set(sample.columns[1:]) == set(values.columns):
        return probability_of_each_class(in_order_of(sample, values), list(sample.columns))
    return row_of_each_target(values, sample)


def one_cell(
    competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame, task: Task
) -> pd.DataFrame | None:
    """Return form 6: labels, a number or a grade in one cell; None for tasks whose cells are those of classes.

    Raises:
        UserError: The metric needs something else, or the sample has other labels.
    """
    columns, values = list(sample.columns), sample.iloc[:, 1]
    yes_or_no = _has_labels(task) and numeric(values) and not values.isin(task.columns).any()
    if len(predictions.columns) == 1 and (
        yes_or_no or needs_of(competition, task) in (None, "probabilities", "numbers")
    ):
        return two_columns(predictions, columns, predictions.iloc[:, 0].to_numpy())
    cells = task.cells(predictions, competition.separator)
    if cells is not None and needs_of(competition, task) == "probabilities":
        raise UserError(
            f"{competition.metric} is computed from probabilities, but the sample submission has one column, "
            f"{columns[1]!r}, for {task.describe()}",
            "set Competition.metric to the competition's own metric, such as sets_f1 for labels in a cell",
        )
    if cells is not None and _has_labels(task):
        _refuse_strange_labels(values, columns[1], competition.separator, task)
    return None if cells is None else two_columns(predictions, columns, cells)


def _has_labels(task: Task) -> bool:
    return "multi-label" in task.kinds()


def _refuse_strange_labels(values: pd.Series[str], column: str, separator: str, task: Task) -> None:
    names = dict.fromkeys(name.strip() for cell in values for name in cell.split(separator))
    strange = [name for name in names if name and name not in task.columns]
    if strange:
        raise UserError(
            f"the column {column!r} of the sample submission has values that are not labels: {listing(strange)}; the "
            f"labels, separated by {separator!r}, are {listing(task.columns)}",
            "set Competition.separator, name the labels as the sample does, or implement kagglekit_submission in the "
            "competition's plugin",
        )
