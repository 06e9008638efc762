"""The images whose label is probably wrong, as rows of label-errors.csv, which ``kagglekit run --drop`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.report.label_scores import suspects
from kagglekit.tasks.confident_learning import label_errors

if TYPE_CHECKING:
    from kagglekit.report.predicted import Predicted

    Row = dict[str, Any]

OF_FOLDS = "All of them: label-errors.csv, which --drop leaves out of training."
OF_VALID = (
    "All of them: label-errors.csv. These are valid images, which train nothing: correcting their labels changes the "
    "scores. To find errors among all labelled images, which --drop can leave out of training, run with --folds 5."
)


def class_errors(seen: Predicted) -> list[Row]:
    """Return ``id``, ``label``, ``predicted`` and their probabilities, most suspect first."""
    names, others = seen.task.columns, seen.values.copy()
    others[np.arange(len(seen.truth)), seen.truth] = -1.0
    return [
        {
            "id": seen.ids[row],
            "label": names[seen.truth[row]],
            "predicted": names[others[row].argmax()],
            "p_label": float(seen.values[row, seen.truth[row]]),
            "p_predicted": float(others[row].max()),
        }
        for row in label_errors(seen.truth, seen.values)
    ]


def label_set_errors(seen: Predicted) -> list[Row]:
    """Return a row for each doubtful label of an image: ``id``, ``label``, ``has`` (0 or 1) and its probability."""
    return [
        {
            "id": seen.ids[image],
            "label": seen.task.columns[number],
            "has": int(seen.truth[image, number]),
            "p_label": float(seen.values[image, number]),
        }
        for image, number in suspects(seen.truth, seen.values, seen.truth.size)
    ]


def where_listed(seen: Predicted) -> str:
    """Return the sentences that say where all label errors are listed, and what the list is good for."""
    return OF_FOLDS if seen.out_of_fold else OF_VALID
