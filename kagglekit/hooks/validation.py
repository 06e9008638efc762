"""Check the return values of hooks. Heavy libraries are imported inside the checks that need them."""

from __future__ import annotations

import reprlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.system.errors import PluginError, listing
from kagglekit.tasks.targets import Targets
from kagglekit.types.competition import Competition, Provides
from kagglekit.types.data_config import DataConfig
from kagglekit.types.decision import Decision
from kagglekit.types.ensemble import Ensemble
from kagglekit.types.executor import Executor
from kagglekit.types.metric import Metric
from kagglekit.types.recipe import MOST_CHANNELS, Recipe
from kagglekit.types.schedule import Schedule
from kagglekit.types.search import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from kagglekit.tasks.task import Task


def check_returned(plugin: str, hook: str, place: str, result: object) -> None:
    """Check the type of a plugin's return value.

    Args:
        plugin: The plugin as listings show it.
        hook: The hook's name.
        place: `` at FILE:LINE`` of the hook's function; empty if unknown.
        result: The return value.

    Raises:
        PluginError: It has another type; the message names plugin, hook, place, the value and the expected type.
    """
    expected, fits = _EXPECTED[hook]
    if not fits(result):
        raise PluginError(
            f"plugin {plugin} returned {_describe(result)} from {hook}{place}, expected {expected}",
            "return that, or None to leave the hook to the next plugin",
        )


def check_layer_groups(plugin: str, place: str, groups: list[list[str]], model: nn.Module, n_groups: int) -> None:
    """Check that the groups hold every parameter of `model` exactly once and that no group is empty.

    Raises:
        PluginError: All problems, with the first few offenders of each.
    """
    counts = Counter(name for group in groups for name in group)
    names = {name for name, _ in model.named_parameters()}
    offenders: dict[str, list[str] | list[int]] = {
        "unknown parameters": [name for name in counts if name not in names],
        "parameters in no group": sorted(names - counts.keys()),
        "parameters in several groups": [name for name, count in counts.items() if count > 1],
        "empty groups": [number for number, group in enumerate(groups, 1) if not group],
    }
    problems = [f"{problem}: {listing(found)}" for problem, found in offenders.items() if found]
    if len(groups) != n_groups:
        problems.insert(0, f"{len(groups)} groups, but the recipe has {n_groups}")
    if problems:
        invalid = "; ".join(problems)
        raise PluginError(f"plugin {plugin} returned invalid groups from kagglekit_layer_groups{place}: {invalid}")


def check_channels(plugin: str, place: str, model: nn.Module, channels: int) -> None:
    """Check that a network takes images of so many channels.

    Raises:
        PluginError: Its `data_config` is that of another number.
    """
    mean = model.data_config.mean
    if isinstance(mean, tuple) and len(mean) != channels:
        raise PluginError(
            f"plugin {plugin} returned a network for {len(mean)} channels from kagglekit_model{place}; the images have "
            f"{channels}",
            "build it for recipe.channels, or choose another network",
        )


def check_targets(
    plugin: str, place: str, targets: Targets, task: Task, train: Sequence[str], test: Sequence[str]
) -> None:
    """Check that targets are of training images, added images test images, and their numbers possible.

    Raises:
        PluginError: They are not: an image of another split would leak into training.
    """
    where = f"plugin {plugin} returned targets from kagglekit_targets{place}"
    for name, table, known in (("soft", targets.soft, train), ("added", targets.added, test)):
        if table is None:
            continue
        task.check(table)
        if strange := sorted(set(table.index) - set(known)):
            raise PluginError(f"{where} whose {name} has images of another split: {listing(strange)}")
    weights = targets.weights
    if weights is not None and (strange := sorted(set(weights.index) - set(train))):
        raise PluginError(f"{where} whose weights are of images of another split: {listing(strange)}")
    if weights is not None and not (weights.ge(0) & weights.lt(float("inf"))).all():
        raise PluginError(f"{where} whose weights are not 0 or more")
    if not (0 <= targets.share <= 1 and 0 < targets.temperature < float("inf")):
        raise PluginError(f"{where} with share {targets.share:g} and temperature {targets.temperature:g}")


