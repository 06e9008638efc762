"""Join several networks: their concatenated features under one linear head."""

from __future__ import annotations

import math
from itertools import chain, zip_longest

import torch
from torch import Tensor, nn

from kagglekit import DataConfig, Recipe, UserError
from kagglekit_timm.groups import layer_groups as groups_of_one
from kagglekit_timm.known import singles
from kagglekit_timm.network import Classifier, LinearHead
from kagglekit_timm.network import build as build_one


class Normalised(nn.Module):
    """A network without its head, for images that are normalised for another network.

    Attributes:
        network: The network; its head is removed.
        scale: (1, C, 1, 1); with `shift`, converts the other normalisation to that of the network.
        shift: (1, C, 1, 1).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: Classifier, given: DataConfig) -> None:
        super().__init__()
        own = network.data_config
        self.network = network
        self.network.head = nn.Identity()
        means, stds = ([torch.tensor(v).view(1, -1, 1, 1) for v in pair] for pair in _pairs(given, own))
        self.register_buffer("scale", stds[0] / stds[1], persistent=False)
        self.register_buffer("shift", (means[0] - means[1]) / stds[1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (B, F) of images (B, C, S, S)."""
        features: Tensor = self.network(x * self.scale + self.shift)
        return features.flatten(1)


def _pairs(given: DataConfig, own: DataConfig) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return (given.mean, own.mean), (given.std, own.std)


class JointClassifier(nn.Module):
    """Several networks under one head: images (B, C, S, S), normalised for the first, to logits (B, classes)."""

    def __init__(self, bodies: list[Normalised], head: nn.Module, data_config: DataConfig) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.head = head
        self.data_config = data_config

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(torch.cat([body(x) for body in self.bodies], dim=1))
        return logits

    def set_input_size(self, size: int) -> None:
        """Prepare every network for images of `size` px."""
        for body in self.bodies:
            assert isinstance(body, Normalised)
            body.network.set_input_size(size)

    def layers(self) -> list[list[str]]:
        """Return the names of the bodies' parameters: the last layers of all of them are the last one."""
        each = [
            [[f"bodies.{number}.network.{name}" for name in layer] for layer in body.network.layers()]
            for number, body in enumerate(self.bodies)
            if isinstance(body, Normalised)
        ]
        joined = zip_longest(*(reversed(layers) for layers in each), fillvalue=())
        return [list(chain.from_iterable(layer)) for layer in joined][::-1]

    def set_grad_checkpointing(self, enable: bool) -> None:
        """Keep few activations of every network, or all of them again."""
        for body in self.bodies:
            assert isinstance(body, Normalised)
            body.network.set_grad_checkpointing(enable)


def build(recipe: Recipe, n_classes: int) -> JointClassifier:
    """Build the networks of `recipe.arch` and `recipe.archs` under a new linear head.

    Raises:
        UserError: A network is not available, the head is not linear, or there are too few weight files.
    """
    if recipe.head != "linear":
        raise UserError(f"several networks need a linear head, but the recipe has {recipe.head!r}", "--set head=linear")
    networks = [build_one(each, n_classes) for each in singles(recipe)]
    config = joined_config([network.data_config for network in networks])
    n_features = sum(network.head.in_features for network in networks if isinstance(network.head, LinearHead))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        head = LinearHead(n_features, n_classes, recipe.drop_rate)
    return JointClassifier([Normalised(network, config) for network in networks], head, config)


def joined_config(configs: list[DataConfig]) -> DataConfig:
    """Return the input that suits all: the first one's normalisation, sides that all accept, the largest own size."""
    return DataConfig(
        configs[0].mean,
        configs[0].std,
        math.lcm(*(config.multiple for config in configs)),
        "; ".join(dict.fromkeys(config.licence for config in configs if config.licence)),
        ", ".join(config.weights for config in configs),
        max(config.size for config in configs),
        all(config.any_size for config in configs),
    )


def layer_groups(model: nn.Module, n: int) -> list[list[str]]:
    """Join the layer groups of the networks; the head is the last group."""
    groups: list[list[str]] = [[] for _ in range(n - 1)]
    for number, body in enumerate(model.get_submodule("bodies").children()):
        found = groups_of_one(body.get_submodule("network"), n) or []
        for group, names in zip(groups, found, strict=False):  # its last group, a head, is empty
            group += [f"bodies.{number}.network.{name}" for name in names]
    return [*groups, [name for name, _ in model.named_parameters() if name.startswith("head.")]]
