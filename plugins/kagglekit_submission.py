"""Write the submission CSV in the form of the sample submission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import BUILT_IN_METRICS, Competition, UserError, free_name, hookimpl, listing

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Task

RENAME = "use its names for the classes, or implement kagglekit_submission in the competition's plugin"


def kagglekit_submission(
    competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame | None
) -> pd.DataFrame:
    """Return the predictions of one label an image in the form of the sample: for other plugins that call this one."""
    from kagglekit import SingleLabel

    return submission(competition, predictions, sample, SingleLabel(tuple(predictions.columns)))


@hookimpl(specname="kagglekit_submission")
def submission(
    competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame | None, task: Task
) -> pd.DataFrame:
    """Return the predictions in the form of the sample; the functions below list the forms."""
    if sample is None:
        return without_sample(competition, predictions, task)
    columns = list(sample.columns)
    if (rows := row_of_each_target(predictions, sample)) is not None:
        return rows
    if (values := value_of_each_target(predictions, sample, task)) is not None:
        return values
    _refuse_strange_targets(sample, predictions, task)
    ordered = _in_order_of(sample, predictions)
    if set(columns[1:]) == set(predictions.columns):
        _refuse_by_metric(competition, task, "the sample submission has a column of probabilities for each class")
        return probability_of_each_class(ordered, columns)
    if len(columns) != 2:
        raise _strange_columns(columns, predictions)
    in_cells = one_cell(competition, ordered, sample, task)
    return _one_column(competition, ordered, sample, task) if in_cells is None else in_cells


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
    return _rows(ids.to_frame().set_index(ids), list(sample.columns), predictions.to_numpy()[rows, columns])


def _refuse_strange_targets(sample: pd.DataFrame, predictions: pd.DataFrame, task: Task) -> None:
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
        return probability_of_each_class(_in_order_of(sample, values), list(sample.columns))
    return row_of_each_target(values, sample)


def one_cell(
    competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame, task: Task
) -> pd.DataFrame | None:
    """Return form 6: labels, a number or a grade in one cell; None for tasks whose cells are those of classes.

    Raises:
        UserError: The metric needs something else, or the sample has other labels.
    """
    columns, values = list(sample.columns), sample.iloc[:, 1]
    yes_or_no = _has_labels(task) and _numeric(values) and not values.isin(task.columns).any()
    if len(predictions.columns) == 1 and (yes_or_no or _needs(competition, task) in (None, "probabilities", "numbers")):
        return _rows(predictions, columns, predictions.iloc[:, 0].to_numpy())
    cells = task.cells(predictions, competition.separator)
    if cells is not None and _needs(competition, task) == "probabilities":
        raise UserError(
            f"{competition.metric} is computed from probabilities, but the sample submission has one column, "
            f"{columns[1]!r}, for {task.describe()}",
            "set Competition.metric to the competition's own metric, such as sets_f1 for labels in a cell",
        )
    if cells is not None and _has_labels(task):
        _refuse_strange_labels(values, columns[1], competition.separator, task)
    return None if cells is None else _rows(predictions, columns, cells)


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


def _needs(competition: Competition, task: Task) -> str | None:
    """Return what the CSV holds for the metric; None for a plugin's own."""
    from kagglekit import needs

    return needs(competition.metric, task.kinds())


