"""Test-time augmentation: the views that predict."""

from __future__ import annotations

from kagglekit.hooks.calls import Hooks
from kagglekit.types.data_config import DataConfig
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage
from kagglekit.types.view import View


def predicting_views(
    hooks: Hooks, recipe: Recipe, stage: Stage, config: DataConfig, *, tta: bool = True
) -> list[tuple[View, int]]:
    """Return the views that predict, each with its pass: the plain one as pass 0, then the augmented ones.

    Args:
        hooks: The plugins.
        recipe: `Recipe.tta` is the number of augmented passes; a view may have fewer (`View.passes`).
        stage: Stage of the weights.
        config: The network's input.
        tta: False for the plain view alone.
    """
    views = [(hooks.views(recipe, stage, "plain", config), 0)]
    if tta and recipe.tta:
        view = hooks.views(recipe, stage, "tta", config)
        passes = recipe.tta if view.passes is None else min(recipe.tta, view.passes)
        views += [(view, pass_number) for pass_number in range(1, passes + 1)]
    return views
