"""Find the inputs and outputs of one of timm's networks, before any weights are fetched."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from kagglekit import Recipe, UserError, round_sizes
from kagglekit_timm.known import no_network, no_tag
from kagglekit_timm.weights import quiet

STEPS = (1, 2, 4, 8, 14, 16, 28, 32, 48, 64)  # px; candidates for the multiple that sides of images must be
FILLING = {Tensor.uniform_, Tensor.normal_, Tensor.clamp_, Tensor.erfinv_, Tensor.fill_, Tensor.zero_, Tensor.copy_}
FILLING |= {Tensor.add_, Tensor.sub_, Tensor.mul_, Tensor.div_}
WHOLE_STEPS = (16, 14, 32, 28, 48, 64)  # for a network with a fixed size: its patches must cover the whole image


class ConcatPool(nn.Module):
    """Concatenate average and maximum over the map: (B, F, H, W) to (B, 2 F), or from (B, H, W, F)."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.axes = (1, 2) if channels_last else (2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a feature map."""
        return torch.cat([x.mean(self.axes), x.amax(self.axes)], dim=1)


class NothingToFill(TorchFunctionMode):
    """Leave out the initialisation of weights on the meta device, which takes half of the time: shapes stay."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the tensor that would be filled as it is; call everything else."""
        if func in FILLING and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Plan:
    """Properties of a network, found before any weights are fetched.

    Attributes:
        options: Options of `timm.create_model`.
        multiple: Sides of images must be multiples of this, px.
        n_features: Number of features of the head.
        pool: The layer between body and head.
        resizes: Whether `set_input_size` must be called for each new size of images.
    """

    options: dict[str, Any]
    multiple: int
    n_features: int
    pool: nn.Module
    resizes: bool


def known_cfg(recipe: Recipe) -> Any:
    """Return timm's `PretrainedCfg` of the recipe's network.

    Raises:
        UsageError: There is no such network, or no such weights; the message lists close names.
        UserError: Its weights are not on timm's hub.
    """
    arch, _, tag = recipe.arch.partition(".")
    known = timm.list_models()
    if arch not in known:
        raise no_network(arch, known)
    tags = {name.partition(".")[2] for name in timm.list_pretrained(f"{arch}*") if name.split(".")[0] == arch}
    if tag and tag not in tags:
        raise no_tag(arch, tag, tags)
    cfg = timm.get_pretrained_cfg(recipe.arch)
    if recipe.pretrained and not recipe.weights and (cfg is None or not cfg.hf_hub_id):
        where = f" on its hub, only at {cfg.url}" if cfg is not None and cfg.url else ""
        raise UserError(
            f"timm has no pretrained weights of {recipe.arch}{where}",
            "use a file: --set weights=FILE; or random weights: --set pretrained=false",
        )
    return cfg if cfg is not None else timm.models.PretrainedCfg()


def plan_network(recipe: Recipe, cfg: Any) -> Plan:
    """Find the network's inputs and outputs on torch's meta device, without memory or arithmetic.

    Raises:
        UserError: It lacks a feature of the recipe, or does not accept one of its image sizes.
    """
    options, channels = _options(recipe, cfg), 3 if recipe.has_rgb else recipe.channels
    sketch = _sketch(recipe.arch, options)
    output, native = partial(_output, channels, recipe.arch, tuple(options.items())), max(cfg.input_size[-2:])
    multiple = _multiple(output, native, STEPS)
    fixed = False
    if multiple is None:
        anew = partial(_output_of_new, channels, recipe.arch, options)
        multiple = _multiple(anew, native, WHOLE_STEPS)
        fixed = multiple is not None
        output = anew if fixed else output
    rounded = round_sizes(recipe, multiple or native)
    features = [_features(recipe.arch, size, output) for size in rounded.sizes]
    resizes = fixed and hasattr(sketch, "set_input_size")
    if fixed:
        options["img_size"] = rounded.stages[0].size
        if len(rounded.sizes) > 1 and not resizes:
            raise UserError(
                f"{recipe.arch} has a fixed image size, but the recipe has sizes {rounded.sizes} px",
                "give all stages the same size with --size, or choose a network without a fixed size",
            )
    n_features, pool = _pooling(recipe, sketch, features[0])
    return Plan(options, multiple or native, n_features, pool, resizes)