def _describe(result: object) -> str:
    if isinstance(result, str | int | float | list | tuple | dict):
        return f"{type(result).__name__} {reprlib.repr(result)}"
    if hasattr(result, "dtype") and hasattr(result, "shape"):
        return f"{type(result).__name__} of dtype {result.dtype} and shape {tuple(result.shape)}"
    if hasattr(result, "data_config"):
        return f"{type(result).__name__} with a data_config of type {type(result.data_config).__name__}"
    return f"an object of type {type(result).__name__}"


def _is_image(result: Any) -> bool:
    shape: tuple[int, ...] = getattr(result, "shape", ())
    numbers = getattr(getattr(result, "dtype", None), "kind", "") in ("i", "u", "f")
    return numbers and len(shape) in (2, 3) and 1 <= (*shape, 1)[2] <= MOST_CHANNELS


def _is_table(result: object) -> bool:
    import pandas as pd

    return isinstance(result, pd.DataFrame)


def _is_model(result: object) -> bool:
    from torch import nn

    return isinstance(result, nn.Module) and isinstance(getattr(result, "data_config", None), DataConfig)


def _is_task(result: object) -> bool:
    from kagglekit.tasks.task import Task

    return isinstance(result, type) and issubclass(result, Task)


def _is_optimizer(result: object) -> bool:
    from torch.optim import Optimizer

    return isinstance(result, Optimizer)


def _is_view(result: object) -> bool:
    from kagglekit.types.view import View

    return isinstance(result, View)


def _is_augmentation(result: object) -> bool:
    from kagglekit.types.view import Augmentation

    return isinstance(result, Augmentation)


def _is_groups(result: object) -> bool:
    return isinstance(result, list) and all(
        isinstance(group, list) and all(isinstance(name, str) for name in group) for group in result
    )


def _is_a(*types: type) -> Callable[[object], bool]:
    return lambda result: isinstance(result, types)


_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kagglekit_provides": ("a Provides", _is_a(Provides)),
    "kagglekit_competition": ("a Competition", _is_a(Competition)),
    "kagglekit_labels": ("a pandas DataFrame", _is_table),
    "kagglekit_recipe": ("a Recipe", _is_a(Recipe)),
    "kagglekit_download": ("the pathlib.Path of a folder", lambda a: isinstance(a, Path) and a.is_dir()),
    "kagglekit_read_image": (
        f"a numpy array of numbers, (H, W) or (H, W, C) with up to {MOST_CHANNELS} channels",
        _is_image,
    ),
    "kagglekit_check_model": ("True", lambda result: result is True),
    "kagglekit_model": ("an nn.Module with a data_config of type DataConfig", _is_model),
    "kagglekit_layer_groups": ("a list of lists of parameter names", _is_groups),
    "kagglekit_views": ("a View", _is_view),
    "kagglekit_augment": ("an Augmentation", _is_augmentation),
    "kagglekit_optimizer": ("a torch Optimizer", _is_optimizer),
    "kagglekit_loss": ("a function of logits and targets", callable),
    "kagglekit_metric": ("a Metric", _is_a(Metric)),
    "kagglekit_schedule": ("a Schedule", _is_a(Schedule)),
    "kagglekit_task": ("a subclass of Task", _is_task),
    "kagglekit_decision": ("a Decision", _is_a(Decision)),
    "kagglekit_targets": ("a Targets", _is_a(Targets)),
    "kagglekit_ensemble": ("an Ensemble", _is_a(Ensemble)),
    "kagglekit_submission": ("a pandas DataFrame", _is_table),
    "kagglekit_executor": ("an Executor: workers, title, submit, ended, stop, close", _is_a(Executor)),
    "kagglekit_sampler": ("a Sampler: ask, report, tell, running, importance", _is_a(Sampler)),
}
