"""What one of timm's networks takes and gives, found out before any weights are fetched."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kagglekit import Recipe, UsageError, UserError, round_sizes
from kagglekit_timm.weights import quiet

STEPS = (1, 2, 4, 8, 14, 16, 28, 32, 48, 64)  # px; what sides of images have to be multiples of
WHOLE_STEPS = (16, 14, 32, 28, 48, 64)  # where a network is made for one size: nothing of the picture left over


class ConcatPool(nn.Module):
    """Average and maximum over the map, side by side: (B, F, H, W) to (B, 2 F), or from (B, H, W, F)."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.axes = (1, 2) if channels_last else (2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a feature map."""
        return torch.cat([x.mean(self.axes), x.amax(self.axes)], dim=1)


@dataclass(frozen=True)
class Plan:
    """What was found out about a network before any weights are fetched.

    Attributes:
        options: How timm is to create it.
        multiple: Sides of images must be multiples of this, px.
        n_features: Features the head gets.
        pool: Between body and head.
        told: It must be told each new size of images.
    """

    options: dict[str, Any]
    multiple: int
    n_features: int
    pool: nn.Module
    told: bool


def known_cfg(recipe: Recipe) -> Any:
    """Return timm's `PretrainedCfg` of the recipe's network.

    Raises:
        UsageError: There is no such network, or no such weights of it; the message names near ones.
        UserError: Its weights are not on timm's hub.
    """
    arch, _, tag = recipe.arch.partition(".")
    known = timm.list_models()
    if arch not in known:
        near = near_names(arch, known)
        raise UsageError(
            f"timm has no network {arch!r}" + (f"; near it are {', '.join(near)}" if near else ""),
            "search them: kagglekit models PATTERN",
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{arch}*") if name.split(".")[0] == arch]
    if tag and tag not in tags:
        raise UsageError(
            f"timm has no weights {tag!r} of {arch}; it has {', '.join(sorted(tags)) or 'none'}",
            "choose one of them with --arch, or leave the tag out",
        )
    cfg = timm.get_pretrained_cfg(recipe.arch)
    if recipe.pretrained and not recipe.weights and (cfg is None or not cfg.hf_hub_id):
        where = f" on its hub, only at {cfg.url}" if cfg is not None and cfg.url else ""
        raise UserError(
            f"timm has no pretrained weights of {recipe.arch}{where}",
            "give a file: --set weights=FILE; or start from random weights: --set pretrained=false",
        )
    return cfg if cfg is not None else timm.models.PretrainedCfg()


def near_names(name: str, known: list[str], n: int = 5) -> list[str]:
    """Return the few of `known` that are most like `name`."""
    return difflib.get_close_matches(name, known, n=n, cutoff=0.6)


def plan_network(recipe: Recipe, cfg: Any) -> Plan:
    """Try out, without memory or arithmetic (on torch's meta device), what the network takes and gives.

    Raises:
        UserError: It lacks what the recipe asks for, or can't take one of its image sizes.
    """
    options = _options(recipe, cfg)
    sketch = _sketch(recipe.arch, options)
    output, native = partial(_output, sketch), max(cfg.input_size[-2:])
    multiple = _multiple(output, native, STEPS)
    fixed = False
    if multiple is None:
        anew = partial(_output_of_new, recipe.arch, options)
        multiple = _multiple(anew, native, WHOLE_STEPS)
        fixed = multiple is not None
        output = anew if fixed else output
    rounded = round_sizes(recipe, multiple or native)
    features = [_features(recipe.arch, size, output) for size in rounded.sizes]
    told = fixed and hasattr(sketch, "set_input_size")
    if fixed:
        options["img_size"] = rounded.stages[0].size
        if len(rounded.sizes) > 1 and not told:
            raise UserError(
                f"{recipe.arch} keeps the image size it is created with; the recipe has {rounded.sizes} px",
                "give all stages the same size with --size, or choose a network that is free in it",
            )
    n_features, pool = _pooling(recipe, sketch, features[0])
    return Plan(options, multiple or native, n_features, pool, told)


def _options(recipe: Recipe, cfg: Any) -> dict[str, Any]:
    """Choose how timm is to create the body."""
    options: dict[str, Any] = {"num_classes": 0}
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
    """Create a network that has shapes only."""
    with torch.device("meta"), quiet():
        model: nn.Module = timm.create_model(arch, pretrained=False, **options)
    for module in model.modules():
        if isinstance(module, _BatchNorm):  # keeps shapes, and takes most of the time on the meta device
            module.forward = _same  # type: ignore[assignment, method-assign]
    return model.eval()


def _same(x: Tensor) -> Tensor:
    return x


def _freed(arch: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the option that frees the network from one image size, if it has one."""
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
    except Exception as error:  # timm's networks say in several ways that they must pool
        raise _no_map(arch) from error


def _no_map(arch: str) -> UserError:
    return UserError(
        f"{arch} makes no map of features that head=concat-pool could pool",
        "choose --set head=linear, or another network",
    )


def _check_drop_path(arch: str, options: dict[str, Any]) -> None:
    if _takes(arch, options, "drop_path_rate") and any(
        "DropPath" in type(module).__name__ for module in _sketch(arch, options).modules()
    ):
        return
    raise UserError(f"{arch} has no stochastic depth", "leave it out: --set drop_path=0")


def _output(sketch: nn.Module, size: int) -> Tensor:
    with torch.no_grad():
        output: Tensor = sketch(torch.empty(2, 3, size, size, device="meta"))
    return output


def _output_of_new(arch: str, options: dict[str, Any], size: int) -> Tensor:
    return _output(_sketch(arch, {**options, "img_size": size}), size)


def _multiple(output: Callable[[int], Tensor], native: int, steps: Sequence[int]) -> int | None:
    """Return the first step of whose multiples three are taken, one near the native size, its neighbour, a far one."""
    for step in steps:
        near = math.ceil(native / step) * step
        try:
            output(near), output(near + step), output(near + 17 * step)
        except Exception:  # networks refuse a size in many ways
            continue
        return step
    return None


def _features(arch: str, size: int, output: Callable[[int], Tensor]) -> Tensor:
    try:
        return output(size)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{arch} can't take images of {size} px: {reason}", "choose another size: --size N") from error


def _pooling(recipe: Recipe, sketch: nn.Module, features: Tensor) -> tuple[int, nn.Module]:
    if recipe.head == "concat-pool":
        if getattr(features, "ndim", 0) != 4:
            raise _no_map(recipe.arch)
        channels_last = "NHWC" in str(getattr(sketch, "output_fmt", ""))
        return 2 * features.shape[-1 if channels_last else 1], ConcatPool(channels_last)
    if getattr(features, "ndim", 0) != 2:
        raise UserError(f"{recipe.arch} gives no pooled features (B, F)", "choose another network")
    return features.shape[1], nn.Identity()
