"""The images whose label is probably wrong, as rows of label-errors.csv, which ``kagglekit run --drop`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.report.label_scores import suspects
from kagglekit.tasks.confident_learning import label_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.report.predicted import Predicted

    Row = dict[str, Any]

OF_FOLDS = "All of them: label-errors.csv, which --drop leaves out of training."
OF_VALID = (
    "All of them: label-errors.csv. These are valid images, which train nothing: correcting their labels changes the "
    "scores. To find errors among all labelled images, which --drop can leave out of training, run with --folds 5."
)


MOST_FLAGGED = 1 / 3  # of the labels: who contradicts more of them knows too little to judge them
CLEAR = 2.0  # standard errors


def class_errors(seen: Predicted) -> list[Row]:
    """Return ``id``, ``label``, ``predicted`` and their probabilities, most suspect first; none if `doubt` says why."""
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
        for row in ([] if doubt(seen) else label_errors(seen.truth, seen.values))
    ]


def label_set_errors(seen: Predicted) -> list[Row]:
    """Return a row for each doubtful label of an image: ``id``, ``label``, ``has`` (0 or 1) and its probability.

    None if `doubt` says why.
    """
    return [
        {
            "id": seen.ids[image],
            "label": seen.task.columns[number],
            "has": int(seen.truth[image, number]),
            "p_label": float(seen.values[image, number]),
        }
        for image, number in ([] if doubt(seen) else suspects(seen.truth, seen.values, seen.truth.size))
    ]


def where_listed(seen: Predicted) -> str:
    """Return the sentences that say where all label errors are listed, and what the list is good for."""
    return OF_FOLDS if seen.out_of_fold else OF_VALID


def doubt(seen: Predicted) -> str:
    """Return why predictions that contradict labels cannot judge them; empty if they can, or contradict none."""
    if seen.truth.ndim == 1:
        flagged, n = len(label_errors(seen.truth, seen.values)), len(seen.truth)
    else:
        flagged = len(suspects(seen.truth, seen.values, seen.truth.size))
        n = int((~np.isnan(seen.truth)).sum())
    if flagged > MOST_FLAGGED * n:
        return f"None is listed: the predictions contradict {flagged:,} of {n:,} labels, too many to be trusted."
    if flagged and not knows(seen):
        return "None is listed: the predictions are not clearly better than the shares of the classes alone."
    return ""


def knows(seen: Predicted) -> bool:
    """Return whether predictions of classes or labels are clearly better than their shares, the same for all images.

    One of two suffices, since over-confident predictions fail the first, and those of rare classes the second: the log
    loss, and the share of correct predictions. True for numbers, which are not judged.
    """
    if seen.task.link not in ("log", "logit") or not len(seen.ids):
        return True
    truth = np.eye(seen.values.shape[1])[seen.truth] if seen.truth.ndim == 1 else seen.truth
    known = ~np.isnan(truth)
    shares = np.where(known, truth, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    constant = np.tile(shares, (len(truth), 1))
    gains = seen.task.losses(seen.truth, constant) - seen.loss
    return _above_zero(gains) or _above_zero(_right(seen, seen.values) - _right(seen, constant))


def _right(seen: Predicted, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the share of an image's labels that are predicted correctly; of one class, 0 or 1."""
    if seen.truth.ndim == 1:
        return np.asarray(values.argmax(axis=1) == seen.truth, dtype=np.float64)
    known = ~np.isnan(seen.truth)
    return np.asarray((((values >= 0.5) == (seen.truth == 1)) & known).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def _above_zero(values: NDArray[np.float64]) -> bool:
    return len(values) > 1 and bool(values.mean() > CLEAR * values.std(ddof=1) / len(values) ** 0.5)
