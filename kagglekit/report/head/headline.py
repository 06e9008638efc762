"""The head of the page: the score that counts, and three facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kagglekit.report.trainings import StageEnd
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.display.console import duration
from kagglekit.types.metric import TITLES


@dataclass(frozen=True)
class Headline:
    """What the eye should find first.

    Attributes:
        value: The score of the competition's metric on the valid images.
        error: Its standard error.
        what: The metric, and the number of images.
        facts: Network, size and time.
    """

    value: str
    error: str
    what: str
    facts: Sequence[str]


def headline(loaded: LoadedRun, ends: Sequence[StageEnd]) -> Headline | None:
    """Return the head of a run's page; None if it has no valid score."""
    info = loaded.info
    score = info.ensemble_scores.get(f"valid_{info.metric}")
    if score is None:
        return None
    images = f" on {info.images['valid']:,} valid images" if "valid" in info.images else ""
    facts = [loaded.recipe.arch, f"{ends[-1].stage.size} px"] if ends else []
    facts += [duration(info.seconds)] if info.seconds is not None else []
    return Headline(f"{score.value:.4f}", f"{score.error:.4f}", TITLES.get(info.metric, info.metric) + images, facts)
