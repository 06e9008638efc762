"""Features of a frozen network at one or more image sizes, as columns of one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kagglekit.compute.network import input_of
from kagglekit.types.data_config import Tap

Kind = Literal["last", "earlier", "max"]


def taps_of(model: nn.Module) -> tuple[Tap, ...]:
    """Return where the features of a network can be taken beside the head's input; empty if it does not say."""
    return tuple(getattr(model, "taps", ()))


class FrozenFeatures(nn.Module):
    """Images (B, channels, S, S) to features (B, D) float32: of each size, the head's input, then those of each tap.

    Images are resized from the largest size to the others.

    Args:
        model: In eval mode; it may be folded.
        head: Its head, which is not called.
        taps: Where else features are taken.
        sizes: Sides of the images that the network sees, px, the largest last.
    """

    def __init__(self, model: nn.Module, head: nn.Module, taps: Sequence[Tap], sizes: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.head = [head]  # not a part: the network has it
        self.taps = tuple(taps)
        self.sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        parts = []
        for size in self.sizes:
            parts += self._at(resized(x, size))
        return torch.cat(parts, dim=1)

    def _at(self, x: Tensor) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        with self._listening(found):
            last = input_of(self.model, self.head[0], x).flatten(1).float()
        return [last, *(found[number] for number in range(len(self.taps)))]

    @contextmanager
    def _listening(self, found: dict[int, Tensor]) -> Iterator[None]:
        with ExitStack() as stack:
            for number, tap in enumerate(self.taps):
                module = self.model.get_submodule(tap.module)

                def before(_: nn.Module, inputs: tuple[Any, ...], number: int = number, tap: Tap = tap) -> None:
                    found[number] = pooled(inputs[0], tap)

                def after(_: nn.Module, inputs: Any, output: Any, number: int = number, tap: Tap = tap) -> None:
                    found[number] = pooled(output, tap)

                add: Any = module.register_forward_pre_hook if tap.of_input else module.register_forward_hook
                stack.callback(add(before if tap.of_input else after).remove)
            yield


def resized(x: Tensor, size: int) -> Tensor:
    """Return images (B, channels, S, S) at another side, px."""
    if x.shape[-1] == size:
        return x
    small = interpolate(x.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return small.to(x.dtype)


def pooled(features: Tensor, tap: Tap) -> Tensor:
    """Return a map's average or maximum (B, channels) float32: of (B, F, H, W), (B, H, W, F) or tokens (B, N, F)."""
    if features.ndim == 3:
        axes: tuple[int, ...] = (1,)
    else:
        axes = (2, 3) if features.shape[1] == tap.channels else (1, 2)
    features = features.float()
    return features.amax(axes) if tap.kind == "max" else features.mean(axes)


@dataclass(frozen=True)
class Columns:
    """The columns of a table of features: for each kind, their slices at each size.

    Attributes:
        slices: By kind, (start, stop) of each of its blocks.
        width: Number of columns of the table.
    """

    slices: dict[Kind, tuple[tuple[int, int], ...]]
    width: int

    def of(self, *kinds: Kind) -> list[int]:
        """Return the numbers of the columns of these kinds, in order."""
        return [column for kind in kinds for start, stop in self.slices.get(kind, ()) for column in range(start, stop)]

    @property
    def own(self) -> list[int]:
        """Return the columns of the head's input at the first size."""
        return list(range(*self.slices["last"][0]))


def columns_of(n_last: int, taps: Sequence[Tap], n_sizes: int) -> Columns:
    """Return the columns of `FrozenFeatures`.

    Args:
        n_last: Number of the head's inputs.
        taps: Its taps.
        n_sizes: Number of its sizes.
    """
    blocks: dict[Kind, list[tuple[int, int]]] = {}
    at = 0
    for _ in range(n_sizes):
        for kind, width in (("last", n_last), *((tap.kind, tap.channels) for tap in taps)):
            blocks.setdefault(kind, []).append((at, at + width))  # type: ignore[arg-type]
            at += width
    return Columns({kind: tuple(of) for kind, of in blocks.items()}, at)
