"""The finished run that another goes on from (``--from``): its valid images must stay out of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.runs.folder import Run
    from kagglekit.types.recipe import Recipe


def check_split(base: Run, recipe: Recipe) -> None:
    """Refuse to go on from a run with another split: its training images would be among the valid ones.

    Raises:
        UserError: It has another one.
    """
    before, info = base.recipe(), base.info()
    if info.get("full_of"):
        raise UserError(
            f"{base.folder} was trained on all labelled images: no valid score would be true of what goes on from it",
            f"start from the run it was made of, {info['full_of']}",
        )
    if "fold" in info:
        raise UserError(
            f"{base.folder} is one of several folds: it was trained on images that the others hold out",
            "start from a run without folds",
        )
    fields = ("split_by", "valid", "limit", "folds", "group_duplicates")
    changed = [field for field in fields if getattr(before, field) != getattr(recipe, field)]
    if changed:
        was = ", ".join(f"{field.replace('split_by', 'seed')}={getattr(before, field)}" for field in changed)
        raise UserError(
            f"{base.folder} was trained on another split of the images: it had {was}",
            "its valid images must stay out of training: leave these settings as they were",
        )
