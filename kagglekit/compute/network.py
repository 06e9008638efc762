"""Properties of a network: input size, head, frozen layers, modes, and files of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kagglekit.compute.finite import check_finite, not_finite
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import replacing
from kagglekit.system.tensor_file import write_tensors
from kagglekit.types.data_config import DataConfig
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

STACK = "kagglekit:stack/"  # names in a file of weights that are not the network's: see `stacked_head`


def data_config(model: nn.Module) -> DataConfig:
    """Return the network's `DataConfig`; the model hook's return value has been checked for it."""
    config = model.data_config
    if not isinstance(config, DataConfig):
        raise TypeError(f"data_config is a {type(config).__name__}")
    return config


def set_normalisation(model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> DataConfig:
    """Give the network's images another mean and standard deviation of each channel; return its new `DataConfig`."""
    config = replace(data_config(model), mean=mean, std=std)
    object.__setattr__(model, "data_config", config)
    return config


def in_channels(model: nn.Module) -> int:
    """Return the number of channels of the network's images."""
    config = getattr(model, "data_config", None)
    return len(config.mean) if isinstance(config, DataConfig) else 3


def round_sizes(recipe: Recipe, multiple: int) -> Recipe:
    """Round every image size of a recipe to the nearest multiple, half up, to at least one multiple.

    Args:
        recipe: With sizes in px.
        multiple: In px, from the network's `DataConfig`.

    Returns:
        The same object if nothing changes.
    """

    def rounded(size: int) -> int:
        return max(1, (2 * size + multiple) // (2 * multiple)) * multiple

    if all(size == rounded(size) for size in recipe.sizes):
        return recipe
    stages = tuple(
        stage.model_copy(
            update={"size": rounded(stage.size), "stack_sizes": tuple(dict.fromkeys(map(rounded, stage.stack_sizes)))}
        )
        for stage in recipe.stages
    )
    predict_size = recipe.predict_size and rounded(recipe.predict_size)
    return recipe.model_copy(update={"stages": tuple(stages), "predict_size": predict_size})


def with_own_sizes(recipe: Recipe, config: DataConfig) -> Recipe:
    """Return the recipe with the size of its network in the stages that ask for it.

    The stack of a network that must be told its size sees the stage's alone.

    Args:
        recipe: With sizes in px.
        config: The network's input.
    """
    if not any(stage.own_size or stage.stacks for stage in recipe.stages):
        return recipe
    return recipe.model_copy(update={"stages": tuple(_with_own_size(stage, config) for stage in recipe.stages)})


def _with_own_size(stage: Stage, config: DataConfig) -> Stage:
    if stage.own_size:
        stage = stage.model_copy(update={"size": config.size or stage.size, "own_size": False})
    if not stage.stacks:
        return stage
    if not config.any_size:
        return stage.model_copy(update={"stack_sizes": (stage.size,)})
    return stage.model_copy(update={"stack_sizes": stage.stack_sizes_of(config.size or stage.size)})


def set_input_size(model: nn.Module, size: int) -> None:
    """Set the side of the model's images, px, if it has a method for it."""
    if callable(setter := getattr(model, "set_input_size", None)):
        setter(size)


@contextmanager
def grad_checkpointing(model: nn.Module, enable: bool) -> Iterator[None]:
    """Let the model compute activations again in the backward pass, in the block, instead of keeping them all.

    Args:
        model: The network.
        enable: False changes nothing.

    Raises:
        UserError: The model cannot.
    """
    setter = getattr(model, "set_grad_checkpointing", None) if enable else lambda _: None
    if not callable(setter):
        raise UserError(
            "the network has no gradient checkpointing", "leave out grad_checkpointing, or choose another --arch"
        )
    setter(True)
    try:
        yield
    finally:
        setter(False)


def frozen_names(model: nn.Module) -> set[str]:
    """Return the names of the parameters that do not train."""
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def head_module(model: nn.Module, groups: Sequence[Sequence[str]]) -> tuple[str, nn.Module]:
    """Find the head: the outermost sub-module that holds exactly the parameters of the last layer group.

    The outermost, so that a dropout before the last layer belongs to it.

    Returns:
        Its name in the model, and the module.

    Raises:
        UserError: No sub-module holds exactly these.
    """
    last = set(groups[-1])
    for name, module in model.named_modules():  # parents before children
        if name and {f"{name}.{own}" for own, _ in module.named_parameters()} == last:
            return name, module
    raise UserError(
        f"no sub-module of the network holds exactly its last layer group ({listing(sorted(last), 3)})",
        "kagglekit_layer_groups must return the parameters of the head, and only these, as the last group",
    )


def set_modes(model: nn.Module, frozen: set[str], batch_norm: Literal["keep", "update"], head: str) -> None:
    """Put frozen modules into eval mode, all others into train mode.

    A module is frozen if all of its parameters are; one without parameters (dropout, stochastic depth) follows the
    module around it. So a frozen layer group updates no BatchNorm statistics and drops nothing.

    Args:
        model: The network.
        frozen: Names of the frozen parameters.
        batch_norm: With ``keep``, BatchNorm layers use their running statistics unchanged, except in the head, whose
            statistics are new.
        head: Name of the head, from `head_module`.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    fixed = {id(parameter) for name, parameter in model.named_parameters() if name in frozen}
    _set_modes(model, fixed, True)
    if batch_norm == "keep":
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm) and name != head and not name.startswith(f"{head}."):
                module.training = False


def _set_modes(module: nn.Module, fixed: set[int], around: bool) -> None:
    parameters = list(module.parameters())
    module.training = any(id(p) not in fixed for p in parameters) if parameters else around
    for child in module.children():
        _set_modes(child, fixed, module.training)


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Restore every module's mode, train or eval, after the block."""
    modes = [(module, module.training) for module in model.modules()]
    yield
    for module, training in modes:
        module.training = training


def set_dropout(head: nn.Module, rate: float) -> None:
    """Set the dropout of a head: `rate` before its last layer, half of it before others, as in fast.ai's heads."""
    from torch.nn import Dropout

    layers = [module for module in head.modules() if isinstance(module, Dropout)]
    for layer in layers:
        layer.p = rate if layer is layers[-1] else rate / 2


class _Reached(Exception):
    """Carries a module's input out of the network's forward."""

    def __init__(self, tensor: Any) -> None:
        super().__init__()
        self.tensor = tensor


def input_of(model: nn.Module, module: nn.Module, x: Tensor) -> Tensor:
    """Return the input of `module`, a part of `model`, for the model's input `x`; later layers are not run.

    Raises:
        UserError: The model does not call the module.
    """

    def stop(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        raise _Reached(inputs[0])

    handle = module.register_forward_pre_hook(stop)
    try:
        model(x)
    except _Reached as reached:
        tensor: Tensor = reached.tensor
        return tensor
    finally:
        handle.remove()
    raise UserError(
        "the network never calls its head", "the forward pass of the plugin's network must use every layer group"
    )


def save_weights(
    model: nn.Module, path: Path, more: Mapping[str, Tensor] | None = None, metadata: dict[str, str] | None = None
) -> None:
    """Write all parameters and buffers to a safetensors file atomically, a shared tensor once.

    A weight with adapters is written as their sum, under its own name.

    Args:
        model: The network.
        path: The file.
        more: Further tensors, whose names begin with `STACK`.
        metadata: Texts for the file's header.

    Raises:
        UserError: The file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in {**_tensors(model), **(more or {})}.items()}
    with replacing(path) as part:
        write_tensors(tensors, part, metadata)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a file of `save_weights` into a network of the same kind; a stack of heads in it is left alone.

    Raises:
        UserError: The file cannot be read, its names or shapes are not those of the network, or values are not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the weights {path}: {error}", "the file is missing or damaged") from error
    found = {name: tensor for name, tensor in found.items() if not name.startswith(STACK)}
    own = _tensors(model)
    _check_same(own, found, path)
    constants = {name: tensor for name, tensor in own.items() if not isinstance(tensor, torch.nn.Parameter)}
    meant = set(not_finite(constants))  # by the network's author
    check_finite({name: tensor for name, tensor in found.items() if name not in meant}, path)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])


def interpolate_weights(model: nn.Module, start: Path | None, end: Path, share: float) -> None:
    """Load the weights that are `share` of the way from one file of `save_weights` to another.

    Args:
        model: A network of the files' kind.
        start: The weights at share 0; not read for share 1.
        end: The weights at share 1.
        share: From 0 to 1.

    Raises:
        UserError: A file cannot be read, or belongs to another network.
    """
    import torch

    load_weights(model, end)
    if start is None or share == 1.0:
        return
    tuned = {name: tensor.detach().clone() for name, tensor in _tensors(model).items() if tensor.is_floating_point()}
    load_weights(model, start)
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            if name in tuned:
                tensor.lerp_(tuned[name], share)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, shared ones by their first name."""
    from kagglekit.compute.low_rank import merged_state

    first: dict[int, str] = {}
    state = merged_state(model)
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name] for name in first.values()}


def _check_same(own: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    missing, unknown = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    if missing or unknown:
        parts = [f"missing {listing(missing, 3)}"] * bool(missing) + [f"unexpected {listing(unknown, 3)}"] * bool(
            unknown
        )
        raise UserError(
            f"the weights {path} belong to a different network: {'; '.join(parts)}",
            "use the recipe (arch, head) of their training",
        )
    other = [
        f"{name} is {list(found[name].shape)} in the file and {list(tensor.shape)} in the network"
        for name, tensor in own.items()
        if tensor.shape != found[name].shape
    ]
    if other:
        raise UserError(
            f"the weights {path} have different shapes: {listing(other, 2)}",
            "use the recipe (arch, head, classes, image size) of their training",
        )
