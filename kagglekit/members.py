"""From snapshots to members: each one's predictions, plain and with test-time augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.ensemble import Member
from kagglekit.model import load_weights, save_weights, set_input_size
from kagglekit.passes import BATCH, mean_over_passes, predict_pass
from kagglekit.pictures import Kind, Split
from kagglekit.predictions import make_predictions, save_predictions
from kagglekit.view import View
from kagglekit.work import Snapshot, Work

if TYPE_CHECKING:
    from kagglekit.loader import Loader


@dataclass(frozen=True)
class Predicted:
    """A member's predictions, and the same without test-time augmentation for comparison."""

    member: Member
    plain_valid: pd.DataFrame
    plain_test: pd.DataFrame


def predict_members(work: Work, snapshots: Sequence[Snapshot]) -> list[Predicted]:
    """Predict valid and test images with each snapshot; add the averaged weights' where the recipe asks for them."""
    members = [predict_member(work, snapshot) for snapshot in snapshots]
    if work.plan.recipe.ensemble == "average":
        members.append(_average_member(work, snapshots))
    return members


def predict_member(work: Work, snapshot: Snapshot) -> Predicted:
    """Load a snapshot's weights and predict valid and test images, plain and with test-time augmentation."""
    set_input_size(work.model, snapshot.stage.size)
    load_weights(work.model, work.run.snapshot(snapshot.name))
    size = work.plan.recipe.predict_size or snapshot.stage.size
    set_input_size(work.model, size)
    work.model.to(memory_format=work.compute.infer.memory_format)
    plain: dict[Split, pd.DataFrame] = {}
    mean: dict[Split, pd.DataFrame] = {}
    splits: tuple[Split, ...] = ("valid", "test")
    for split in splits:
        plain[split], mean[split] = _predict_split(work, snapshot, split, size)
    for split, table in mean.items():
        save_predictions(table, work.run.predictions(snapshot.name, split))
        if work.plan.recipe.tta:
            save_predictions(plain[split], work.run.plain_predictions(snapshot.name, split))
    member = Member(snapshot.name, mean["valid"], mean["test"], work.run.name, snapshot.stage.name, snapshot.cycle)
    return Predicted(member, plain["valid"], plain["test"])


def _predict_split(work: Work, snapshot: Snapshot, split: Split, size: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of the plain view and the mean over it and the augmented ones."""
    ids = work.pictures.ids(split)
    if not ids:
        nothing = make_predictions([], work.plan.classes, np.zeros((0, len(work.plan.classes)), np.float32))
        return nothing, nothing
    stage, hooks, recipe = snapshot.stage, work.plan.hooks, work.plan.recipe
    kind: Kind = "test" if split == "test" else "labelled"
    plain = hooks.views(recipe, stage, "plain", work.config)
    passes = [(plain, 0)]
    if recipe.tta:
        tta = hooks.views(recipe, stage, "tta", work.config)
        passes += [(tta, turn) for turn in range(1, n_passes(tta, recipe.tta) + 1)]
    results = [_pass(work, snapshot, split, work.pictures.loader(kind, v, size, "tta"), turn) for v, turn in passes]
    first = make_predictions(ids, work.plan.classes, results[0])
    return first, make_predictions(ids, work.plan.classes, mean_over_passes(results))


def n_passes(view: View, asked: int) -> int:
    """Return the number of augmented passes: what the recipe asks for, or all that the view has."""
    return asked if view.passes is None else min(asked, view.passes)


def _pass(work: Work, snapshot: Snapshot, split: Split, loader: Loader, turn: int) -> NDArray[np.float32]:
    rows = work.pictures.rows(split)
    parts = []
    what = f"{snapshot.name}: {split}, view {turn}"
    for part in work.display.track(what, len(rows), predict_pass(work.model, loader, rows, turn, work.compute), BATCH):
        parts.append(part.numpy())
    return np.concatenate(parts)


def _average_member(work: Work, snapshots: Sequence[Snapshot]) -> Predicted:
    """Average the snapshots' weights, re-estimate BatchNorm's statistics on training images, and predict.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407.
    """
    last = snapshots[-1]
    same = [snapshot for snapshot in snapshots if snapshot.stage.size == last.stage.size]
    sums: dict[str, Tensor] = {}
    set_input_size(work.model, last.stage.size)
    for snapshot in same:
        load_weights(work.model, work.run.snapshot(snapshot.name))
        for name, value in work.model.state_dict().items():
            share = value.cpu().double() / len(same)  # on the CPU: Apple's GPUs have no float64
            sums[name] = sums[name] + share if name in sums else share
    work.model.load_state_dict({k: sums[k].to(v.dtype) for k, v in work.model.state_dict().items()})
    _estimate_batch_norm(work, last)
    average = Snapshot("average", last.stage, last.cycle)
    save_weights(work.model, work.run.snapshot("average"))
    return predict_member(work, average)


@torch.no_grad()
def _estimate_batch_norm(work: Work, snapshot: Snapshot) -> None:
    """Run training images once, shuffled, through the network with BatchNorm layers that average their statistics.

    Only those layers whose statistics the stage updated.
    """
    work.set_modes(snapshot.stage)
    layers = [m for m in work.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    work.model.eval()
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
    view = work.plan.hooks.views(work.plan.recipe, snapshot.stage, "train", work.config)
    loader = work.pictures.loader("labelled", view, snapshot.stage.size, "batch-norm")
    rows = np.random.default_rng(work.plan.recipe.seed).permutation(work.pictures.rows("train"))
    chunks = [rows[i : i + BATCH] for i in range(0, len(rows) - min(len(rows), BATCH) + 1, BATCH)]
    for inputs in loader.batches(chunks, 0):
        with work.compute.infer.autocast(work.compute.device):
            work.model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
