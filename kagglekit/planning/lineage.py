"""Checks of the finished run that another one starts from (``--from``): its valid images must stay out of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.types.recipe import Recipe


def check_split(base: LoadedRun, recipe: Recipe) -> None:
    """Refuse to start from a run with another split: its training images would be among the valid ones.

    Raises:
        UserError: The splits differ.
    """
    folder, before, info = base.run.folder, base.recipe, base.info
    if info.full_of:
        raise UserError(
            f"{folder} was trained on all labelled images, so valid scores of a run started from it would be wrong",
            f"start from the run it repeats: {info.full_of}",
        )
    if info.fold:
        raise UserError(
            f"{folder} is one fold of a run: it was trained on images that other folds hold out",
            "start from a run without folds",
        )
    fields = ("split_by", "valid", "limit", "folds", "group_duplicates")
    changed = [field for field in fields if getattr(before, field) != getattr(recipe, field)]
    if changed:
        was = ", ".join(f"{field.replace('split_by', 'seed')}={getattr(before, field)}" for field in changed)
        raise UserError(
            f"{folder} was trained on another split of the images: it had {was}",
            "keep these settings: its valid images must stay out of training",
        )
