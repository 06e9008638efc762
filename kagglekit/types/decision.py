"""Define a decision: the step from predictions to what the CSV holds, found on predictions for labelled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    ScoreOf = Callable[[Any, Values], float]
    Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Decision:
    """How predictions (N, C) become decided ones of the same shape.

    Decided ones are 0 and 1 for labels, whole numbers for grades; probabilities stay probabilities where classes are
    ranked or a prior is shifted.

    Attributes:
        name: As in `Recipe.decision`.
        plain: What is applied before anything was found, as plain data: a threshold of 0.5.
        fit: ``(truth, values (N, C), score) -> found``, plain data for run.json. ``score(truth, decided)`` is the
            competition's metric, its sign turned so that more is better. None if there is nothing to find.
        apply: ``(found, values (N, C)) -> decided (N, C) float32``.
        gives: What its results are, in place of probabilities or numbers: ``labels`` or ``grades``; empty if they stay
            what they were.
        curves: ``(found, truth, values, score) -> {title: [(threshold, score), ...]}`` for the report.
    """

    name: str
    apply: Callable[[Any, Values], Values]
    plain: Any = field(default_factory=dict)
    fit: Callable[[Any, Values, ScoreOf], Any] | None = None
    curves: Callable[[Any, Any, Values, ScoreOf], dict[str, Curve]] | None = None
    gives: str = ""
