"""Average snapshots into one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kagglekit.compute.device import BATCH
from kagglekit.compute.network import load_weights, set_input_size
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.types.stage import Stage


def averaged_snapshot(context: RunContext, snapshots: Sequence[Snapshot]) -> Snapshot:
    """Average the snapshots' weights, and re-estimate BatchNorm's statistics on training images.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407.
    """
    last = snapshots[-1]
    same = [snapshot for snapshot in snapshots if snapshot.stage.size == last.stage.size]
    _load_mean(context, [context.run.snapshot(snapshot.name) for snapshot in same], last.stage)
    context.set_modes(last.stage)  # only layers whose statistics the stage updated are re-estimated
    layers = [m for m in context.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    _estimate_batch_norm(context, last.stage, layers)
    average = Snapshot("average", last.stage, last.cycle)
    context.save_weights(context.model, context.run.snapshot("average"))
    return average


def load_soup(context: RunContext, files: Sequence[Path], stage: Stage) -> None:
    """Load the mean of several runs' weights into the network; of one run, its weights as they are.

    BatchNorm's statistics are re-estimated on training images, as for averaged snapshots: activations of the mean
    network have other means and variances than those of its ingredients, so that the mean of their statistics fits
    none. Layers whose statistics all runs share, since they were not trained, keep them.

    Args:
        context: The run's.
        files: The weights.
        stage: The stage they come from: the size of its images, and its training view.
    """
    differ = _load_mean(context, files, stage)
    layers = [
        module
        for name, module in context.model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and differ & {f"{name}.running_mean", f"{name}.running_var"}
    ]
    _estimate_batch_norm(context, stage, layers)


def _load_mean(context: RunContext, files: Sequence[Path], stage: Stage) -> set[str]:
    """Load the mean of several files of weights; return the names of parameters and buffers in which they differ."""
    first: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    differ: set[str] = set()
    set_input_size(context.model, stage.size)
    context.model.to(memory_format=context.compute.infer.memory_format)
    for file in files:
        load_weights(context.model, file)
        for name, value in context.model.state_dict().items():
            share = value.cpu().double() / len(files)  # on the CPU: Apple's GPUs have no float64
            sums[name] = sums[name] + share if name in sums else share
            if not torch.equal(first.setdefault(name, share), share):
                differ.add(name)
    context.model.to(memory_format=context.compute.infer.memory_format)
    context.model.load_state_dict({k: sums[k].to(v.dtype) for k, v in context.model.state_dict().items()})
    return differ


@torch.no_grad()
def _estimate_batch_norm(context: RunContext, stage: Stage, layers: Sequence[nn.modules.batchnorm._BatchNorm]) -> None:
    """Run the shuffled training images once through the network, while BatchNorm layers average their statistics."""
    context.model.eval()
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
    view = context.hooks.views(context.recipe, stage, "train", context.config)
    loader = context.images.loader("labelled", view, stage.size, "batch-norm")
    rows = np.random.default_rng(context.recipe.seed).permutation(context.images.rows("train"))
    chunks = [rows[i : i + BATCH] for i in range(0, len(rows) - min(len(rows), BATCH) + 1, BATCH)]
    for inputs in loader.batches(chunks, 0):
        with context.compute.infer.autocast(context.compute.device):
            context.model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
