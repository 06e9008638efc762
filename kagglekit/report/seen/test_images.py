"""The test images that were predicted most and least surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit.report import rows
from kagglekit.report.sections import Card, Cards, Section
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.runs.folder import Run

NAMED = 3  # classes on a card
TITLES = {"most": "Most sure test images", "least": "Least sure test images"}
TEXTS = {
    "most": "The surest predictions of images whose labels {}. A wrong one here is a mistake worth a look.",
    "least": "The least sure predictions: images that the network has not learnt, or that show something else.",
}


def test_sections(run: Run, pictures: Thumbnails, *, scored: bool) -> list[Section]:
    """Return the sections of the most and least sure test images; none if the run has not recorded them.

    Args:
        run: The run.
        pictures: Thumbnails of its images.
        scored: Whether the labels of the test images are known, and score their predictions.
    """
    chosen = rows.test_images(run)
    if not chosen or not run.predictions("ensemble", "test").exists():
        return []
    table = load_predictions(run.predictions("ensemble", "test"))
    names, values = [str(name) for name in table.columns], table.to_numpy()
    places = {str(image): row for row, image in enumerate(table.index)}
    sections = []
    for which, title in TITLES.items():
        ids = [row["id"] for row in chosen if row["sure"] == which and row["id"] in places]
        made = [
            Card(image, picture, _lines(names, values[places[image]]), pictures.link(image))
            for image, picture in zip(ids, pictures.pictures(ids), strict=True)
        ]
        if made:
            text = TEXTS[which].format("training never sees" if scored else "are unknown")
            sections.append(Section(title, text, [Cards(made)]))
    return sections


def _lines(names: Sequence[str], values: NDArray[np.floating]) -> list[tuple[str, str]]:
    best = np.argsort(-values, kind="stable")[:NAMED]
    return [("", f"{names[number]} {values[number]:.3f}") for number in best]
