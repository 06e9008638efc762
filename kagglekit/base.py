"""The finished run that another goes on from (``--from``): its valid images must stay out of training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.plan import Plan
    from kagglekit.recipe import Recipe
    from kagglekit.run_folder import Run


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


def check_base_data(plan: Plan) -> None:
    """Refuse to go on from a run that was trained on other data: its training images could be among the valid ones.

    Raises:
        UserError: They differ.
    """
    if not plan.base or plan.fitted_on:
        return
    info = plan.base.info()
    if info.get("classes") != list(plan.classes):
        return  # which is told when its weights are read
    if info.get("data_key") != data_key(plan.table, plan.data, plan.classes):
        raise UserError(
            f"{plan.base.folder} was trained on other images, labels or splits than those in {plan.data}",
            "its valid images must stay out of training: name its data with --data DIR, or leave out --from",
        )


def data_key(table: pd.DataFrame, data: Path, classes: Sequence[str]) -> str:
    """Hash the image table (ids, names below the data folder, labels, split) and the classes."""
    hashed = blake2b(json.dumps(list(classes)).encode(), digest_size=16)
    for image, path, label, split in table[["id", "path", "label", "split"]].itertuples(index=False):
        name = str(path).removeprefix(str(data))
        hashed.update(json.dumps([str(image), name, label if isinstance(label, str) else None, split]).encode())
    return hashed.hexdigest()
