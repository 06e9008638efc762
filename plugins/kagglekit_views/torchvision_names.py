"""Torchvision's own transforms (v2) by name, seeded for each image."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kagglekit import Augmentation, UsageError, UserError, uniforms, unknown

_TRIALS = 16  # draws: some transforms change only a share of the images, or fail only with some
_FUNCTIONS = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "_sample_dirichlet")
_METHODS = ("uniform_", "normal_", "random_", "bernoulli_", "bernoulli", "multinomial", "exponential_", "geometric_")
_RANDOM = {getattr(torch, name) for name in _FUNCTIONS} | {getattr(Tensor, name) for name in _METHODS}
_LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}


class _Seeded(TorchFunctionMode):
    """Give torch's random functions a generator of our own; in this thread, and without touching the global one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _LIKE:
            like = args[0]
            kwargs = {"dtype": like.dtype, "device": like.device, **kwargs}
            func, args = _LIKE[func], (like.shape,)
        if func in _RANDOM and kwargs.get("generator") is None:
            tensors = [each.device for each in args if isinstance(each, Tensor)]
            device = torch.device(kwargs.get("device") or (tensors[0] if tensors else "cpu"))
            kwargs["generator"] = self._generator(device)
        return func(*args, **kwargs)

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
            self._generators[device].manual_seed(self._seed)
        return self._generators[device]


def adapted(name: str, settings: dict[str, Any], channels: int, size: int) -> Augmentation:
    """Return a transform of `torchvision.transforms.v2` as an augmentation, after trying it on drawn images.

    Args:
        name: Its class.
        settings: The arguments of its constructor.
        channels: Number of channels of the images.
        size: Their side, px.

    Raises:
        UserError: There is no such transform, or it does not take these arguments or such images.
    """
    from torchvision.transforms import v2

    classes = {
        key: value
        for key, value in vars(v2).items()
        if inspect.isclass(value) and issubclass(value, v2.Transform) and value is not v2.Transform
    }
    if name not in classes:
        raise UsageError(f"torchvision.transforms.v2: {unknown('transform', name, classes)}")
    try:
        transform = classes[name](**settings)
    except Exception as error:
        given = inspect.signature(classes[name])
        raise UsageError(f"torchvision.{name}: {_first_line(error)}; its settings are {given}") from error
    as_bytes = _needs_bytes(name, transform, channels, size)
    return Augmentation(pixels=partial(_transformed, transform, as_bytes))


def _needs_bytes(name: str, transform: Any, channels: int, size: int) -> bool:
    """Return whether a transform takes images of 8 bits only; refuse one that does not fit into training."""
    problems = []
    for as_bytes in (False, True):
        try:
            problem = _tried(transform, as_bytes, channels, size)
        except Exception as error:
            problem = _first_line(error)
        if not problem:
            return as_bytes
        problems.append(problem)
    raise UserError(
        f"torchvision.{name} cannot change images of {channels} channels and {size} px in training: {problems[-1]}",
        "leave it out of stage.N.augment, or choose other settings",
    )


def _tried(transform: Any, as_bytes: bool, channels: int, size: int) -> str:
    """Return why the results of a transform cannot be used; empty if they can."""
    images = torch.rand((channels, size, size), generator=torch.Generator().manual_seed(0))
    for seed in range(_TRIALS):
        before = torch.random.get_rng_state()
        first, second = (_one(transform, as_bytes, images, seed) for _ in range(2))
        if not isinstance(first, Tensor) or first.shape != images.shape or first.dtype != images.dtype:
            shape = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
            return f"it returns {shape} for {tuple(images.shape)}"
        if not bool(torch.isfinite(first).all()) or float(first.min()) < -1e-3 or float(first.max()) > 1.0 + 1e-3:
            return "it returns other numbers than those between black and white"
        if not torch.equal(first, second) or not torch.equal(before, torch.random.get_rng_state()):
            return "it draws random numbers in a way that cannot be seeded"
    return ""


def _one(transform: Any, as_bytes: bool, image: Tensor, seed: int) -> Any:
    given = (image * 255.0).round().to(torch.uint8) if as_bytes else image.clone()
    with _Seeded(seed):
        result = transform(given)
    return result.float() / 255.0 if isinstance(result, Tensor) and result.dtype == torch.uint8 else result


def _transformed(transform: Any, as_bytes: bool, images: Tensor, keys: NDArray[np.uint64], pass_number: int) -> Tensor:
    seeds = (uniforms(keys, pass_number, 1)[:, 0] * 2.0**53).astype(np.int64).tolist()
    for row, seed in enumerate(seeds):
        images[row] = _one(transform, as_bytes, images[row].contiguous(), seed).clamp(0.0, 1.0)
    return images


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
