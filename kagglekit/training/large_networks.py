"""Train networks that are large for the device's memory: adapters, and activations that are computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from torch.nn.modules.batchnorm import _BatchNorm

from kagglekit.compute.low_rank import adapters, add_adapters, attention_layers, merge_adapters
from kagglekit.compute.network import grad_checkpointing
from kagglekit.system.errors import UserError
from kagglekit.training.batch_size import LEAST
from kagglekit.training.context import RunContext
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

Groups = Sequence[Sequence[str]]


def check_stages(model: nn.Module, groups: Groups, stages: Sequence[Stage]) -> None:
    """Refuse stages that the network cannot train as they ask, before any image is decoded.

    Raises:
        UserError: The network has no attention layers for adapters, no numbered layers or no gradient checkpointing, or
            it has BatchNorm layers and parts of a batch have one image.
    """
    for stage in stages:
        if stage.lora and stage.freeze_to != -1 and not adapted_layers(model, groups, stage):
            raise UserError(
                f"stage {stage.name} has lora={stage.lora}, but the network has no linear layers in attention blocks",
                f"use a vision transformer, or --set stage.{stage.name}.lora=0",
            )
        if stage.layer_decay is not None and not callable(getattr(model, "layers", None)):
            raise UserError(
                f"stage {stage.name} has a layer_decay, but the network has no method `layers` that numbers its layers",
                f"use a network of timm's, or --set stage.{stage.name}.layer_decay=none",
            )
        with grad_checkpointing(model, stage.grad_checkpointing):
            pass
        _check_parts(model, stage)


def _check_parts(model: nn.Module, stage: Stage) -> None:
    parts, batch = stage.grad_accum_steps, LEAST if stage.find_batch else stage.batch_size
    if parts > 1 and batch < 2 * parts and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise UserError(
            f"stage {stage.name}: {parts} parts of a batch of {batch} have a single image, and the network's BatchNorm "
            "layers need two",
            f"--set stage.{stage.name}.grad_accum_steps={max(1, batch // 2)}",
        )


def adapted_layers(model: nn.Module, groups: Groups, stage: Stage) -> list[str]:
    """Return the names of the layers that get adapters in a stage: those of the body's groups that are not frozen."""
    trained = {name for group in groups[stage.freeze_to % len(groups) : -1] for name in group}
    return [name for name in attention_layers(model) if f"{name}.weight" in trained]


def adapt(context: RunContext, number: int, stage: Stage) -> None:
    """Add a stage's adapters to the network, unless it has them: a checkpoint of the stage was restored."""
    if stage.lora and not adapters(context.model):
        layers = adapted_layers(context.model, context.groups, stage)
        seed = np.random.SeedSequence((context.recipe.seed, number)).generate_state(1)[0]
        add_adapters(context.model, layers, stage.lora, int(seed))


@contextmanager
def large_network(context: RunContext, number: int, stage: Stage) -> Iterator[None]:
    """Give the network in the block what the stage asks for: adapters, which are merged after it, and checkpointing."""
    adapt(context, number, stage)
    if adapters(context.model):
        context.display.report(f"{number} {stage.name}: {_describe_adapters(context.model, stage.lora)}")
    try:
        with grad_checkpointing(context.model, stage.grad_checkpointing):
            yield
    finally:
        merge_adapters(context.model)


def stage_optimizer(context: RunContext, stage: Stage) -> Optimizer:
    """Return the stage's optimizer, over the adapters in place of the body's weights if the stage has any."""
    model, groups, own = context.model, context.groups, adapters(context.model)
    if own:
        model.requires_grad_(False)
        groups = [[new for name in group for new in own.get(name, [])] for group in groups[:-1]] + [groups[-1]]
    return context.hooks.optimizer(model, groups, stage, context.recipe)


def _describe_adapters(model: nn.Module, rank: int) -> str:
    own = adapters(model)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    added = sum(sizes[name] for names in own.values() for name in names)
    total = sum(sizes.values()) - added
    return f"adapters of rank {rank} on {len(own)} layers train, {added:,} weights beside {total:,}"
