"""The plan: competition, recipe, data folder, image table and device of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.compute.processes.ranks import ALONE, Ranks
from kagglekit.hooks.calls import Hooks
from kagglekit.planning.request import Request
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UserError
from kagglekit.types.competition import Competition
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from kagglekit.compute.threads import ThreadChoice
    from kagglekit.data.sample import Sample
    from kagglekit.tasks.targets import Targets
    from kagglekit.tasks.task import Task
    from kagglekit.types.ensemble import Metadata


@dataclass(frozen=True)
class Choice:
    """The choices that are made before the data are read.

    Attributes:
        request: The user's request.
        name: The competition's short name, which names its folder of runs.
        hooks: The loaded plugins.
        competition: Its facts.
        base: The run whose weights training starts from; None for none.
        preset: The resolved preset; empty if the recipe is another run's.
        recipe: The recipe, with overrides applied and names checked.
        stages: Numbers of the stages to run, from 1.
        dropped: Ids of labelled images that no training sees.
    """

    request: Request
    name: str
    hooks: Hooks
    competition: Competition
    base: LoadedRun | None
    preset: str
    recipe: Recipe
    stages: tuple[int, ...]
    dropped: tuple[str, ...]

    @property
    def run_stages(self) -> tuple[Stage, ...]:
        """The stages to run."""
        return tuple(self.recipe.stages[number - 1] for number in self.stages)


@dataclass(frozen=True)
class Plan(Choice):
    """Everything that is decided before a network or an image is loaded.

    Attributes:
        data: The data folder.
        table: The checked image table, with its valid split.
        task: What is predicted.
        truth: Known test labels by id, only ever used to score finished predictions; None if unknown.
        warnings: Anomalies of the data that do not prevent a run.
        device: Where to compute.
        threads: How many threads compute on the CPU; shared with the plans made from this one. None for torch's number.
        ranks: The processes that share the training.
        form: Of the stored images.
        sample: The sample submission; None if there is none, or no test images.
        fitted_on: The finished run whose valid images this one trains on: the ensemble is fitted to that run's valid
            predictions, and this one has no valid score.
        targets: What training images are learnt as beside their labels; None for their labels alone.
    """

    data: Path
    table: pd.DataFrame
    task: Task
    truth: pd.Series[str] | None
    warnings: tuple[str, ...]
    device: torch.device
    threads: ThreadChoice | None = None
    ranks: Ranks = ALONE
    form: PixelForm = RGB
    sample: Sample | None = None
    fitted_on: LoadedRun | None = None
    targets: Targets | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of predictions in their fixed order: of one label an image, the classes."""
        return self.task.columns

    @property
    def metadata(self) -> Metadata | None:
        """The columns beside the images that the competition names; None if it names none."""
        from kagglekit.data.metadata import metadata_of

        test = self.table["split"] == "test"
        return metadata_of(self.table[~test], self.table[test], self.competition.metadata)


def labels_of(plan: Plan, table: pd.DataFrame) -> pd.Series[str]:
    """Return the labels, by id, of the images of a table of predictions.

    Raises:
        UserError: Some of them are not labelled images of these data.
    """
    labelled = plan.table[plan.table["split"] != "test"]
    labels = labelled.set_index(labelled["id"].astype("str"))["label"].astype("str")
    strange = table.index[~table.index.isin(labels.index)]
    if len(strange):
        raise UserError(
            f"{len(strange)} predicted images are not labelled images of {plan.data}, for example {strange[0]}",
            "pass the data folder that the runs were trained on: --data DIR",
        )
    return labels.loc[table.index]
