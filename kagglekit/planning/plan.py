"""From what the user asked to what a run needs: competition, recipe, data folder, image table, device."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.planning.request import Request


from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.hooks.calls import Hooks
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.types.competition import Competition
from kagglekit.types.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from kagglekit.data.sample import Sample


@dataclass(frozen=True)
class Choice:
    """What is decided without a look at the data.

    Attributes:
        request: What was asked.
        name: The competition's short name, which names its folder of runs.
        hooks: The loaded plugins.
        competition: Its facts.
        base: The run to start from, if any.
        preset: The resolved one; empty where the recipe is another run's.
        recipe: Overrides applied, names checked.
        stages: Numbers of the stages to run, from 1.
    """

    request: Request
    name: str
    hooks: Hooks
    competition: Competition
    base: Run | None
    preset: str
    recipe: Recipe
    stages: tuple[int, ...]


@dataclass(frozen=True)
class Plan(Choice):
    """Everything that is decided before a network or an image is loaded.

    Attributes:
        data: The data folder.
        table: The checked image table, with its valid split.
        classes: Class names in their fixed order.
        truth: Known test labels by id, only ever used to score finished predictions; None if unknown.
        warnings: What is odd about the data, but no reason to stop.
        device: Where to compute.
        sample: The sample submission; None if there is none, or no test images.
        fitted_on: The finished run whose valid images are trained on here: the ensemble is fitted to that run's valid
            predictions, and nothing says how good this one is.
    """

    data: Path
    table: pd.DataFrame
    classes: tuple[str, ...]
    truth: pd.Series[str] | None
    warnings: tuple[str, ...]
    device: torch.device
    sample: Sample | None = None
    fitted_on: Run | None = None


def labels_of(plan: Plan, table: pd.DataFrame) -> pd.Series[str]:
    """Return the class names, by id, of a table's images.

    Raises:
        UserError: Some of them are no labelled images of these data.
    """
    labelled = plan.table[plan.table["split"] != "test"]
    labels = labelled.set_index(labelled["id"].astype("str"))["label"].astype("str")
    strange = table.index[~table.index.isin(labels.index)]
    if len(strange):
        raise UserError(
            f"{len(strange)} predicted images are no labelled images of {plan.data}, for example {strange[0]}",
            "name the data folder that the runs were trained on: --data DIR",
        )
    return labels.loc[table.index]
