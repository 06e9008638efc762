"""What each hook must answer. Heavy libraries are imported inside the checks that need them."""

from __future__ import annotations

import reprlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.system.errors import PluginError, listing
from kagglekit.types.competition import Competition, Provides
from kagglekit.types.data_config import DataConfig
from kagglekit.types.ensemble import Ensemble
from kagglekit.types.metric import Metric
from kagglekit.types.recipe import Recipe
from kagglekit.types.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def check_returned(plugin: str, hook: str, place: str, answer: object) -> None:
    """Check the type of what a plugin answered.

    Args:
        plugin: The plugin as listings show it.
        hook: The hook's name.
        place: `` at FILE:LINE`` of the hook's function; empty where that is not known.
        answer: What it answered.

    Raises:
        PluginError: It is something else; names plugin, hook, place, what it answered and what is expected.
    """
    expected, fits = _EXPECTED[hook]
    if not fits(answer):
        raise PluginError(
            f"plugin {plugin} answered {hook}{place} with {_describe(answer)}; it must be {expected}",
            "or None, to leave the answer to the next plugin",
        )


def check_layer_groups(plugin: str, place: str, groups: list[list[str]], model: nn.Module, n_groups: int) -> None:
    """Check that the groups hold every parameter of `model` exactly once and that none is empty.

    Raises:
        PluginError: With all that is wrong, naming the first few offenders.
    """
    counts = Counter(name for group in groups for name in group)
    names = {name for name, _ in model.named_parameters()}
    offenders: dict[str, list[str] | list[int]] = {
        "no such parameters": [name for name in counts if name not in names],
        "in no group": sorted(names - counts.keys()),
        "more than once": [name for name, count in counts.items() if count > 1],
        "empty groups": [number for number, group in enumerate(groups, 1) if not group],
    }
    problems = [f"{problem}: {listing(found)}" for problem, found in offenders.items() if found]
    if len(groups) != n_groups:
        problems.insert(0, f"{len(groups)} groups where the recipe asks for {n_groups}")
    if problems:
        raise PluginError(f"plugin {plugin} answered kagglekit_layer_groups{place} wrongly: {'; '.join(problems)}")


def _describe(answer: object) -> str:
    if isinstance(answer, str | int | float | list | tuple | dict):
        return f"{type(answer).__name__} {reprlib.repr(answer)}"
    if hasattr(answer, "dtype") and hasattr(answer, "shape"):
        return f"{type(answer).__name__} of dtype {answer.dtype} and shape {tuple(answer.shape)}"
    if hasattr(answer, "data_config"):
        return f"{type(answer).__name__} with a data_config of type {type(answer.data_config).__name__}"
    return f"an object of type {type(answer).__name__}"


def _is_image(answer: Any) -> bool:
    shape: tuple[int, ...] = getattr(answer, "shape", ())
    return len(shape) == 3 and shape[2] == 3 and getattr(answer, "dtype", None) == "uint8"


def _is_table(answer: object) -> bool:
    import pandas as pd

    return isinstance(answer, pd.DataFrame)


def _is_model(answer: object) -> bool:
    from torch import nn

    return isinstance(answer, nn.Module) and isinstance(getattr(answer, "data_config", None), DataConfig)


def _is_optimizer(answer: object) -> bool:
    from torch.optim import Optimizer

    return isinstance(answer, Optimizer)


def _is_view(answer: object) -> bool:
    from kagglekit.types.view import View

    return isinstance(answer, View)


def _is_groups(answer: object) -> bool:
    return isinstance(answer, list) and all(
        isinstance(group, list) and all(isinstance(name, str) for name in group) for group in answer
    )


def _is_a(*types: type) -> Callable[[object], bool]:
    return lambda answer: isinstance(answer, types)


_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kagglekit_provides": ("a Provides", _is_a(Provides)),
    "kagglekit_competition": ("a Competition", _is_a(Competition)),
    "kagglekit_labels": ("a pandas DataFrame", _is_table),
    "kagglekit_recipe": ("a Recipe", _is_a(Recipe)),
    "kagglekit_download": ("the pathlib.Path of a folder", lambda a: isinstance(a, Path) and a.is_dir()),
    "kagglekit_read_image": ("a numpy array of dtype uint8 and shape (H, W, 3)", _is_image),
    "kagglekit_model": ("an nn.Module with a data_config of type DataConfig", _is_model),
    "kagglekit_layer_groups": ("a list of lists of parameter names", _is_groups),
    "kagglekit_views": ("a View", _is_view),
    "kagglekit_optimizer": ("a torch Optimizer", _is_optimizer),
    "kagglekit_loss": ("a function of logits and targets", callable),
    "kagglekit_metric": ("a Metric", _is_a(Metric)),
    "kagglekit_schedule": ("a Schedule", _is_a(Schedule)),
    "kagglekit_ensemble": ("an Ensemble", _is_a(Ensemble)),
    "kagglekit_submission": ("a pandas DataFrame", _is_table),
}
