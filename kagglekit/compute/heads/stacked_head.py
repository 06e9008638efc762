"""Several heads on a network's frozen features, pooled into one network that predicts like any other."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.heads.frozen_features import Columns, FrozenFeatures, columns_of
from kagglekit.compute.heads.neighbours import Link, linked, neighbours_mean
from kagglekit.compute.heads.source_classes import SourceHeads
from kagglekit.compute.network import STACK, head_module, load_weights, save_weights, set_input_size
from kagglekit.system.errors import UserError
from kagglekit.types.data_config import Tap

KEY = "kagglekit-stack"  # of a weight file's metadata
SHARED = [("valid_head", "source.weight"), ("valid_head", "source.bias")]  # as those of the other head: written once


@dataclass(frozen=True)
class StackForm:
    """What a stack of heads looks like without its numbers, for the header of its file.

    Attributes:
        sizes: Sides of the images that the network sees, px, the largest last.
        taps: Where features are taken beside the head's input.
        n_last: Number of the head's inputs.
        n_outputs: C.
        n_neighbours: Images in the bank of neighbours; 0 if there is none.
        link: Turns a mean of targets into outputs.
        n_source: Classes of the network's pretraining; 0 if no head reads their probabilities.
        n_source_neighbours: Images in the bank of neighbours by these probabilities; 0 if there is none.
    """

    sizes: tuple[int, ...]
    taps: tuple[Tap, ...]
    n_last: int
    n_outputs: int
    n_neighbours: int = 0
    link: Link = "log"
    n_source: int = 0
    n_source_neighbours: int = 0

    @property
    def columns(self) -> Columns:
        """The columns of its features."""
        return columns_of(self.n_last, self.taps, len(self.sizes))


class StackedHead(nn.Module):
    """Features (B, D) to outputs (B, C): the weighted sum of all heads' outputs.

    Heads that are linear in the features are one linear layer, and so are those that are linear in features of unit
    length. Neighbours vote, see `neighbours_mean`.

    Attributes:
        weight: (C, D) of the linear heads.
        bias: (C,).
        unit_weight: (C, U) of those on features of unit length, U columns of the kind ``last``.
        bank: (N, U) float16, features of unit length of the training images.
        targets: (N, C) float16, their targets, for both banks; nan where unknown.
        vote: (2,) weight of the neighbours' outputs, and sharpness s of the kernel.
        source: The heads that read the probabilities of the source classes; None without.
    """

    weight: Tensor
    bias: Tensor
    unit_weight: Tensor
    bank: Tensor
    targets: Tensor
    vote: Tensor

    def __init__(self, form: StackForm) -> None:
        super().__init__()
        self.form = form
        columns = form.columns
        unit = len(columns.of("last"))
        for name, shape, dtype in (
            ("weight", (form.n_outputs, columns.width), torch.float32),
            ("bias", (form.n_outputs,), torch.float32),
            ("unit_weight", (form.n_outputs, unit), torch.float32),
            ("bank", (form.n_neighbours, unit), torch.float16),
            ("targets", (max(form.n_neighbours, form.n_source_neighbours), form.n_outputs), torch.float16),
            ("vote", (2,), torch.float32),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))
        sizes = form.n_source, form.n_last, form.n_outputs, form.n_source_neighbours
        self.source = SourceHeads(*sizes, form.link) if form.n_source else None

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs, computed in float32 also where the network is not."""
        with torch.autocast(features.device.type, enabled=False):
            return self._outputs(features.float())

    def _outputs(self, features: Tensor) -> Tensor:
        unit = unit_length(features, self.form.columns)
        outputs: Tensor = features @ self.weight.T + self.bias + unit @ self.unit_weight.T
        if self.form.n_neighbours:
            found = neighbours_mean(unit, self.bank.float(), self.targets.float(), self.vote[1])
            outputs = outputs + self.vote[0] * linked(found, self.form.link)
        return outputs if self.source is None else outputs + self.source(features, self.form.columns, self.targets)


