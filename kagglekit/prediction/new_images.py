"""Predict new images with the members of a finished run, and combine them with its ensemble.

The weights of the members are in the run's folder; of folds, in each fold's folder; of a blend, in the folders of the
blended runs, which must still be beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pandas as pd
import torch

from kagglekit.data.metadata import metadata_of
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.prediction.load import predict_at_sizes, task_of
from kagglekit.runs.folder import Run
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UserError, listing
from kagglekit.types.ensemble import Member, Metadata
from kagglekit.types.predictions import average, load_predictions


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
        table: Rows of the image table with an ``id``, for columns beside the images; None for files alone.
    """

    ids: Sequence[str]
    names: Sequence[str]
    files: Sequence[Path]
    device: torch.device
    tta: bool = True
    skip_bad: bool = False
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class Family:
    """A run with the runs that predict for it.

    Attributes:
        own: The run.
        folds: Its folds; empty for other runs.
        blended: The runs that it blends; empty for other runs.
    """

    own: LoadedRun
    folds: tuple[LoadedRun, ...] = ()
    blended: tuple[Family, ...] = ()

    @classmethod
    def read(cls, run: Run, own: LoadedRun | None = None) -> Self:
        """Read the run.json and recipe of all of them, once; `own` has been read.

        Raises:
            UserError: One of them cannot be read, or a blended run is no longer beside its blend.
        """
        own = own or LoadedRun.read(run)
        folds = tuple(LoadedRun.read(run.fold(number)) for number in own.info.folds)
        return cls(own, folds, tuple(cls.read(_beside(run, name)) for name in own.info.blend_of))

    @property
    def run(self) -> Run:
        """The run's folder."""
        return self.own.run

    @property
    def has_several(self) -> bool:
        """True if its final weights alone do not predict what the run does."""
        info = self.own.info
        stacks = {stage.name for stage in self.own.recipe.stages if stage.stacks}
        stacked = any(entry.stage in stacks for entry in info.members)
        fitted = len(info.members) > 1 or "chosen" in info.fitted
        return bool(self.folds or self.blended or info.finished) or stacked or fitted

    @property
    def ranks_images(self) -> bool:
        """True if the prediction of an image depends on the images predicted with it."""
        return (self.ranks_members and self.has_several) or self.ranks_blended

    @property
    def ranks_members(self) -> bool:
        """True if its ensemble ranks the images by the predictions of each member."""
        return self.own.recipe.ensemble == "rank"

    @property
    def ranks_blended(self) -> bool:
        """True if a blend that is a member of this one ranks images."""
        return any(part.ranks_images for part in self.blended if part.blended)


def predict_paths(
    family: Family, paths: Sequence[str | Path], device: torch.device, *, tta: bool = False
) -> pd.DataFrame:
    """Predict image files with a run's final weights; if it has several members, folds or heads, with all of them.

    A single member is calibrated as the run's ensemble was.

    Returns:
        Float32 predictions, shape (files, columns): rows are named by path, columns as in `Task.columns`.

    Raises:
        UserError: The run is not finished, or a file cannot be decoded.
    """
    files = [Path(path).absolute() for path in paths]
    if family.has_several:
        by_path = {str(path): file for path, file in zip(paths, files, strict=True)}
        stems = [file.stem for file in by_path.values()]
        images = NewImages(list(by_path), stems, list(by_path.values()), device, tta=tta)
        if family.own.recipe.ensemble == "tabular" and not (family.folds or family.blended):
            mean = family.own.recipe.model_copy(update={"ensemble": "mean"})  # files have no columns beside them
            family = replace(family, own=replace(family.own, recipe=mean))
        return predict_new_images(family, images).loc[[str(path) for path in paths]]
    table = predict_at_sizes(family.own, device, "final", files, [file.stem for file in files], tta=tta)
    return table.set_axis(pd.Index([str(path) for path in paths], dtype="str", name="id"))


