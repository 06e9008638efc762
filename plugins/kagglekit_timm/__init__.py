"""The default model plugin: any of timm's classification networks under a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Provides, Recipe, hookimpl

if TYPE_CHECKING:
    from torch import nn

HEADS = ("linear", "concat-pool")


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the heads."""
    return Provides(head=HEADS)


@hookimpl
def kagglekit_check_model(recipe: Recipe) -> bool | None:
    """Refuse names that timm does not have, and files that are not weights."""
    if recipe.head not in HEADS:
        return None
    from kagglekit_timm.known import check_recipe

    check_recipe(recipe)
    return True


@hookimpl
def kagglekit_model(recipe: Recipe, n_classes: int) -> nn.Module | None:
    """Build timm's network `recipe.arch` with a new head, and fetch its pretrained weights."""
    if recipe.head not in HEADS:
        return None
    if recipe.archs:
        from kagglekit_timm.joint import build as build_joint

        return build_joint(recipe, n_classes)
    from kagglekit_timm.network import build

    return build(recipe, n_classes)


@hookimpl
def kagglekit_layer_groups(model: nn.Module, recipe: Recipe) -> list[list[str]] | None:
    """Group the layers of a network of timm's, or of one with such a `body`: body parts, then the head."""
    if recipe.archs:
        from kagglekit_timm.joint import layer_groups as joint_groups

        return joint_groups(model, recipe.groups)
    from kagglekit_timm.groups import layer_groups

    return layer_groups(model, recipe.groups)
