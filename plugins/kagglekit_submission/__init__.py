"""Write the submission CSV in the form of the sample submission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, hookimpl
from kagglekit_submission.classes import (
    best_labels,
    free_columns,
    one_column,
    probability_of_each_class,
    probability_of_positive,
    ranks_of,
    refuse_by_metric,
    strange_columns,
)
from kagglekit_submission.rows import in_order_of, needs_of, two_columns
from kagglekit_submission.targets import one_cell, refuse_strange_targets, row_of_each_target, value_of_each_target

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Task


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
    refuse_strange_targets(sample, predictions, task)
    ordered = in_order_of(sample, predictions)
    if set(columns[1:]) == set(predictions.columns):
        refuse_by_metric(competition, task, "the sample submission has a column of probabilities for each class")
        return probability_of_each_class(ordered, columns)
    if len(columns) != 2:
        raise strange_columns(columns, predictions)
    in_cells = one_cell(competition, ordered, sample, task)
    return one_column(competition, ordered, sample, task) if in_cells is None else in_cells


def without_sample(competition: Competition, predictions: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Choose a form by the competition's facts; sort rows by id if all ids are integers.

    Raises:
        UserError: The facts contradict each other.
    """
    if all(str(image).isdecimal() for image in predictions.index):
        predictions = predictions.loc[sorted(predictions.index, key=int)]
    columns = free_columns(predictions)
    in_cell = needs_of(competition, task) in ("labels", "a class", None)
    if in_cell and (cells := task.cells(predictions, competition.separator)) is not None:
        return two_columns(predictions, columns, cells)
    if competition.positive is not None and len(predictions.columns) == 2:
        refuse_by_metric(competition, task, "Competition.positive asks for the probability of one class")
        return probability_of_positive(predictions, columns, competition)
    if needs_of(competition, task) in ("probabilities", "numbers"):
        return probability_of_each_class(predictions, [columns[0], *predictions.columns])
    return best_labels(predictions, columns, ranks_of(competition))
