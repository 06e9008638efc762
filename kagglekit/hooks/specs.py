"""All hooks, in the order of a run. docs/hooks.md explains each with an example."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from kagglekit.types.competition import Competition, Provides
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from kagglekit.runs.folder import Run
    from kagglekit.tasks.targets import Targets, Teacher
    from kagglekit.tasks.task import Task
    from kagglekit.types.data_config import DataConfig
    from kagglekit.types.decision import Decision
    from kagglekit.types.download import DownloadOptions
    from kagglekit.types.ensemble import Ensemble, Member, Metadata
    from kagglekit.types.executor import Executor, Need
    from kagglekit.types.metric import Metric, Score
    from kagglekit.types.schedule import Schedule
    from kagglekit.types.search import Sampler, Study
    from kagglekit.types.view import Augmentation, View

hookspec = pluggy.HookspecMarker("kagglekit")
hookimpl = pluggy.HookimplMarker("kagglekit")

ViewMode = Literal["train", "plain", "tta"]


@hookspec
def kagglekit_provides() -> Provides | None:
    """Return the names that this plugin's other hooks implement, and its options with their defaults."""


@hookspec(firstresult=True)
def kagglekit_competition() -> Competition | None:
    """Return the facts of the competition."""


@hookspec(firstresult=True)
def kagglekit_labels(data: Path) -> pd.DataFrame | None:
    """Return the image table of the folder `data`.

    Columns: ``id`` (str, unique within its split kind; the image's name in the CSV), ``path`` (Path or str of the
    file), ``label``, ``split``: ``train``, ``valid`` or ``test``. If no row is ``valid``, a stratified part of
    ``train`` is held out. A label is the name of a class, a list of names (several labels) or a number; or
    `Competition.targets` names columns with a target each, in place of ``label``. Missing ones are None or nan.
    Optional are ``key`` (of an image in a container), ``group``, ``row`` and ``weight``; others are kept for metrics.
    """


@hookspec(firstresult=True)
def kagglekit_task(name: str) -> type[Task] | None:
    """Return the class of the task named `name`, a `Competition.task`, or None for other names."""


@hookspec(firstresult=True)
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return the recipe of a preset (``quick``, ``standard``, ``best``, ``zoo``, ``lesson``), or None for the default.

    The preset ``features`` is requested, too; by default it is derived from ``quick``.
    """


@hookspec(firstresult=True)
def kagglekit_download(
    competition: Competition, folder: Path, options: DownloadOptions, fetching: DownloadOptions
) -> Path | None:
    """Download and unpack the data into `folder`; return the folder that `kagglekit_labels` reads.

    `folder` does not exist yet or is empty; other processes must only see it complete. `options` has the progress
    `display`, the `timeout` (s) and whether to keep archives.
    """


@hookspec(firstresult=True)
def kagglekit_read_image(path: Path, size: int) -> NDArray[np.number] | None:
    """Decode one image file, upright: uint8 (H, W, 3) in RGB; or other numbers, (H, W) or (H, W, C), as they are.

    kagglekit scales numbers of more than 8 bits by a range that it finds once for the data set.
    `size` is the shortest side needed, px: a reader may decode to fewer pixels as long as the short side is at
    least this long. None leaves the file to the next plugin.
    """


@hookspec(firstresult=True)
def kagglekit_check_model(recipe: Recipe) -> bool | None:
    """Refuse a network that `kagglekit_model` could not build, with a `UserError`; return True if it could.

    This is called before torch is loaded and before data are downloaded, so it must not load torch itself. None is for
    networks of other plugins. If a plugin has `kagglekit_model` without this hook, no network is refused early.
    """


@hookspec(firstresult=True)
def kagglekit_model(recipe: Recipe, n_classes: int) -> nn.Module | None:
    """Return the network for `recipe.arch`: float images (B, C, S, S) to logits (B, n_classes).

    It has an attribute `data_config`, a `DataConfig`. `recipe.channels` is C, or 0 for red, green and blue. If it
    depends on the image size, it has a method ``set_input_size(size)``. Optional are ``layers()``, the parameter names
    of each layer of the body, the earliest first, and ``set_grad_checkpointing(enable)``.
    """


@hookspec(firstresult=True)
def kagglekit_layer_groups(model: nn.Module, recipe: Recipe) -> list[list[str]] | None:
    """Return `recipe.groups` lists of parameter names, earliest layers first, the head last, each once."""


@hookspec(firstresult=True)
def kagglekit_views(recipe: Recipe, stage: Stage, mode: ViewMode, data_config: DataConfig) -> View | None:
    """Return the view for training (`stage.views`), plain prediction (`stage.plain`) or test-time augmentation.

    The view of mode ``tta`` is `recipe.tta_views`, or `stage.views` if that is empty.
    """


@hookspec(firstresult=True)
def kagglekit_augment(name: str, settings: dict[str, Any], recipe: Recipe, stage: Stage) -> Augmentation | None:
    """Return the augmentation named `name`, one of those in `stage.augment`, or None for other names.

    `settings` are those in its brackets. `recipe.channels` is C, or 0 for red, green and blue. Raise a `UserError` for
    settings, or channels, that it does not take.
    """


@hookspec(firstresult=True)
def kagglekit_optimizer(model: nn.Module, groups: list[list[str]], stage: Stage, recipe: Recipe) -> Optimizer | None:
    """Freeze and unfreeze the parameters for the stage (``requires_grad``) and return the optimizer.

    The ``lr`` of each parameter group is that group's highest rate; the schedule scales all of them.
    """


@hookspec(firstresult=True)
def kagglekit_targets(recipe: Recipe, task: Task, labels: pd.Series, teacher: Teacher) -> Targets | None:
    """Return the targets named `recipe.targets`: what training images are learnt as beside their labels.

    `labels` are those of the training images, by id. `teacher` has the predictions of the run `recipe.teacher`.
    """


@hookspec(firstresult=True)
def kagglekit_loss(recipe: Recipe, task: Task) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return the loss ``(outputs (B, C), targets (B, C)) -> scalar``, the batch's mean.

    Targets are what `Task.train_targets` returns: probabilities, 0 and 1, or standardised numbers; nan counts for
    nothing.
    """


