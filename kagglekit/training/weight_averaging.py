"""Average snapshots into one network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kagglekit.compute.device import BATCH
from kagglekit.compute.network import load_weights, save_weights, set_input_size
from kagglekit.training.context import RunContext, Snapshot


def averaged_snapshot(context: RunContext, snapshots: Sequence[Snapshot]) -> Snapshot:
    """Average the snapshots' weights, and re-estimate BatchNorm's statistics on training images.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407.
    """
    last = snapshots[-1]
    same = [snapshot for snapshot in snapshots if snapshot.stage.size == last.stage.size]
    sums: dict[str, Tensor] = {}
    set_input_size(context.model, last.stage.size)
    context.model.to(memory_format=context.compute.infer.memory_format)
    for snapshot in same:
        load_weights(context.model, context.run.snapshot(snapshot.name))
        for name, value in context.model.state_dict().items():
            share = value.cpu().double() / len(same)  # on the CPU: Apple's GPUs have no float64
            sums[name] = sums[name] + share if name in sums else share
    context.model.to(memory_format=context.compute.infer.memory_format)
    context.model.load_state_dict({k: sums[k].to(v.dtype) for k, v in context.model.state_dict().items()})
    _estimate_batch_norm(context, last)
    average = Snapshot("average", last.stage, last.cycle)
    save_weights(context.model, context.run.snapshot("average"))
    return average


@torch.no_grad()
def _estimate_batch_norm(context: RunContext, snapshot: Snapshot) -> None:
    """Run the shuffled training images once through the network, while BatchNorm layers average their statistics.

    Only layers whose statistics the stage updated are re-estimated.
    """
    context.set_modes(snapshot.stage)
    layers = [m for m in context.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    context.model.eval()
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
    view = context.hooks.views(context.recipe, snapshot.stage, "train", context.config)
    loader = context.images.loader("labelled", view, snapshot.stage.size, "batch-norm")
    rows = np.random.default_rng(context.recipe.seed).permutation(context.images.rows("train"))
    chunks = [rows[i : i + BATCH] for i in range(0, len(rows) - min(len(rows), BATCH) + 1, BATCH)]
    for inputs in loader.batches(chunks, 0):
        with context.compute.infer.autocast(context.compute.device):
            context.model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
