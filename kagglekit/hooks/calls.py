"""The typed face of the plugins: one method a hook; nothing else makes an untyped call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from kagglekit.hooks import names
from kagglekit.hooks.failures import defined_at, one_line, plugin_failure
from kagglekit.hooks.specs import HOOKS
from kagglekit.hooks.validation import check_layer_groups, check_returned
from kagglekit.system.errors import PluginError, UsageError, UserError, unknown
from kagglekit.types.presets import features_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from pluggy import HookImpl
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from kagglekit.hooks.plugin import Plugins
    from kagglekit.hooks.specs import ViewMode
    from kagglekit.runs.folder import Run
    from kagglekit.types.competition import Competition, Provides
    from kagglekit.types.data_config import DataConfig
    from kagglekit.types.download import DownloadOptions
    from kagglekit.types.ensemble import Ensemble, Member
    from kagglekit.types.metric import Metric, Score
    from kagglekit.types.recipe import Recipe, Stage
    from kagglekit.types.schedule import Schedule
    from kagglekit.types.view import View

PRESETS = ("quick", "standard", "best", "lesson", "features")

_WATCHERS = {
    f"kagglekit_{event}" for event in ("run_start", "stage_start", "epoch_end", "stage_end", "run_end", "run_failed")
}
_log = logging.getLogger(__name__)


class Hooks:
    """Asks the plugins.

    Every method that answers raises `PluginError` where a plugin fails or answers something of the wrong
    type, and `UserError` where no plugin has an answer. A `UserError` that a plugin raises passes through. A
    watcher that fails is left out from then on, with a warning.

    Args:
        plugins: What `kagglekit.hooks.manager.load` returned.
        warn: Shows a warning of one line.
    """

    def __init__(self, plugins: Plugins, warn: Callable[[str], None] = _log.warning) -> None:
        self._warn = warn
        self._relay = plugins.manager.hook
        self._who: dict[str, dict[str, None]] = {hook: {} for hook in HOOKS}
        self._last: dict[str, tuple[str, str]] = {}  # plugin and place of each hook's last answer
        self._failed_watchers: set[str] = set()
        self._own = {str(plugin) for plugin in plugins.plugins if plugin.is_ours}
        self._provided: list[tuple[str, Provides]] | None = None
        for hook in HOOKS:
            guard = self._watching if hook in _WATCHERS else self._answering
            for implementation in getattr(self._relay, hook).get_hookimpls():
                # pluggy has read the argument names already, so the function can be another one
                implementation.function = guard(hook, implementation)

    @property
    def answered(self) -> dict[str, str]:
        """Who has answered each hook so far, as ``name (distribution version)``, for run.json."""
        return {hook: ", ".join(who) for hook, who in self._who.items() if who}

    def provided(self) -> list[tuple[str, Provides]]:
        """What each plugin says it provides, in the order of asking."""
        if self._provided is None:
            implementations = reversed(self._relay.kagglekit_provides.get_hookimpls())
            answers: list[tuple[str, Any]] = [(each.plugin_name, each.function()) for each in implementations]
            self._provided = [(plugin, answer) for plugin, answer in answers if answer is not None]
        return self._provided

    def provides(self) -> Provides:
        """What all plugins together provide."""
        return names.merge(provides for _, provides in self.provided())

    def reader(self) -> str:
        """Name the plugins that may decode images, with their versions: what was decoded depends on them."""
        implementations = self._relay.kagglekit_read_image.get_hookimpls()
        return ", ".join(each.plugin_name for each in reversed(implementations))

    def reads_files_as_they_are(self) -> bool:
        """Whether none but our own reader decodes images, so that any decoder sees the same picture in a file."""
        readers = {each.plugin_name for each in self._relay.kagglekit_read_image.get_hookimpls()}
        return bool(readers) and readers <= self._own

    def check_names(self, recipe: Recipe, competition: Competition) -> None:
        """Raise a `UsageError` that lists every name and option of the recipe that no plugin knows."""
        names.check_names(self.provides(), recipe, competition)

    def competition(self) -> Competition:
        """Ask for the facts of the competition."""
        answer: Competition | None = self._relay.kagglekit_competition()
        if answer is None:
            raise UserError("no plugin says what the competition is", "its plugin needs kagglekit_competition()")
        return answer

    def labels(self, data: Path) -> pd.DataFrame:
        """Ask for the image table of a data folder; the caller checks it."""
        answer: pd.DataFrame | None = self._relay.kagglekit_labels(data=data)
        if answer is None:
            raise UserError(f"no plugin labels the images of {data}", "its plugin needs kagglekit_labels(data)")
        return answer

    def recipe(self, preset: str) -> Recipe:
        """Ask for the recipe of a preset; ``features`` is made of the one of ``quick`` where no plugin has its own."""
        answer: Recipe | None = self._relay.kagglekit_recipe(preset=preset)
        if answer is None and preset == "features":
            return features_recipe(self.recipe("quick"))
        if answer is None and preset not in PRESETS:
            raise UsageError(unknown("preset", preset, PRESETS))
        if answer is None:
            raise UserError(f"this competition has no recipe for the preset {preset!r}", "choose another preset")
        return answer

    def download(self, competition: Competition, folder: Path, options: DownloadOptions) -> Path:
        """Ask for the data to be fetched into `folder`; return the unpacked data folder."""
        answer: Path | None = self._relay.kagglekit_download(
            competition=competition, folder=folder, options=options, fetching=options
        )
        if answer is None:
            where = f": get them from {competition.url}" if competition.url else ""
            raise UserError(
                f"no plugin can download the images of {competition.title}{where}",
                f"unpack them, and name the folder with --data DIR, or put them into {folder}",
            )
        return answer

    def read_image(self, path: Path, size: int) -> NDArray[np.uint8]:
        """Decode one image to uint8 (H, W, 3); may be called from several threads at once."""
        try:
            answer: NDArray[np.uint8] | None = self._relay.kagglekit_read_image(path=path, size=size)
        except PluginError as error:
            raise error.__cause__ or error from None  # most often the file's fault: its own words say more
        if answer is None:
            raise UserError(f"no plugin can read the image {path}")
        return answer

    def model(self, recipe: Recipe, n_classes: int) -> nn.Module:
        """Ask for the network; its `data_config` is a `DataConfig`."""
        answer: nn.Module | None = self._relay.kagglekit_model(recipe=recipe, n_classes=n_classes)
        if answer is None:
            raise UserError(
                f"no plugin has the model {recipe.arch!r} with the head {recipe.head!r}",
                "kagglekit models PATTERN lists the names of models",
            )
        return answer

    def layer_groups(self, model: nn.Module, recipe: Recipe) -> list[list[str]]:
        """Ask for `recipe.groups` lists of parameter names, each parameter exactly once."""
        answer: list[list[str]] | None = self._relay.kagglekit_layer_groups(model=model, recipe=recipe)
        if answer is None:
            raise UserError(f"no plugin knows the layer groups of {recipe.arch!r}")
        check_layer_groups(*self._last["kagglekit_layer_groups"], answer, model, recipe.groups)
        return answer

    def views(self, recipe: Recipe, stage: Stage, mode: ViewMode, data_config: DataConfig) -> View:
        """Ask for the view of a stage in training, plain prediction or test-time augmentation."""
        answer: View | None = self._relay.kagglekit_views(
            recipe=recipe, stage=stage, mode=mode, data_config=data_config
        )
        if answer is None:
            chosen = {"train": ("views", stage.views), "plain": ("plain", stage.plain)}
            by_name = ("tta", recipe.tta_views) if recipe.tta_views else ("views", stage.views)
            self._nobody("kagglekit_views", *chosen.get(mode, by_name))
        return answer

    def optimizer(self, model: nn.Module, groups: list[list[str]], stage: Stage, recipe: Recipe) -> Optimizer:
        """Ask for the optimizer of a stage; this also freezes what the stage freezes."""
        answer: Optimizer | None = self._relay.kagglekit_optimizer(
            model=model, groups=groups, stage=stage, recipe=recipe
        )
        if answer is None:
            self._nobody("kagglekit_optimizer", "optimizer", stage.optimizer)
        return answer

    def loss(self, recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
        """Ask for the loss ``(logits (B, C), targets (B, C)) -> scalar``."""
        answer: Callable[[Tensor, Tensor], Tensor] | None = self._relay.kagglekit_loss(recipe=recipe)
        if answer is None:
            self._nobody("kagglekit_loss", "loss", recipe.loss)
        return answer

    def metric(self, competition: Competition) -> Metric:
        """Ask for the metric named `competition.metric`; one of another name is a `PluginError`."""
        answer: Metric | None = self._relay.kagglekit_metric(competition=competition)
        if answer is None:
            self._nobody("kagglekit_metric", "metric", competition.metric)
        if answer.name != competition.metric:
            plugin, place = self._last["kagglekit_metric"]
            raise PluginError(
                f"plugin {plugin} answered kagglekit_metric{place} with the metric {answer.name!r} where "
                f"{competition.metric!r} is asked for",
                "it must return None for the names of other metrics",
            )
        return answer

    def schedule(self, stage: Stage, steps_per_epoch: int, recipe: Recipe) -> Schedule:
        """Ask for the learning rate and momentum of every step of a stage."""
        answer: Schedule | None = self._relay.kagglekit_schedule(
            stage=stage, steps_per_epoch=steps_per_epoch, recipe=recipe
        )
        if answer is None:
            self._nobody("kagglekit_schedule", "schedule", stage.schedule)
        return answer

    def ensemble(
        self, members: list[Member], labels: pd.Series, recipe: Recipe, groups: pd.Series | None = None
    ) -> Ensemble:
        """Ask for the members to be combined; `labels` and `groups` are the valid images' classes and groups by id."""
        answer: Ensemble | None = self._relay.kagglekit_ensemble(
            members=members, labels=labels, groups=groups, recipe=recipe
        )
        if answer is None:
            self._nobody("kagglekit_ensemble", "ensemble", recipe.ensemble)
        return answer

    def submission(
        self, competition: Competition, predictions: pd.DataFrame, sample: pd.DataFrame | None
    ) -> pd.DataFrame:
        """Ask for the rows of the CSV."""
        answer: pd.DataFrame | None = self._relay.kagglekit_submission(
            competition=competition, predictions=predictions, sample=sample
        )
        if answer is None:
            raise UserError(f"no plugin writes a submission for {competition.title}")
        return answer

    def run_start(self, run: Run, recipe: Recipe) -> None:
        """Tell the watchers that a run begins."""
        self._relay.kagglekit_run_start(run=run, recipe=recipe)

    def stage_start(self, run: Run, stage: Stage) -> None:
        """Tell the watchers that a stage begins."""
        self._relay.kagglekit_stage_start(run=run, stage=stage)

    def epoch_end(self, run: Run, stage: Stage, row: dict[str, float | int | str]) -> None:
        """Tell the watchers that an epoch ended; `row` is its line of log.csv."""
        self._relay.kagglekit_epoch_end(run=run, stage=stage, row=row)

    def stage_end(self, run: Run, stage: Stage) -> None:
        """Tell the watchers that a stage ended."""
        self._relay.kagglekit_stage_end(run=run, stage=stage)

    def run_end(self, run: Run, scores: dict[str, Score]) -> None:
        """Tell the watchers that the run is finished."""
        self._relay.kagglekit_run_end(run=run, scores=scores)

    def run_failed(self, run: Run, error: BaseException) -> None:
        """Tell the watchers that the run stopped because of `error`."""
        self._relay.kagglekit_run_failed(run=run, error=error)

    def _answering(self, hook: str, implementation: HookImpl) -> Callable[..., Any]:
        """Wrap a hook's function: its failure is the plugin's, its answer is checked and recorded."""
        function, plugin = implementation.function, implementation.plugin_name
        modules, place, who = _modules(implementation), defined_at(function), self._who[hook]

        def answer(*arguments: Any) -> Any:
            try:
                given = function(*arguments)
            except UserError:
                raise
            except Exception as error:
                raise plugin_failure(plugin, f"in {hook}", error, modules) from error
            if given is not None:
                check_returned(plugin, hook, place, given)
                self._last[hook] = (plugin, place)
                who[plugin] = None
            return given

        return answer

    def _watching(self, hook: str, implementation: HookImpl) -> Callable[..., None]:
        """Wrap a watcher's function: its failure stops neither the run nor the other watchers."""
        function, plugin, modules = (
            implementation.function,
            implementation.plugin_name,
            _modules(implementation),
        )

        def watch(*arguments: Any) -> None:
            if plugin in self._failed_watchers:
                return
            try:
                function(*arguments)
            except UserError as error:
                self._failed_watchers.add(plugin)
                self._warn(f"{plugin}: {one_line(str(error))} (it does not watch this run)")
            except Exception as error:
                self._failed_watchers.add(plugin)
                failure = plugin_failure(plugin, f"in {hook}", error, modules)
                self._warn(f"{one_line(failure.what)} (it no longer watches this run)")

        return watch

    def _nobody(self, hook: str, kind: str, name: str) -> NoReturn:
        """Raise for a name that nobody answered to."""
        owners = [plugin for plugin, provides in self.provided() if name in getattr(provides, kind)]
        if owners:
            raise PluginError(f"plugin {owners[0]} provides the {names.KINDS[kind]} {name!r}, but {hook} answered None")
        raise UsageError(unknown(names.KINDS[kind], name, getattr(self.provides(), kind)))


def _modules(implementation: HookImpl) -> set[str]:
    """Names of the modules a hook's function belongs to: where it is written, and the plugin that has it."""
    return {implementation.function.__module__, getattr(implementation.plugin, "__name__", "")} - {""}