@hookspec(firstresult=True)
def kagglekit_metric(competition: Competition, classes: Sequence[str], task: Task | None) -> Metric | None:
    """Return the metric named `competition.metric`, or None for other names: the task's own are requested, too.

    `classes` are the names of the columns of predictions, in their order; empty, and `task` None, before the labels
    are read.
    """


@hookspec(firstresult=True)
def kagglekit_schedule(stage: Stage, steps_per_epoch: int, recipe: Recipe) -> Schedule | None:
    """Return the learning rate and momentum of every step of the stage."""


@hookspec(firstresult=True)
def kagglekit_ensemble(
    members: list[Member],
    labels: pd.Series,
    groups: pd.Series | None,
    metadata: Metadata | None,
    recipe: Recipe,
    task: Task,
) -> Ensemble | None:
    """Combine the members by `recipe.ensemble`; `labels` and `groups` are the valid images' labels and groups.

    ``task.truth(labels, table)`` are the labels as numbers, in the order of a table of predictions. `metadata` are the
    columns that `Competition.metadata` names; None if it names none.
    """


@hookspec(firstresult=True)
def kagglekit_decision(recipe: Recipe, competition: Competition, task: Task) -> Decision | None:
    """Return the decision named `recipe.decision`, which turns predictions into labels or grades."""


@hookspec(firstresult=True)
def kagglekit_submission(
    competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame | None, task: Task
) -> pd.DataFrame | None:
    """Return the rows of the CSV: test predictions in the form of `sample` (sample_submission.csv, all text).

    The predictions are decided ones if the recipe has a decision (see `kagglekit_decision`), and those of a row of the
    CSV if the image table has a column ``row``.
    """


@hookspec(firstresult=True)
def kagglekit_executor(name: str, workers: int | None, need: Need) -> Executor | None:
    """Return the executor of ``--on NAME``, which runs several trainings as jobs, or None for other names.

    `name` may have an address after ``://``. `workers` is how many jobs run side by side; None for as many as fit.
    """


@hookspec(firstresult=True)
def kagglekit_sampler(name: str, study: Study) -> Sampler | None:
    """Return the sampler of a search over recipes, in the state that its file has, or None for other names."""


@hookspec
def kagglekit_run_start(run: Run, recipe: Recipe) -> None:
    """Watch the start of a run; its folder exists and holds the recipe."""


@hookspec
def kagglekit_stage_start(run: Run, stage: Stage) -> None:
    """Watch the start of a stage."""


@hookspec
def kagglekit_epoch_end(run: Run, stage: Stage, row: dict[str, float | int | str]) -> None:
    """Watch the end of an epoch; `row` is its line of log.csv."""


@hookspec
def kagglekit_stage_end(run: Run, stage: Stage) -> None:
    """Watch the end of a stage; its snapshots are written."""


@hookspec
def kagglekit_run_end(run: Run, scores: dict[str, Score]) -> None:
    """Watch the end of a run; `scores` are those of the final predictions by split and metric."""


@hookspec
def kagglekit_run_failed(run: Run, error: BaseException) -> None:
    """Watch the failure of a run because of `error`; its files are kept."""


OLD_NAMES = {"kagglekit_download": {"fetching": "options"}}
"""Renamed arguments: plugins that use the old name receive the same value."""

HOOKS = {
    name: tuple(each for each in inspect.signature(value).parameters if each not in OLD_NAMES.get(name, ()))
    for name, value in list(globals().items())
    if name.startswith("kagglekit_")
}
"""The arguments of every hook, in the order of a run."""