def without_sample(competition: Competition, predictions: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Choose a form by the competition's facts; sort rows by id if all ids are integers.

    Raises:
        UserError: The facts contradict each other.
    """
    if all(str(image).isdecimal() for image in predictions.index):
        predictions = predictions.loc[sorted(predictions.index, key=int)]
    columns = free_columns(predictions)
    in_cell = _needs(competition, task) in ("labels", "a class", None)
    if in_cell and (cells := task.cells(predictions, competition.separator)) is not None:
        return _rows(predictions, columns, cells)
    if competition.positive is not None and len(predictions.columns) == 2:
        _refuse_by_metric(competition, task, "Competition.positive asks for the probability of one class")
        return probability_of_positive(predictions, columns, competition)
    if _needs(competition, task) in ("probabilities", "numbers"):
        return probability_of_each_class(predictions, [columns[0], *predictions.columns])
    return best_labels(predictions, columns, _ranks(competition))


def _needs_probabilities(competition: Competition) -> bool:
    facts = BUILT_IN_METRICS.get(competition.metric)
    return facts is not None and facts.needs == "probabilities"


def _ranks(competition: Competition) -> int:
    """Return the number of class names in a cell that the metric counts."""
    facts = BUILT_IN_METRICS.get(competition.metric)
    return facts.ranks if facts else 1


def free_columns(predictions: pd.DataFrame) -> list[str]:
    """Return names for the columns of ids and labels that no class has: a class may be called ``id``."""
    return [free_name(name, predictions.columns) for name in ("id", "label")]


def probability_of_each_class(predictions: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return form 1: the id and a column a class, in any order of the classes."""
    rows = predictions[columns[1:]].reset_index(names=columns[0])
    return rows.set_axis(columns, axis="columns")


def probability_of_positive(predictions: pd.DataFrame, columns: list[str], competition: Competition) -> pd.DataFrame:
    """Return form 2: the id and the probability of one of two classes.

    That class is `Competition.positive`, or the one that the column is named after, or 1 of 0 and 1.

    Raises:
        UserError: Neither names a class.
    """
    return _rows(predictions, columns, predictions[_positive(competition, predictions, columns[1])].to_numpy())


def _positive(competition: Competition, predictions: pd.DataFrame, column: str) -> str:
    classes = list(predictions.columns)
    ones = [name for name in classes if name.lower() in ("1", "1.0", "true")]
    zeros = [name for name in classes if name.lower() in ("0", "0.0", "false")]
    if competition.positive is None and column not in classes and len(ones) == len(zeros) == 1:
        return ones[0]
    positive = competition.positive or column
    if positive not in classes:
        raise UserError(
            f"the column {column!r} holds the probability of one class, but {positive!r} is not among {classes}",
            "set Competition.positive to that class; for a column of class names, set Competition.metric to the metric "
            "that ranks them, such as accuracy",
        )
    return positive


def best_labels(predictions: pd.DataFrame, columns: list[str], k: int) -> pd.DataFrame:
    """Return forms 3 and 4: the id and the names of the `k` likeliest classes, best first, separated by blanks.

    Raises:
        UserError: There are several in a cell, and a name has blanks itself.
    """
    if k > 1 and (blanks := [name for name in predictions.columns if len(name.split()) > 1]):
        raise UserError(f"{k} class names in a cell are separated by blanks, but {blanks[0]!r} has some itself", RENAME)
    likeliest = (-predictions.to_numpy()).argsort(axis=1, kind="stable")[:, :k]
    names = predictions.columns.to_numpy()[likeliest]
    return _rows(predictions, columns, [" ".join(row) for row in names])


def _one_column(competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Choose among the forms of one column: the metric decides where the sample's values fit several."""
    columns, classes = list(sample.columns), list(predictions.columns)
    values = sample.iloc[:, 1]
    labels, numbers = bool(values.isin(classes).all()), _numeric(values)
    if _needs_probabilities(competition) and len(classes) == 2:
        return probability_of_positive(predictions, columns, competition)
    if _needs_probabilities(competition) and competition.metric != "log_loss":  # log loss is the default: only a doubt
        raise UserError(
            f"{competition.metric} is computed from probabilities, but the sample submission has one column, "
            f"{columns[1]!r}, for {len(classes)} classes",
            "set Competition.metric to the competition's own metric",
        )
    if len(classes) == 2 and numbers and not (labels and competition.positive is None):
        what = "Competition.positive asks for" if labels else f"the column {columns[1]!r} of the sample submission has"
        _refuse_by_metric(competition, task, f"{what} the probability of one class")
        return probability_of_positive(predictions, columns, competition)
    if labels:
        return best_labels(predictions, columns, _ranks(competition))
    several, known = [value.split() for value in values], set(classes)
    strange = dict.fromkeys(name for names in several for name in names if name not in known)
    if strange:
        raise _strange_values(columns[1], list(strange), classes)
    shown = max(len(names) for names in several)
    _refuse_several(competition, shown, columns[1])
    return best_labels(predictions, columns, max(_ranks(competition), shown))


def _refuse_several(competition: Competition, shown: int, column: str) -> None:
    facts = BUILT_IN_METRICS.get(competition.metric)
    if shown > 1 and facts is not None and facts.needs == "a class":
        raise UserError(
            f"{competition.metric} is computed from one class name, but the column {column!r} of the sample submission "
            f"has {shown} in a cell",
            "set Competition.metric to the competition's own metric, such as map_at_5 for ranked names",
        )


def _refuse_by_metric(competition: Competition, task: Task, what: str) -> None:
    if _needs(competition, task) in ("a class", "ranked classes"):
        raise UserError(
            f"{competition.metric} is computed from class names, but {what}",
            "set Competition.metric to the competition's own metric, such as roc_auc, or, for a CSV of class names, "
            "remove Competition.positive and name the classes as the sample submission does",
        )


def _numeric(values: pd.Series[str]) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def _rows(predictions: pd.DataFrame, columns: list[str], values: object) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({columns[0]: predictions.index.to_numpy(), columns[1]: values}, columns=columns)


def _in_order_of(sample: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    from kagglekit import difference

    ids = sample.iloc[:, 0]
    if differences := difference(predictions.index, ids):
        raise UserError(
            f"the test images' ids differ from those of the sample submission: {differences}",
            "return the ids from the labels hook as they are written there: compare suffixes and leading zeros",
        )
    return predictions.loc[list(ids)]


def _strange_columns(columns: list[str], predictions: pd.DataFrame) -> UserError:
    from kagglekit import difference

    return UserError(
        f"the columns of the sample submission differ from the classes: {difference(columns[1:], predictions.columns)}",
        RENAME,
    )


def _strange_values(column: str, strange: list[str], classes: list[str]) -> UserError:
    return UserError(
        f"the column {column!r} of the sample submission has values that are not class names: "
        f"{listing(strange)}; the classes are {listing(classes)}",
        RENAME,
    )
