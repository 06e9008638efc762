"""Kagglekit's own views, and what is done to training images under them."""

from __future__ import annotations

from typing import Any

from kagglekit import Augmentation, Provides, Recipe, Stage, View, ViewMode, hookimpl
from kagglekit_views import augmentations, crops


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the views and of the augmentations."""
    return Provides(views=crops.VIEWS, plain=tuple(crops.FRAMES), tta=crops.TTA, augment=augmentations.NAMES)


@hookimpl
def kagglekit_views(recipe: Recipe, stage: Stage, mode: ViewMode) -> View | None:
    """Return one of these views; the frame is that of ``centre`` if `stage.plain` is another plugin's."""
    return crops.view_of(recipe, stage, mode)


@hookimpl
def kagglekit_augment(name: str, settings: dict[str, Any], recipe: Recipe, stage: Stage) -> Augmentation | None:
    """Return one of these augmentations, or one of torchvision's by its name there."""
    return augmentations.augmentation_of(name, settings, recipe.channels or 3, stage.size)