def _options(recipe: Recipe, cfg: Any) -> dict[str, Any]:
    """Return the options for timm to create the body."""
    options: dict[str, Any] = {"num_classes": 0} | ({} if recipe.has_rgb else {"in_chans": recipe.channels})
    if recipe.head == "concat-pool":
        options["global_pool"] = ""
        _check_map(recipe.arch, options)
    if cfg.fixed_input_size:
        options |= _freed(recipe.arch, options)
    if recipe.drop_path:
        options["drop_path_rate"] = recipe.drop_path
        _check_drop_path(recipe.arch, options)
    return options


def _sketch(arch: str, options: dict[str, Any]) -> nn.Module:
    """Return a network on the meta device: shapes without memory. It is shared, so it must not be changed."""
    return _created(arch, tuple(options.items()))


@lru_cache(maxsize=8)  # creating a large network takes a second, and its options are tried more than once
def _created(arch: str, options: tuple[tuple[str, Any], ...]) -> nn.Module:
    with torch.device("meta"), NothingToFill(), quiet():
        model: nn.Module = timm.create_model(arch, pretrained=False, **dict(options))
    for module in model.modules():
        if isinstance(module, _BatchNorm):  # it preserves shapes, but takes most of the time on the meta device
            module.forward = _same  # type: ignore[assignment, method-assign]
    return model.eval()


def _same(x: Tensor) -> Tensor:
    return x


def _freed(arch: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the option that allows any image size, if the network has one."""
    for option, value in (("strict_img_size", False), ("dynamic_img_size", True)):  # Swin's; vision transformers'
        if _takes(arch, {**options, option: value}, option):
            return {option: value}
    return {}


def _takes(arch: str, options: dict[str, Any], option: str) -> bool:
    try:
        _sketch(arch, options)
    except TypeError as error:
        if option not in str(error):
            raise
        return False
    return True


def _check_map(arch: str, options: dict[str, Any]) -> None:
    try:
        _sketch(arch, options)
    except Exception as error:  # timm's networks raise several kinds of errors if they must pool
        raise _no_map(arch) from error


def _no_map(arch: str) -> UserError:
    return UserError(
        f"{arch} returns no feature map for head=concat-pool",
        "use --set head=linear, or another network",
    )


def _check_drop_path(arch: str, options: dict[str, Any]) -> None:
    if _takes(arch, options, "drop_path_rate") and any(
        "DropPath" in type(module).__name__ for module in _sketch(arch, options).modules()
    ):
        return
    raise UserError(f"{arch} has no stochastic depth", "remove it: --set drop_path=0")


@lru_cache(maxsize=64)
def _output(channels: int, arch: str, options: tuple[tuple[str, Any], ...], size: int) -> Tensor:
    with torch.no_grad():
        output: Tensor = _created(arch, options)(torch.empty(2, channels, size, size, device="meta"))
    return output


def _output_of_new(channels: int, arch: str, options: dict[str, Any], size: int) -> Tensor:
    return _output(channels, arch, tuple({**options, "img_size": size}.items()), size)


def _multiple(output: Callable[[int], Tensor], native: int, steps: Sequence[int]) -> int | None:
    """Return the first step of which three multiples are accepted: near the native size, the next, a large one."""
    for step in steps:
        near = math.ceil(native / step) * step
        try:
            output(near), output(near + step), output(near + 17 * step)
        except Exception:  # networks raise many kinds of errors for a size
            continue
        return step
    return None


def _features(arch: str, size: int, output: Callable[[int], Tensor]) -> Tensor:
    try:
        return output(size)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{arch} does not accept images of {size} px: {reason}", "choose another size: --size N"
        ) from error


def _pooling(recipe: Recipe, sketch: nn.Module, features: Tensor) -> tuple[int, nn.Module]:
    if recipe.head == "concat-pool":
        if getattr(features, "ndim", 0) != 4:
            raise _no_map(recipe.arch)
        channels_last = "NHWC" in str(getattr(sketch, "output_fmt", ""))
        return 2 * features.shape[-1 if channels_last else 1], ConcatPool(channels_last)
    if getattr(features, "ndim", 0) != 2:
        raise UserError(f"{recipe.arch} returns no pooled features (B, F)", "choose another network")
    return features.shape[1], nn.Identity()