def unit_length(features: Tensor, columns: Columns) -> Tensor:
    """Return the head's inputs (B, U) of each size, each of length 1, all of them together of length 1."""
    blocks = columns.slices["last"]
    parts = [normalize(features[:, start:stop], dim=1) for start, stop in blocks]
    return torch.cat(parts, dim=1) / math.sqrt(len(blocks))


@dataclass(frozen=True)
class Stack:
    """The pooled heads of a network.

    Attributes:
        head: Fitted to all labelled images: it predicts test and new images.
        valid_head: Fitted to the training images alone: it predicts the valid ones.
    """

    head: StackedHead
    valid_head: StackedHead


class StackedNetwork(nn.Module):
    """A network whose frozen features a stack of heads reads: images (B, channels, S, S) to outputs (B, C).

    Attributes:
        features: Of the network.
        head: Fitted to all labelled images.
        valid_head: Fitted to the training images alone.
        valid: Whether `valid_head` predicts.
    """

    def __init__(self, features: FrozenFeatures, stack: Stack, valid: bool = False) -> None:
        super().__init__()
        self.features = features
        self.head = stack.head
        self.valid_head = stack.valid_head
        self.valid = valid

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        outputs: Tensor = (self.valid_head if self.valid else self.head)(self.features(x))
        return outputs


def for_split(network: nn.Module, *, valid: bool) -> nn.Module:
    """Return the network that predicts valid images, which its heads have not seen, or others."""
    if isinstance(network, StackedNetwork):
        return StackedNetwork(network.features, Stack(network.head, network.valid_head), valid)
    return network


def save_stack(model: nn.Module, stack: Stack, path: Path) -> None:
    """Write a network's weights together with its stack of heads."""
    forms = {"head": stack.head.form, "valid_head": stack.valid_head.form}
    tensors = {
        f"{STACK}{part}.{name}": value
        for part, head in (("head", stack.head), ("valid_head", stack.valid_head))
        for name, value in head.state_dict().items()
        if (part, name) not in SHARED
    }
    save_weights(model, path, tensors, {KEY: json.dumps({name: asdict(form) for name, form in forms.items()})})


def read_stack(path: Path) -> Stack | None:
    """Return the stack of heads in a file of weights; None if it has none.

    Raises:
        UserError: The file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            written = (file.metadata() or {}).get(KEY)
            if written is None:
                return None
            forms = json.loads(written)
            heads = {}
            for part, facts in forms.items():
                heads[part] = StackedHead(_form(facts))
                wanted = {name: "head" if (part, name) in SHARED else part for name in heads[part].state_dict()}
                heads[part].load_state_dict(
                    {name: file.get_tensor(f"{STACK}{of}.{name}") for name, of in wanted.items()}
                )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"cannot read the heads in {path}: {error}", "the file is missing or damaged") from error
    return Stack(heads["head"].eval(), heads["valid_head"].eval())


def _form(facts: dict[str, Any]) -> StackForm:
    taps = tuple(Tap(**tap) for tap in facts["taps"])
    return StackForm(**{**facts, "sizes": tuple(facts["sizes"]), "taps": taps})


def load_network(model: nn.Module, groups: Sequence[Sequence[str]], path: Path, size: int) -> nn.Module:
    """Load a file of weights; return the network to predict with: the model, folded, or its stack of heads.

    Args:
        model: A network of the file's kind, set to the image size of its training.
        groups: Its layer groups.
        path: From `save_weights` or `save_stack`.
        size: Side of the images to predict, px.

    Raises:
        UserError: The file cannot be read, or belongs to another network.
    """
    load_weights(model, path)
    stack = read_stack(path)
    set_input_size(model, size)
    if stack is None:
        return folded(model.eval())
    _, head = head_module(model, groups)
    network = folded(model.eval(), shared=head)
    form = stack.head.form
    return StackedNetwork(FrozenFeatures(network, head, form.taps, form.sizes), stack).eval()
