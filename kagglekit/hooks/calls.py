"""Call the plugins: one typed method for each hook; no other module makes an untyped call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kagglekit.hooks import names
from kagglekit.hooks.guards import GuardedPlugins
from kagglekit.hooks.validation import check_channels, check_layer_groups, check_targets
from kagglekit.system.errors import PluginError, UsageError, UserError, unknown
from kagglekit.system.named_calls import read_calls
from kagglekit.types.image_path import channel_files, stacked
from kagglekit.types.image_table import with_joined_keys
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.presets import features_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from kagglekit.hooks.specs import ViewMode
    from kagglekit.runs.folder import Run
    from kagglekit.tasks.targets import Targets, Teacher
    from kagglekit.tasks.task import Task
    from kagglekit.types.competition import Competition
    from kagglekit.types.data_config import DataConfig
    from kagglekit.types.decision import Decision
    from kagglekit.types.download import DownloadOptions
    from kagglekit.types.ensemble import Ensemble, Member, Metadata
    from kagglekit.types.executor import Executor, Need
    from kagglekit.types.metric import Metric, Score
    from kagglekit.types.recipe import Recipe
    from kagglekit.types.schedule import Schedule
    from kagglekit.types.search import Sampler, Study
    from kagglekit.types.stage import Stage
    from kagglekit.types.view import Augmentation, View

PRESETS = ("quick", "standard", "best", "zoo", "lesson", "features")


class Hooks(GuardedPlugins):
    """Calls the hooks of the loaded plugins.

    Every method that returns a value raises `PluginError` if a plugin fails or returns a value of the wrong type, and
    `UserError` if every plugin returns None. A `UserError` of a plugin passes through. A watcher that fails is
    disabled for the rest of the run, with a warning.

    Args:
        plugins: The plugins that `kagglekit.hooks.manager.load` returned.
        warn: Shows a warning of one line.
    """

    def competition(self) -> Competition:
        """Return the facts of the competition."""
        result: Competition | None = self._relay.kagglekit_competition()
        if result is None:
            raise UserError("no plugin describes the competition", "add kagglekit_competition() to its plugin")
        return result

    def labels(self, data: Path) -> pd.DataFrame:
        """Return the image table of a data folder, keys joined to paths; the caller checks it."""
        result: pd.DataFrame | None = self._relay.kagglekit_labels(data=data)
        if result is None:
            raise UserError(
                f"no plugin labels the images of {data}", "add kagglekit_labels(data) to the competition's plugin"
            )
        return with_joined_keys(result) if "path" in result else result

    def recipe(self, preset: str) -> Recipe:
        """Return the recipe of a preset; by default ``features`` is derived from ``quick``."""
        result: Recipe | None = self._relay.kagglekit_recipe(preset=preset)
        if result is None and preset == "features":
            return features_recipe(self.recipe("quick"))
        if result is None and preset not in PRESETS:
            raise UsageError(unknown("preset", preset, PRESETS))
        if result is None:
            raise UserError(f"this competition has no recipe for the preset {preset!r}", "choose another preset")
        return result

    def download(self, competition: Competition, folder: Path, options: DownloadOptions) -> Path:
        """Download the data into `folder`; return the unpacked data folder."""
        result: Path | None = self._relay.kagglekit_download(
            competition=competition, folder=folder, options=options, fetching=options
        )
        if result is None:
            where = f"; they are at {competition.url}" if competition.url else ""
            raise UserError(
                f"no plugin can download the data of {competition.title}{where}",
                f"unpack them and pass the folder with --data DIR, or put them into {folder}",
            )
        return result

    def read_image(self, path: Path, size: int, form: PixelForm | None = None) -> NDArray[np.uint8]:
        """Decode one image to uint8 (H, W, 3) for people; may be called from several threads at once.

        Args:
            path: The image, as in an image table.
            size: The shortest side needed, px.
            form: That of the data set; None to scale other numbers than 8 bits by those of the image.
        """
        return (form or RGB).for_people(self.read_values(path, size))

    def read_values(self, path: Path, size: int) -> NDArray[Any]:
        """Decode one image to the numbers in its file or files, (H, W) or (H, W, C), like `read_image`."""
        files = channel_files(path)
        if len(files) == 1:
            return self._read(files[0], size)
        return stacked([self._read(file, size) for file in files], files)

    def _read(self, path: Path, size: int) -> NDArray[Any]:
        try:
            result: NDArray[Any] | None = self._relay.kagglekit_read_image(path=path, size=size)
        except PluginError as error:
            raise (
                error.__cause__ or error
            ) from None  # most often the file's fault, and the original exception says more
        if result is None:
            raise UserError(
                f"no plugin can read the image {path}", "convert it to JPEG or PNG, or add a plugin that reads it"
            )
        return result

    def model(self, recipe: Recipe, n_classes: int) -> nn.Module:
        """Return the network; its `data_config` is a `DataConfig`."""
        result: nn.Module | None = self._relay.kagglekit_model(recipe=recipe, n_classes=n_classes)
        if result is None:
            raise _no_model(recipe)
        check_channels(*self._last["kagglekit_model"], result, recipe.channels or 3)
        return result

    def check_model(self, recipe: Recipe) -> None:
        """Refuse a network that no plugin can build, without loading torch, as far as all plugins know."""
        builders, checkers = (
            {each.plugin_name for each in hook.get_hookimpls()}
            for hook in (self._relay.kagglekit_model, self._relay.kagglekit_check_model)
        )
        if builders <= checkers and self._relay.kagglekit_check_model(recipe=recipe) is None:
            raise _no_model(recipe)

    def layer_groups(self, model: nn.Module, recipe: Recipe) -> list[list[str]]:
        """Return `recipe.groups` lists of parameter names, each parameter exactly once."""
        result: list[list[str]] | None = self._relay.kagglekit_layer_groups(model=model, recipe=recipe)
        if result is None:
            raise UserError(
                f"no plugin returns the layer groups of {recipe.arch!r}",
                "add kagglekit_layer_groups to the model's plugin",
            )
        check_layer_groups(*self._last["kagglekit_layer_groups"], result, model, recipe.groups)
        return result

    def views(self, recipe: Recipe, stage: Stage, mode: ViewMode, data_config: DataConfig) -> View:
        """Return the view of a stage for training, plain prediction or test-time augmentation."""
        result: View | None = self._relay.kagglekit_views(
            recipe=recipe, stage=stage, mode=mode, data_config=data_config
        )
        if result is None:
            chosen = {"train": ("views", stage.views), "plain": ("plain", stage.plain)}
            by_name = ("tta", recipe.tta_views) if recipe.tta_views else ("views", stage.views)
            self._raise_unknown("kagglekit_views", *chosen.get(mode, by_name))
        return result.augmented(self.augmentations(recipe, stage)) if mode == "train" else result

    def augmentations(self, recipe: Recipe, stage: Stage) -> list[Augmentation]:
        """Return what is done to a stage's training images, in order.

        Raises:
            UserError: One does not take its settings, or images with as many channels as `recipe.channels`.
        """
        found: list[Augmentation] = []
        for name, settings in read_calls(stage.augment):
            result: Augmentation | None = self._relay.kagglekit_augment(
                name=name, settings=settings, recipe=recipe, stage=stage
            )
            if result is None:
                self._raise_unknown("kagglekit_augment", "augment", name)
            found.append(result)
        return found

    def check_augmentations(self, recipe: Recipe) -> None:
        """Raise what `augmentations` raises for any stage that trains on images."""
        for stage in recipe.stages:
            if not stage.precompute:
                self.augmentations(recipe, stage)

    def optimizer(self, model: nn.Module, groups: list[list[str]], stage: Stage, recipe: Recipe) -> Optimizer:
        """Return the optimizer of a stage; this also freezes the stage's frozen parameters."""
        result: Optimizer | None = self._relay.kagglekit_optimizer(
            model=model, groups=groups, stage=stage, recipe=recipe
        )
        if result is None:
            self._raise_unknown("kagglekit_optimizer", "optimizer", stage.optimizer)
        return result

    def task(self, name: str) -> type[Task]:
        """Return the class of a task."""
        result: type[Task] | None = self._relay.kagglekit_task(name=name)
        if result is None:
            self._raise_unknown("kagglekit_task", "task", name)
        return result

    def targets(self, recipe: Recipe, task: Task, labels: pd.Series, teacher: Teacher) -> Targets:
        """Return what training images are learnt as beside their labels, the targets named `recipe.targets`."""
        result: Targets | None = self._relay.kagglekit_targets(recipe=recipe, task=task, labels=labels, teacher=teacher)
        if result is None:
            self._raise_unknown("kagglekit_targets", "targets", recipe.targets)
        check_targets(*self._last["kagglekit_targets"], result, task, list(labels.index), list(teacher.test.index))
        return result

    def loss(self, recipe: Recipe, task: Task) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the loss ``(outputs (B, C), targets (B, C)) -> scalar``; ``auto`` is the task's."""
        named = recipe.model_copy(update={"loss": task.loss}) if recipe.loss == "auto" else recipe
        result: Callable[[Tensor, Tensor], Tensor] | None = self._relay.kagglekit_loss(recipe=named, task=task)
        if result is None:
            self._raise_unknown("kagglekit_loss", "loss", named.loss)
        return result

    def metric(self, competition: Competition, task: Task | None = None) -> Metric:
        """Return the metric named `competition.metric`; one of another name is a `PluginError`.

        Args:
            competition: The competition's facts.
            task: What is predicted; None if it is not known yet.
        """
        result: Metric | None = self._relay.kagglekit_metric(
            competition=competition, classes=task.columns if task else (), task=task
        )
        if result is None:
            self._raise_unknown("kagglekit_metric", "metric", competition.metric)
        if result.name != competition.metric:
            plugin, place = self._last["kagglekit_metric"]
            raise PluginError(
                f"plugin {plugin} returned the metric {result.name!r} from kagglekit_metric{place}, but "
                f"{competition.metric!r} was requested",
                "return None for the names of other metrics",
            )
        return result

    def schedule(self, stage: Stage, steps_per_epoch: int, recipe: Recipe) -> Schedule:
        """Return the learning rate and momentum of every step of a stage."""
        result: Schedule | None = self._relay.kagglekit_schedule(
            stage=stage, steps_per_epoch=steps_per_epoch, recipe=recipe
        )
        if result is None:
            self._raise_unknown("kagglekit_schedule", "schedule", stage.schedule)
        return result

    def ensemble(
        self,
        members: list[Member],
        labels: pd.Series,
        recipe: Recipe,
        task: Task,
        groups: pd.Series | None = None,
        metadata: Metadata | None = None,
    ) -> Ensemble:
        """Combine the members; `labels` and `groups` are the valid images' labels and groups by id."""
        result: Ensemble | None = self._relay.kagglekit_ensemble(
            members=members, labels=labels, groups=groups, metadata=metadata, recipe=recipe, task=task
        )
        if result is None:
            self._raise_unknown("kagglekit_ensemble", "ensemble", recipe.ensemble)
        return result

    def decision(self, recipe: Recipe, competition: Competition, task: Task) -> Decision:
        """Return the decision named `recipe.decision`."""
        result: Decision | None = self._relay.kagglekit_decision(recipe=recipe, competition=competition, task=task)
        if result is None:
            self._raise_unknown("kagglekit_decision", "decision", recipe.decision)
        return result

    def submission(
        self, competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame | None, task: Task
    ) -> pd.DataFrame:
        """Return the rows of the CSV."""
        result: pd.DataFrame | None = self._relay.kagglekit_submission(
            competition=competition, predictions=predictions, sample=sample, task=task
        )
        if result is None:
            raise UserError(
                f"no plugin writes a submission for {competition.title}",
                "add kagglekit_submission to the competition's plugin",
            )
        return result

    def executor(self, name: str, workers: int | None, need: Need) -> Executor:
        """Return the executor of a name, which may have an address after ``://``."""
        result: Executor | None = self._relay.kagglekit_executor(name=name, workers=workers, need=need)
        if result is None:
            self._raise_unknown("kagglekit_executor", "executor", name.partition("://")[0])
        return result

    def sampler(self, name: str, study: Study) -> Sampler:
        """Return the sampler of a name, in the state that the study's file has."""
        result: Sampler | None = self._relay.kagglekit_sampler(name=name, study=study)
        if result is None:
            self._raise_unknown("kagglekit_sampler", "sampler", name)
        return result

    def check_provided(self, kind: str, name: str) -> None:
        """Raise a `UsageError` if no plugin provides a name of a kind: ``executor``, ``sampler``."""
        if not names.is_provided(name, provided := getattr(self.provides(), kind)):
            raise UsageError(unknown(names.KINDS[kind], name, provided), names.beside(name))

    def run_start(self, run: Run, recipe: Recipe) -> None:
        """Notify the watchers of the start of a run."""
        self._relay.kagglekit_run_start(run=run, recipe=recipe)

    def stage_start(self, run: Run, stage: Stage) -> None:
        """Notify the watchers of the start of a stage."""
        self._relay.kagglekit_stage_start(run=run, stage=stage)

    def epoch_end(self, run: Run, stage: Stage, row: dict[str, float | int | str]) -> None:
        """Notify the watchers of the end of an epoch; `row` is its line of log.csv."""
        self._relay.kagglekit_epoch_end(run=run, stage=stage, row=row)

    def stage_end(self, run: Run, stage: Stage) -> None:
        """Notify the watchers of the end of a stage."""
        self._relay.kagglekit_stage_end(run=run, stage=stage)

    def run_end(self, run: Run, scores: dict[str, Score]) -> None:
        """Notify the watchers that the run has finished."""
        self._relay.kagglekit_run_end(run=run, scores=scores)

    def run_failed(self, run: Run, error: BaseException) -> None:
        """Notify the watchers that `error` ended the run."""
        self._relay.kagglekit_run_failed(run=run, error=error)

    def _raise_unknown(self, hook: str, kind: str, name: str) -> NoReturn:
        """Raise the error for a name that no plugin implements."""
        owners = [plugin for plugin, each in self.provided() if names.is_provided(name, getattr(each, kind))]
        if owners:
            raise PluginError(f"plugin {owners[0]} provides the {names.KINDS[kind]} {name!r}, but {hook} returned None")
        raise UsageError(unknown(names.KINDS[kind], name, getattr(self.provides(), kind)), names.beside(name))


def _no_model(recipe: Recipe) -> UserError:
    return UserError(
        f"no plugin has the model {recipe.arch!r} with the head {recipe.head!r}",
        "search the names of models: kagglekit models PATTERN",
    )
