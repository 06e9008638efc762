"""The predictions of a finished run that another one may learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kagglekit.planning.plan import Plan
from kagglekit.prediction.load import predict_files, restore
from kagglekit.prediction.new_images import Family
from kagglekit.runs.folder import Run
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError, listing
from kagglekit.tasks.targets import Teacher
from kagglekit.types.predictions import average, load_predictions, make_predictions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Model:
    """One training of a teacher: a run without folds, or one fold. It predicts by the mean of its members."""

    loaded: LoadedRun

    @property
    def run(self) -> Run:
        """Its folder."""
        return self.loaded.run

    @cached_property
    def unseen(self) -> set[str]:
        """Ids of the labelled images whose labels had no part in it, as far as its folder shows.

        Dropped images count only if nothing that it started or learnt from may have seen them.
        """
        info, recipe = self.loaded.info, self.loaded.recipe
        alone = not info.from_run and recipe.targets == "labels"
        return {row["id"] for row in self.run.valid()} | set(self.run.dropped() if alone else ())

    def stored(self, split: str) -> pd.DataFrame:
        """Return its predictions of ``valid`` or ``test``."""
        return average([load_predictions(self.run.predictions(each.name, split)) for each in self.loaded.info.members])

    @property
    def stacks(self) -> bool:
        """True if heads of it, which predicted the test images, were fitted to its valid images, too."""
        names = {stage.name for stage in self.loaded.recipe.stages if stage.stacks}
        return any(member.stage in names for member in self.loaded.info.members)

    def predict(self, ids: Sequence[str], files: Sequence[Path], device: torch.device) -> pd.DataFrame:
        """Predict images in the plain view; those that cannot be decoded are left out."""
        tables = []
        for member in self.loaded.info.members:
            restored = restore(self.loaded, device, member.name, valid=True)
            found = predict_files(restored, files, ids, tta=False, skip_bad=True)
            tables.append(make_predictions([ids[row] for row in found.rows], restored.task.columns, found.values))
        return average(tables)


def trainings(family: Family) -> list[list[Model]]:
    """Return the models of a run: of a blend, those of each of its runs."""
    if family.blended:
        return [models for part in family.blended for models in trainings(part)]
    return [[Model(each) for each in family.folds or (family.own,)]]


def safe_models(plan: Plan, split: str) -> list[list[Model]]:
    """Return the models of the teacher's runs that trained on none of the plan's valid images.

    These are models of the same split, and those whose folder lists all valid images as unseen.

    Args:
        plan: The plan of a training.
        split: The `data_key` of its images before any were dropped.

    Raises:
        UserError: A run has none.
    """
    valid = set(plan.table.loc[plan.table["split"] == "valid", "id"])
    runs = trainings(Family.read(Run(Path(plan.recipe.teacher))))
    safe = [
        [model for model in models if model.loaded.info.data_key == split or valid <= model.unseen] for models in runs
    ]
    for models, kept in zip(runs, safe, strict=True):
        if not kept:
            seen = min((valid - model.unseen for model in models), key=len)
            folder = models[0].run.folder.parent if models[0].loaded.info.fold else models[0].run.folder
            raise UserError(
                f"the teacher {folder} did not hold out {len(seen):,} of this run's {len(valid):,} valid images: "
                f"{listing(sorted(seen))}; their labels could reach this run, whose valid scores would be wrong",
                "use a teacher that held out the same images (same seed or split_seed, valid, limit and folds), one "
                "trained with --drop and this split's valid.csv, or learn from it with --full, without valid images",
            )
    return safe


def teacher_of(plan: Plan, split: str, display: Display | None = None) -> Teacher:
    """Return what the training of a plan may learn from its teacher.

    Runs of a blend count equally: its own weights were fitted to labels of valid images. So do a run's members.

    Args:
        plan: The plan of a training.
        split: See `safe_models`.
        display: Shows the progress of networks; None to predict nothing with them, and return placeholders.

    Raises:
        UserError: See `safe_models`, or a file is missing.
    """
    runs, table = safe_models(plan, split), plan.table
    train = table[table["split"] == "train"]
    test = table[table["split"] == "test"]

    def of_test(model: Model) -> pd.DataFrame:
        if not model.stacks:
            return model.stored("test")
        ids, files = [str(image) for image in test["id"]], [Path(path) for path in test["path"]]
        if display is None:
            return make_predictions(ids, plan.task.columns, plan.task.placeholder(len(ids)))
        with display.status(f"teacher: predictions of {len(ids):,} test images by heads of its training images"):
            return model.predict(ids, files, plan.device)

    tests = [average([of_test(model) for model in models]) for models in runs]
    shared = [str(image) for image in test["id"] if all(image in each.index for each in tests)]
    models = [model for kept in runs for model in kept]
    held = pd.concat([_of(model.stored("valid"), train["id"]) for model in models])
    held_out = held.groupby(level=0, sort=False).mean().astype("float32").rename_axis("id")
    rest = train[~train["id"].isin(held_out.index)]

    def of_trained() -> pd.DataFrame:
        if not len(rest):
            return plan.task.empty()
        ids, files = [str(image) for image in rest["id"]], [Path(path) for path in rest["path"]]
        if display is None:
            return make_predictions(ids, plan.task.columns, plan.task.placeholder(len(ids)))
        title = f"teacher: predictions of {len(ids):,} training images by {len(models)} models"
        with display.bar(title, len(models)) as bar:
            found = []
            for model in models:
                found.append(model.predict(ids, files, plan.device))
                bar.advance(1)
        return average(found)

    return Teacher(Path(plan.recipe.teacher).name, held_out, average([t.loc[shared] for t in tests]), of_trained)


def _of(table: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
    return table[table.index.isin(ids)]
