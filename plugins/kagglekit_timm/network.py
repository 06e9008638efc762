"""timm's networks as bodies under a new head."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from kagglekit import DataConfig, Recipe, SourceClassifier, UserError
from kagglekit_timm import weights
from kagglekit_timm.features import taps_of
from kagglekit_timm.groups import numbered_layers
from kagglekit_timm.known import check_weights
from kagglekit_timm.spec import NothingToFill, Plan, known_cfg, plan_network
from kagglekit_timm.weight_files import read_weights


class LinearHead(nn.Linear):
    """Dropout, then a linear layer: features (B, F) to logits (B, C)."""

    def __init__(self, n_features: int, n_classes: int, drop_rate: float) -> None:
        super().__init__(n_features, n_classes)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features (B, F)."""
        return super().forward(self.drop(x))


def concat_head(n_features: int, n_classes: int, drop_rate: float) -> nn.Sequential:
    """Build fast.ai's head of two layers on pooled features (Howard and Gugger 2020, arXiv:2002.04688)."""
    return nn.Sequential(
        nn.BatchNorm1d(n_features),
        nn.Dropout(drop_rate / 2),
        nn.Linear(n_features, 512),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(512),
        nn.Dropout(drop_rate),
        nn.Linear(512, n_classes),
    )


class Classifier(nn.Module):
    """A timm network without its classifier, and a new head: images (B, channels, S, S) to logits (B, C).

    Attributes:
        body: timm's network, which returns features (B, F), or a map for `pool`.
        pool: Pools a map to features; the identity if the body pools.
        head: Features to logits.
        data_config: The expected input.
        taps: Where features can be taken beside the head's input.
        source_classifier: The classifier that the head has replaced, on the same features; None if that is unknown.
    """

    def __init__(
        self, body: nn.Module, pool: nn.Module, head: nn.Module, data_config: DataConfig, resizes: bool
    ) -> None:
        super().__init__()
        self.body: Any = body  # Any: it is called, and its methods differ
        self.pool = pool
        self.head = head
        self.data_config = data_config
        self.taps = taps_of(body)
        self.source_classifier: SourceClassifier | None = None
        self._resizes = resizes

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.pool(self.body(x)))
        return logits

    def set_input_size(self, size: int) -> None:
        """Prepare for images of `size` px; most networks accept any size.

        Others (BEiT, MaxViT, ...) resize their tables of relative positions: their parameters change shape.
        """
        if self._resizes:
            self.body.set_input_size(img_size=(size, size))

    def layers(self) -> list[list[str]]:
        """Return the names of the body's parameters, layer by layer as timm numbers them, the earliest first."""
        return [[f"body.{name}" for name in layer] for layer in numbered_layers(self.body)]

    def set_grad_checkpointing(self, enable: bool) -> None:
        """Keep only the activations between blocks in the forward pass, or all of them again.

        Raises:
            UserError: timm's network cannot.
        """
        try:
            self.body.set_grad_checkpointing(enable)
        except (AttributeError, AssertionError) as error:  # it has no such method; it has one that refuses
            raise UserError(
                f"timm's {type(self.body).__name__} has no gradient checkpointing",
                "leave out grad_checkpointing, or choose another network with --arch",
            ) from error


def build(recipe: Recipe, n_classes: int) -> Classifier:
    """Build the network of a recipe; its new weights depend only on the recipe's seed.

    For other channels than three, timm repeats the pretrained first layer's red, green and blue weights in turn, scaled
    so that the sum over all channels stays the same. The images' own normalisation takes the place of `data_config`'s.

    Raises:
        UserError: timm has no such network, it lacks a feature of the recipe, or its weights are not available.
    """
    cfg = known_cfg(recipe)
    plan = plan_network(recipe, cfg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        body, origin, licence, source = _body(recipe, cfg, plan)
        make_head = LinearHead if recipe.head == "linear" else concat_head
        head = make_head(plan.n_features, n_classes, recipe.drop_rate)
    mean, std = (cfg.mean, cfg.std) if recipe.has_rgb else ((0.5,) * recipe.channels, (0.25,) * recipe.channels)
    size = cfg.input_size[-1] if recipe.pretrained else 0
    config = DataConfig(mean, std, plan.multiple, licence, origin, size, not plan.resizes)
    model = Classifier(body, plan.pool, head, config, plan.resizes)
    model.source_classifier = source
    return model


def _body(recipe: Recipe, cfg: Any, plan: Plan) -> tuple[nn.Module, str, str, SourceClassifier | None]:
    """Return the body, the origin of its weights, their licence, and the classifier that they had."""
    check_weights(recipe)
    if not recipe.pretrained:
        on_meta = torch.get_default_device().type == "meta"  # shapes are all that is wanted
        with weights.quiet(), NothingToFill() if on_meta else nullcontext():
            return timm.create_model(recipe.arch, pretrained=False, **plan.options), "random", "", None
    if recipe.weights:
        path = Path(recipe.weights).expanduser()
        origin, licence = str(path), "unknown (local file)"
    else:
        path = weights.hub_file(recipe.arch, cfg.hf_hub_id, cfg.hf_hub_filename)
        origin, licence = cfg.hf_hub_id, cfg.license or "unknown"
    found = read_weights(path)
    if found.part:
        origin += f" (its {found.part})"
    body = weights.filled(recipe.arch, found.tensors, origin, bool(recipe.weights), **plan.options)
    source = weights.classifier(found.tensors, cfg, plan.n_features) if recipe.head == "linear" else None
    return body, origin, licence, source
