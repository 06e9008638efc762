"""A network in the form that can leave the program: images in, predictions out, without hooks and exceptions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kagglekit.compute.heads.frozen_features import Columns, FrozenFeatures, pooled
from kagglekit.compute.heads.neighbours import SMALLEST, Link, linked
from kagglekit.compute.heads.source_classes import SourceHeads, source_chances
from kagglekit.compute.heads.stacked_head import StackedHead, StackedNetwork, unit_length
from kagglekit.types.data_config import Tap

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
    """The features of `FrozenFeatures`: a copy of the network returns its head's input, and hooks keep its taps."""

    def __init__(self, features: FrozenFeatures, size: int) -> None:
        super().__init__()
        self.model = without_head(features.model, features.head[0])
        self.sizes, self.size = features.sizes, size
        self.found: dict[int, Tensor] = {}
        for number, tap in enumerate(features.taps):
            self._listen(self.model.get_submodule(tap.module), number, tap)
        for side in features.sizes:
            self.register_buffer(f"to_{side}", resizing(size, side))

    def _listen(self, module: nn.Module, number: int, tap: Tap) -> None:
        def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.found[number] = pooled(inputs[0], tap)

        def after(_: nn.Module, inputs: Any, output: Any) -> None:
            self.found[number] = pooled(output, tap)

        if tap.of_input:
            module.register_forward_pre_hook(before)
        else:
            module.register_forward_hook(after)

    def forward(self, images: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for side in self.sizes:
            matrix = self.get_buffer(f"to_{side}")
            last = self.model(images if side == self.size else matrix @ images @ matrix.T).flatten(1).float()
            parts += [last, *(self.found[number] for number in sorted(self.found))]
            self.found.clear()
        return torch.cat(parts, dim=1)


def without_head(model: nn.Module, head: nn.Module) -> nn.Module:
    """Return a copy of a network that returns what its head is given, if the head is the last thing it calls."""
    name = next(name for name, module in model.named_modules() if module is head)
    twin = copy.deepcopy(model)
    parent, _, own = name.rpartition(".")
    setattr(twin.get_submodule(parent), own, nn.Identity())
    return twin


def resizing(size: int, side: int) -> Tensor:
    """Return the matrix (side, size) that resizes an axis like `frozen_features.resized`, which is linear."""
    rows = torch.eye(size)[None, None]
    found = interpolate(rows, size=(side, size), mode="bilinear", antialias=True, align_corners=False)
    return found[0, 0]


class _Vote(nn.Module):
    """The outputs of `neighbours_mean`, whose unknown targets are counted out beforehand."""

    def __init__(self, bank: Tensor, targets: Tensor, vote: Tensor, link: Link) -> None:
        super().__init__()
        targets = targets.float()
        self.link = link
        _keep(self, bank=bank.float().T, known=(~targets.isnan()).float(), targets=targets.nan_to_num())
        _keep(self, weight=vote[0], sharpness=vote[1])

    def forward(self, unit: Tensor) -> Tensor:
        part = self.get_buffer
        kernel = ((unit @ part("bank") - 1) * part("sharpness")).exp()
        mean = (kernel @ part("targets")) / (kernel @ part("known")).clamp(min=SMALLEST)
        return part("weight") * linked(mean, self.link)


class _SourceHeads(nn.Module):
    """`SourceHeads` with such a vote."""

    def __init__(self, heads: SourceHeads, targets: Tensor, columns: Columns) -> None:
        super().__init__()
        self.columns, self.link = columns, heads.link
        _keep(self, weight=heads.weight, bias=heads.bias, means=heads.means, share=heads.vote[0])
        self.vote = _Vote(heads.bank, targets, heads.vote[1:], heads.link) if len(heads.bank) else None

    def forward(self, features: Tensor) -> Tensor:
        part = self.get_buffer
        chances = source_chances(features, self.columns, part("weight"), part("bias"))
        outputs = part("share") * linked(chances @ part("means"), self.link)
        return outputs if self.vote is None else outputs + self.vote(chances.sqrt())


class _Head(nn.Module):
    """A `StackedHead` with such votes."""

    def __init__(self, head: StackedHead) -> None:
        super().__init__()
        self.columns = head.form.columns
        _keep(self, weight=head.weight.T, bias=head.bias, unit_weight=head.unit_weight.T)
        self.vote = _Vote(head.bank, head.targets, head.vote, head.form.link) if head.form.n_neighbours else None
        self.source = _SourceHeads(head.source, head.targets, self.columns) if head.source else None

    def forward(self, features: Tensor) -> Tensor:
        part = self.get_buffer
        unit = unit_length(features, self.columns)
        outputs = features @ part("weight") + part("bias") + unit @ part("unit_weight")
        if self.vote:
            outputs = outputs + self.vote(unit)
        return outputs + self.source(features) if self.source else outputs


def _keep(module: nn.Module, **values: Tensor) -> None:
    for name, value in values.items():
        module.register_buffer(name, value.detach().clone().contiguous())
