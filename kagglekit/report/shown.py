"""What the page shows of the valid predictions: every panel, computed and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.report import panels
from kagglekit.report.panels import Judged, Rows
from kagglekit.report.svg import calibration_chart, matrix
from kagglekit.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from markupsafe import Markup

SHOWN = 12  # images of a panel
PAIRS = 20
BLOCKS = 6


@dataclass(frozen=True)
class Card:
    """An image as the page shows it.

    Attributes:
        image: Its id.
        picture: A data URI; empty for none.
        predicted: Its predicted class.
        actual: Its class.
        loss: nats.
        probability: Of its class.
        right: Whether the two classes are the same.
    """

    image: str
    picture: str
    predicted: str
    actual: str
    loss: float
    probability: float
    right: bool


@dataclass(frozen=True)
class Panel:
    """A titled row of images."""

    title: str
    words: str
    cards: list[Card]


def shown(judged: Judged, pictures: Thumbnails, seed: int) -> dict[str, Any]:
    """Compute every panel of the valid predictions."""
    counts, bins = panels.confusion(judged), panels.calibration(judged)
    names = judged.classes
    return {
        "names": names,
        "matrix": matrix(counts, names, _cell(len(names)), "confusion matrix"),
        "blocks": [] if len(names) <= panels.LARGEST_BLOCK else _blocks(counts, names),
        "pairs": panels.confused_pairs(counts, PAIRS),
        "panels": _panels(judged, pictures, seed),
        "calibration": calibration_chart(bins),
        "calibration_error": panels.calibration_error(bins),
        "class_scores": panels.class_scores(judged),
        "per_class": _per_class(judged, pictures),
    }


def _cell(n: int) -> float:
    """Choose a matrix's cell, px, so that the whole is as wide as the page at most."""
    return max(2.0, min(34.0, 960 / n))


def _blocks(counts: Any, names: Sequence[str]) -> list[Markup]:
    groups = panels.blocks(counts, BLOCKS)
    return [matrix(counts[np.ix_(of, of)], [names[i] for i in of], 30, "confused with one another") for of in groups]


def _panels(judged: Judged, pictures: Thumbnails, seed: int) -> list[Panel]:
    chosen = {
        "Top losses": ("The images of highest loss.", panels.top_losses(judged, SHOWN)),
        "Most uncertain": (
            "The least difference between the two highest probabilities.",
            panels.most_uncertain(judged, SHOWN),
        ),
        "Likely label errors": (
            "Another class is confidently said than the label (confident learning, Northcutt et al. 2021).",
            panels.label_errors(judged, SHOWN),
        ),
        "Random correct": ("Drawn among the correct ones.", panels.random_rows(judged, True, SHOWN, seed)),
        "Random incorrect": ("Drawn among the wrong ones.", panels.random_rows(judged, False, SHOWN, seed)),
    }
    return [Panel(title, words, cards(judged, rows, pictures)) for title, (words, rows) in chosen.items()]


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
    """Show images of `judged` by their row numbers."""
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
        )
        for row, picture in zip(rows, pictures.pictures(ids), strict=True)
    ]
