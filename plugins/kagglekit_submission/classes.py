"""The forms of a CSV of classes: probabilities, names, ranked names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import BUILT_IN_METRICS, Competition, UserError, free_name, listing
from kagglekit_submission.rows import RENAME, needs_of, numeric, two_columns

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Task


FILL = (
    "check that the data are complete; to fill the columns of such classes, write a plugin with "
    "`kagglekit new NAME --from-data DIR`"
)


def one_column(competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Choose among the forms of one column: the metric decides where the sample's values fit several."""
    columns, classes = list(sample.columns), list(predictions.columns)
    values = sample.iloc[:, 1]
    labels, numbers = bool(values.isin(classes).all()), numeric(values)
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
        refuse_by_metric(competition, task, f"{what} the probability of one class")
        return probability_of_positive(predictions, columns, competition)
    if labels:
        return best_labels(predictions, columns, ranks_of(competition))
    several, known = [value.split() for value in values], set(classes)
    strange = dict.fromkeys(name for names in several for name in names if name not in known)
    if strange:
        raise _strange_values(columns[1], list(strange), classes)
    shown = max(len(names) for names in several)
    _refuse_several(competition, shown, columns[1])
    return best_labels(predictions, columns, max(ranks_of(competition), shown))


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
    return two_columns(predictions, columns, predictions[_positive(competition, predictions, columns[1])].to_numpy())


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
    return two_columns(predictions, columns, [" ".join(row) for row in names])


def _needs_probabilities(competition: Competition) -> bool:
    facts = BUILT_IN_METRICS.get(competition.metric)
    return facts is not None and facts.needs == "probabilities"


def ranks_of(competition: Competition) -> int:
    """Return the number of class names in a cell that the metric counts."""
    facts = BUILT_IN_METRICS.get(competition.metric)
    return facts.ranks if facts else 1


def _refuse_several(competition: Competition, shown: int, column: str) -> None:
    facts = BUILT_IN_METRICS.get(competition.metric)
    if shown > 1 and facts is not None and facts.needs == "a class":
        raise UserError(
            f"{competition.metric} is computed from one class name, but the column {column!r} of the sample submission "
            f"has {shown} in a cell",
            "set Competition.metric to the competition's own metric, such as map_at_5 for ranked names",
        )


def refuse_by_metric(competition: Competition, task: Task, what: str) -> None:
    """Refuse a CSV of probabilities, which `what` says, under a metric of class names.

    Raises:
        UserError: The metric is one.
    """
    if needs_of(competition, task) in ("a class", "ranked classes"):
        raise UserError(
            f"{competition.metric} is computed from class names, but {what}",
            "set Competition.metric to the competition's own metric, such as roc_auc, or, for a CSV of class names, "
            "remove Competition.positive and name the classes as the sample submission does",
        )


def strange_columns(columns: list[str], predictions: pd.DataFrame) -> UserError:
    """Return the error of a sample whose columns are not those of the predictions."""
    from kagglekit import difference

    wanted, known = set(columns[1:]), set(predictions.columns)
    if known < wanted:
        without = [name for name in columns[1:] if name not in known]
        return UserError(
            f"the sample submission has {_classes(without)} without a labelled image: {listing(without)}", FILL
        )
    if wanted < known:
        lacking = [name for name in predictions.columns if name not in wanted]
        return UserError(
            f"the sample submission has no column for {_classes(lacking)} of labelled images: {listing(lacking)}",
            "leave out their images in kagglekit_labels, or check that it is this competition's sample",
        )
    return UserError(
        f"the columns of the sample submission differ from the classes: {difference(columns[1:], predictions.columns)}",
        RENAME,
    )


def _classes(names: list[str]) -> str:
    return "1 class" if len(names) == 1 else f"{len(names)} classes"


def _strange_values(column: str, strange: list[str], classes: list[str]) -> UserError:
    return UserError(
        f"the column {column!r} of the sample submission has values that are not class names: "
        f"{listing(strange)}; the classes are {listing(classes)}",
        RENAME,
    )