def predict_new_images(family: Family, images: NewImages) -> pd.DataFrame:
    """Predict images with all members of a run, and combine them with its ensemble as it was fitted.

    Returns:
        The predictions, without the images that were left out.

    Raises:
        UserError: The run is not finished, a member's weights or predictions are missing, or decoding fails.
    """
    return combine_members(family, images, members_of_new_images(family, images))


def combine_members(family: Family, images: NewImages, members: list[Member]) -> pd.DataFrame:
    """Combine the members' predictions of images with a run's ensemble as it was fitted.

    Raises:
        UserError: The ensemble needs columns that the images lack.
    """
    own, hooks = family.own, Hooks(load_for(family.own.info))
    task, recipe = task_of(hooks, own.info), own.recipe
    if chosen := own.info.fitted.get("chosen"):  # once, while the run combined its predictions
        if alone := [member for member in members if member.name == chosen]:
            return alone[0].test
        recipe = recipe.model_copy(update={"ensemble": chosen})
    ensemble = hooks.ensemble(members, _labels(own.run), recipe, task, metadata=_metadata(own, images))
    task.check(ensemble.test, list(members[0].test.index))
    return ensemble.test


def members_of_new_images(family: Family, images: NewImages) -> list[Member]:
    """Return a run's members; their test predictions are those of the images."""
    if family.blended:
        return [member for part in family.blended for member in _blended(part, images)]
    run, trainings, entries = family.run, family.folds or (family.own,), family.own.info.members
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
    run = blend.blended(name)
    if not run.recipe_file.exists():
        raise UserError(
            f"{blend.folder} is a blend, and the folder of {name}, which it blends, is no longer beside it",
            f"put that run's folder into {blend.folder.parent}, or predict with a blended run",
        )
    return run


def _blended(family: Family, images: NewImages) -> list[Member]:
    """Return a run's members for a blend; those of a blend are its ensemble alone."""
    run = family.run
    if family.blended:
        valid = load_predictions(run.predictions("ensemble", "valid"))
        return [Member(f"{run.name}/ensemble", valid, predict_new_images(family, images), run.name, "blend", 1)]
    return [
        replace(member, name=f"{run.name}/{member.name}", valid=load_predictions(run.predictions(member.name, "valid")))
        for member in members_of_new_images(family, images)
    ]


def _labels(run: Run) -> pd.Series[str]:
    rows = run.fitted_rows() or run.valid()
    return pd.Series({row["id"]: row["label"] for row in rows}, dtype="str")


def _metadata(own: LoadedRun, images: NewImages) -> Metadata | None:
    """Return the columns beside the images that the run was fitted with; None if there were none, or for files alone.

    Raises:
        UserError: The run needs them, and the images have none.
    """
    labelled = pd.DataFrame(own.run.metadata())
    names = [name for name in labelled.columns if name != "id"]
    lacking = names if images.table is None else [name for name in names if name not in images.table]
    if not lacking:
        return metadata_of(labelled, images.table, names) if images.table is not None else None
    if own.recipe.ensemble == "tabular":
        raise UserError(
            f"{own.run.folder} predicts from images and their columns {listing(names)}, and these images lack "
            f"{listing(lacking)}",
            "predict a data folder whose plugin lists them with --submission, or a run with another ensemble",
        )
    return None


def _check(run: Run, trainings: Sequence[LoadedRun], names: Sequence[str]) -> None:
    needed = [training.run.snapshot(name) for training in trainings for name in names]
    missing = [path for path in (*needed, *map(run.fitted_on, names)) if not path.exists()]
    if missing or not names:
        files = listing([str(path.relative_to(run.folder)) for path in missing])
        reason = f"its members lack {files}" if missing else "it is not finished"
        raise UserError(f"cannot predict with {run.folder}: {reason}", "use a finished run with all its files")


def _predicted(training: LoadedRun, member: str, images: NewImages) -> pd.DataFrame:
    found = predict_at_sizes(
        training, images.device, member, images.files, images.names, tta=images.tta, skip_bad=images.skip_bad
    )
    if not len(found):
        raise UserError(f"none of {len(images.files)} images could be read", "check the files")
    return found.set_axis(pd.Index([images.ids[int(row)] for row in found.index], dtype="str", name="id"))
