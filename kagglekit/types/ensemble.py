"""Members, and the ensemble that a plugin makes from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Member:
    """The predictions of one set of weights, with test-time augmentation if the recipe has it.

    Attributes:
        name: For example ``all-2-cycle2``; averaged weights are the member ``average``.
        valid: Valid predictions (see `kagglekit.types.predictions`), for images not used in training.
        test: Test predictions; no rows if there are no test images.
        run: Name of its run.
        stage: Name of its stage.
        cycle: Number of the cycle at whose end it was taken, from 1.
    """

    name: str
    valid: pd.DataFrame
    test: pd.DataFrame
    run: str
    stage: str
    cycle: int


@dataclass(frozen=True)
class Metadata:
    """Columns beside the images, named in `Competition.metadata`.

    Attributes:
        labelled: Their values for all labelled images, by id.
        test: Their values for the test images, by id; an id may also be that of a labelled image.
    """

    labelled: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class Ensemble:
    """Members combined.

    Attributes:
        valid: Predictions for the valid images; parameters used for a row must be fitted without that row.
        test: Predictions for the test images.
        fitted: Fitted parameters, for run.json.
        doubts: Reasons not to choose this ensemble, a line each, for people.
    """

    valid: pd.DataFrame
    test: pd.DataFrame
    fitted: dict[str, Any] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
