"""What is combined into the final prediction: members, and the ensemble a plugin makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Member:
    """One set of weights' predictions, with test-time augmentation where the recipe has it.

    Attributes:
        name: For example ``all-2-cycle2``; the weights of ``average`` are a member of that name.
        valid: Valid predictions (see `kagglekit.types.predictions`), images no weight was trained on.
        test: Test predictions; empty (no rows) where there are no test images.
        run: Name of the run it comes from.
        stage: Name of the stage at whose cycle's end it was taken.
        cycle: Number of that cycle, from 1.
    """

    name: str
    valid: pd.DataFrame
    test: pd.DataFrame
    run: str
    stage: str
    cycle: int


@dataclass(frozen=True)
class Ensemble:
    """Members combined.

    Attributes:
        valid: Predictions for the valid images, honest: whatever was fitted for a row was fitted without it.
        test: Predictions for the test images.
        fitted: What was found (weights and the like), for run.json.
    """

    valid: pd.DataFrame
    test: pd.DataFrame
    fitted: dict[str, Any] = field(default_factory=dict)
