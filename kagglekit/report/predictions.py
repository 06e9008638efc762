"""The panels of one class an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.report import panels
from kagglekit.report.label_errors import OF_VALID, doubt, where_listed
from kagglekit.report.panels import Judged, Rows
from kagglekit.report.sections import SHOWN, Part
from kagglekit.report.svg import calibration_chart, matrix
from kagglekit.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from markupsafe import Markup

    from kagglekit.report.predicted import Predicted

PAIRS = 20
BLOCKS = 6


@dataclass(frozen=True)
class Card:
    """An image on the page.

    Attributes:
        image: Its id.
        picture: Its thumbnail as a data URI; empty if there is none.
        predicted: Its predicted class.
        actual: Its actual class.
        loss: Log loss, nats.
        probability: Probability of its actual class.
        right: Whether it is predicted correctly.
        guess: Probability of its predicted class.
        link: Address of its file; empty if there is none.
        of: Numbers of its actual and predicted class.
    """

    image: str
    picture: str
    predicted: str
    actual: str
    loss: float
    probability: float
    right: bool
    guess: float
    link: str
    of: tuple[int, int]


@dataclass(frozen=True)
class Panel:
    """A titled row of images."""

    title: str
    text: str
    cards: list[Card]


def single_label_part(seen: Predicted, pictures: Thumbnails) -> Part:
    """Return the panels of one class an image."""
    judged = Judged(seen.ids, seen.task.columns, seen.truth, seen.values)
    width = 290 if len(judged.classes) > 20 else 900
    return Part(
        "single_label.html", prediction_panels(judged, pictures, seen.seed, where_listed(seen), doubt(seen)), width
    )


def prediction_panels(
    judged: Judged, pictures: Thumbnails, seed: int, listed: str = OF_VALID, why_none: str = ""
) -> dict[str, Any]:
    """Compute all panels on the valid predictions.

    Args:
        judged: The predictions.
        pictures: Thumbnails of the images.
        seed: For images drawn at random.
        listed: Where all label errors are listed, from `where_listed`.
        why_none: Why none is, from `doubt`; empty if they are.
    """
    counts, bins = panels.confusion(judged), panels.calibration(judged)
    names = judged.classes
    return {
        "names": names,
        "matrix": matrix(counts, names, cell_of(len(names)), "confusion matrix"),
        "blocks": [] if len(names) <= panels.LARGEST_BLOCK else _blocks(counts, names),
        "pairs": panels.confused_pairs(counts, PAIRS),
        "panels": _panels(judged, pictures, seed, listed, why_none),
        "calibration": calibration_chart(bins),
        "calibration_error": panels.calibration_error(bins),
        "class_scores": panels.class_scores(judged),
        "per_class": _per_class(judged, pictures),
    }


def cell_of(n: int) -> float:
    """Return the side of a matrix's cell, px, so that the matrix fits the page."""
    return max(2.0, min(34.0, 960 / n))


def _blocks(counts: Any, names: Sequence[str]) -> list[Markup]:
    groups = panels.blocks(counts, BLOCKS)
    return [matrix(counts[np.ix_(of, of)], [names[i] for i in of], 30, "confused with each other") for of in groups]


def _panels(judged: Judged, pictures: Thumbnails, seed: int, listed: str, why_none: str) -> list[Panel]:
    chosen = {
        "Top losses": ("The highest loss.", panels.top_losses(judged, SHOWN)),
        "Most uncertain": (
            "The smallest difference between the two highest probabilities.",
            panels.most_uncertain(judged, SHOWN),
        ),
        "Likely label errors": (
            why_none
            or f"Confidently predicted as another class than the label (confident learning, Northcutt et al. 2021). "
            f"{listed}",
            panels.label_errors(judged, 0 if why_none else SHOWN),
        ),
        "Random correct": ("Drawn from the correct predictions.", panels.random_rows(judged, True, SHOWN, seed)),
        "Random incorrect": ("Drawn from the wrong predictions.", panels.random_rows(judged, False, SHOWN, seed)),
    }
    shown = {title: found for title, found in chosen.items() if len(found[1]) or found[0] == why_none}
    return [Panel(title, text, cards(judged, rows, pictures)) for title, (text, rows) in shown.items()]


def _per_class(judged: Judged, pictures: Thumbnails) -> list[tuple[str, list[Card], list[Card]]]:
    """Return each class's name with its most correct and its most incorrect images."""
    most = 3 if len(judged.classes) <= 20 else 1
    return [
        (
            name,
            cards(judged, panels.most_correct(judged, number, most), pictures),
            cards(judged, panels.most_incorrect(judged, number, most), pictures),
        )
        for number, name in enumerate(judged.classes)
    ]


def cards(judged: Judged, rows: Rows, pictures: Thumbnails) -> list[Card]:
    """Return the cards of images by their row numbers in `judged`."""
    ids = [judged.ids[row] for row in rows]
    return [
        Card(
            judged.ids[row],
            picture,
            judged.classes[judged.predicted[row]],
            judged.classes[judged.truth[row]],
            float(judged.loss[row]),
            float(judged.actual[row]),
            bool(judged.correct[row]),
            float(judged.probabilities[row].max()),
            pictures.link(judged.ids[row]),
            (int(judged.truth[row]), int(judged.predicted[row])),
        )
        for row, picture in zip(rows, pictures.pictures(ids), strict=True)
    ]
