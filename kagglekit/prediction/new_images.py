"""Predict new images with the members of a finished run, and combine them with its ensemble.

The weights of the members are in the run's folder; of folds, in each fold's folder; of a blend, in the folders of the
blended runs, which must still be beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.prediction.load import predict_files, restore
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError, listing
from kagglekit.types.ensemble import Member
from kagglekit.types.predictions import average, check_predictions, load_predictions, make_predictions


@dataclass(frozen=True)
class NewImages:
    """Images to predict.

    Attributes:
        ids: (N) unique ids of the images.
        names: (N) names that the randomness of augmented views depends on.
        files: (N) absolute paths.
        device: Where to compute.
        tta: Average in the recipe's augmented views.
        skip_bad: Leave out files that cannot be decoded.
    """

    ids: Sequence[str]
    names: Sequence[str]
    files: Sequence[Path]
    device: torch.device
    tta: bool = True
    skip_bad: bool = False


def has_parts(run: Run) -> bool:
    """Return whether a run has folds or is a blend, and therefore has no final weights."""
    info = run.info()
    return bool(info.blend_of or info.folds)


def ranks_images(run: Run) -> bool:
    """Return whether a run's prediction of an image depends on the images predicted with it."""
    within = [_beside(run, name) for name in run.info().blend_of]
    return has_parts(run) and (
        run.recipe().ensemble == "rank" or any(ranks_images(part) for part in within if part.info().blend_of)
    )


def predict_new_images(run: Run, images: NewImages) -> pd.DataFrame:
    """Predict images with all members of a run, and combine them with its ensemble as it was fitted.

    Returns:
        The predictions, without the images that were left out.

    Raises:
        UserError: The run is not finished, a member's weights or predictions are missing, or decoding fails.
    """
    info, members = run.info(), members_of_new_images(run, images)
    ensemble = Hooks(load_for(run)).ensemble(members, _labels(run), run.recipe())
    check_predictions(ensemble.test, info.classes, list(members[0].test.index))
    return ensemble.test


def members_of_new_images(run: Run, images: NewImages) -> list[Member]:
    """Return a run's members; their test predictions are those of the images."""
    info = run.info()
    if info.blend_of:
        return [member for name in info.blend_of for member in _blended(_beside(run, name), images)]
    trainings = [run.fold(number) for number in info.folds] or [run]
    entries = info.members
    _check(run, trainings, [entry.name for entry in entries])
    return [
        Member(
            entry.name,
            load_predictions(run.fitted_on(entry.name)),
            average([_predicted(training, entry.name, images) for training in trainings]),
            run.name,
            entry.stage,
            entry.cycle,
        )
        for entry in entries
    ]


def _beside(blend: Run, name: str) -> Run:
    run = Run(blend.folder.parent / name)
    if not run.recipe_file.exists():
        raise UserError(
            f"{blend.folder} is a blend, and the folder of {name}, which it blends, is no longer beside it",
            f"put that run's folder into {blend.folder.parent}, or predict with a blended run",
        )
    return run


def _blended(run: Run, images: NewImages) -> list[Member]:
    """Return a run's members for a blend; those of a blend are its ensemble alone."""
    if run.info().blend_of:
        valid = load_predictions(run.predictions("ensemble", "valid"))
        return [Member(f"{run.name}/ensemble", valid, predict_new_images(run, images), run.name, "blend", 1)]
    return [
        replace(member, name=f"{run.name}/{member.name}", valid=load_predictions(run.predictions(member.name, "valid")))
        for member in members_of_new_images(run, images)
    ]


def _labels(run: Run) -> pd.Series[str]:
    rows = run.fitted_rows() or run.valid()
    return pd.Series({row["id"]: row["label"] for row in rows}, dtype="str")


def _check(run: Run, trainings: Sequence[Run], names: Sequence[str]) -> None:
    needed = [training.snapshot(name) for training in trainings for name in names]
    missing = [path for path in (*needed, *map(run.fitted_on, names)) if not path.exists()]
    if missing or not names:
        files = listing([str(path.relative_to(run.folder)) for path in missing])
        reason = f"its members lack {files}" if missing else "it is not finished"
        raise UserError(f"cannot predict with {run.folder}: {reason}", "use a finished run with all its files")


def _predicted(training: Run, member: str, images: NewImages) -> pd.DataFrame:
    restored = restore(training, images.device, member)
    found = predict_files(restored, images.files, images.names, tta=images.tta, skip_bad=images.skip_bad)
    if not len(found.rows):
        raise UserError(f"none of {len(images.files)} images could be read", "check the files")
    return make_predictions([images.ids[row] for row in found.rows], restored.classes, found.probabilities)
