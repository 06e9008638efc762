"""What an image is to be learnt as, beside its label, and the finished run that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Teacher:
    """The predictions of a finished run's models that trained on none of the student's valid images.

    So no label of a valid image reaches the student, whatever its targets are made of.

    Attributes:
        name: The run's.
        held_out: (M, C) of those of the student's training images that some of these models did not train on.
        test: (T, C) of the student's test images.
        of_trained: Computes (L, C) of the student's other training images, by models that did train on them.
    """

    name: str
    held_out: pd.DataFrame
    test: pd.DataFrame
    of_trained: Callable[[], pd.DataFrame]


@dataclass(frozen=True)
class Targets:
    """What training images are learnt as, beside their labels.

    Attributes:
        text: What was done, for people: one line.
        soft: (M, C) predictions that training images are drawn towards; those without a row have their label alone.
        share: How much they count, 0 to 1; the label counts the rest.
        temperature: Both predictions are softened by it, where they are probabilities.
        weights: How much the loss of a training image counts, by id, 0 or more; 1 for those without. An image of
            weight 0 leaves the training images.
        added: (T, C) predictions of test images that join the training images as their most probable labels.
        added_soft: Learn those as they are predicted, instead of as their most probable labels.
    """

    text: str
    soft: pd.DataFrame | None = None
    share: float = 1.0
    temperature: float = 1.0
    weights: pd.Series[float] | None = None
    added: pd.DataFrame | None = None
    added_soft: bool = False
