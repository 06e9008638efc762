"""A network in the form that can leave the program: images in, predictions out, without hooks and exceptions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kagglekit.compute.frozen_features import FrozenFeatures
from kagglekit.compute.stacked_head import SMALLEST, StackedHead, StackedNetwork, linked, unit_length

Activate = Callable[[Tensor], Tensor]


class Exportable(nn.Module):
    """Normalised images (B, channels, S, S) float32 to predictions (B, C) float32."""

    def __init__(self, network: nn.Module, size: int, activate: Activate) -> None:
        super().__init__()
        self.network = _Stack(network, size) if isinstance(network, StackedNetwork) else network
        self.activate = activate

    def forward(self, images: Tensor) -> Tensor:
        """Return the predictions."""
        return self.activate(self.network(images).float())


class _Stack(nn.Module):
    """A stack of heads that resizes with constant matrices, which every runtime has."""

    def __init__(self, network: StackedNetwork, size: int) -> None:
        super().__init__()
        self.features = _Features(network.features, size)
        self.head = _Head(network.head)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.features(images))
        return outputs


class _Features(nn.Module):
    """The features of `FrozenFeatures`."""

    def __init__(self, features: FrozenFeatures, size: int) -> None:
        super().__init__()
        self.features = features
        self.size = size
        for side in features.sizes:
            self.register_buffer(f"to_{side}", resizing(size, side))

    def forward(self, images: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for side in self.features.sizes:
            matrix: Tensor = getattr(self, f"to_{side}")
            seen = images if side == self.size else matrix @ images @ matrix.T
            parts += self.features.of_size(seen)
        return torch.cat(parts, dim=1)


def resizing(size: int, side: int) -> Tensor:
    """Return the matrix (side, size) that resizes an axis like `frozen_features.resized`, which is linear."""
    rows = torch.eye(size)[None, None]
    found = interpolate(rows, size=(side, size), mode="bilinear", antialias=True, align_corners=False)
    return found[0, 0]


class _Head(nn.Module):
    """A `StackedHead` whose unknown targets are counted out beforehand."""

    def __init__(self, head: StackedHead) -> None:
        super().__init__()
        self.form = head.form
        targets = head.targets.float()
        for name, value in (
            ("weight", head.weight.T),
            ("bias", head.bias),
            ("unit_weight", head.unit_weight.T),
            ("bank", head.bank.float().T),
            ("known", (~targets.isnan()).float()),
            ("targets", targets.nan_to_num()),
            ("vote", head.vote),
        ):
            self.register_buffer(name, value.detach().clone().contiguous())

    def forward(self, features: Tensor) -> Tensor:
        part = self.get_buffer
        unit = unit_length(features, self.form.columns)
        outputs = features @ part("weight") + part("bias") + unit @ part("unit_weight")
        if self.form.n_neighbours:
            kernel = ((unit @ part("bank") - 1) * part("vote")[1]).exp()
            mean = (kernel @ part("targets")) / (kernel @ part("known")).clamp(min=SMALLEST)
            outputs = outputs + part("vote")[0] * linked(mean, self.form.link)
        return outputs
