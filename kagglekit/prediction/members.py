"""From snapshots to members: each one's predictions, plain and with test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.compute.forward import FILLED, predict_pass
from kagglekit.compute.heads.frozen_features import FrozenFeatures
from kagglekit.compute.heads.stacked_head import StackedNetwork, for_split, load_network
from kagglekit.compute.network import set_input_size
from kagglekit.compute.processes.ranks import ALONE
from kagglekit.images.dataset import Split, bad_ids, describe_bad
from kagglekit.images.loader import Passes
from kagglekit.prediction.finish import size_of
from kagglekit.prediction.sizes import pooled
from kagglekit.prediction.tta import predicting_views
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.training.heads.features import Asked, StackFeatures, keeps
from kagglekit.training.heads.stage import form_of
from kagglekit.training.weight_averaging import averaged_snapshot
from kagglekit.types.decoded import Kind
from kagglekit.types.ensemble import Member
from kagglekit.types.predictions import load_predictions, make_predictions, save_predictions
from kagglekit.types.view import View

SPLITS: tuple[Split, Split] = ("valid", "test")


@dataclass(frozen=True)
class Predicted:
    """A member's predictions, and the same without test-time augmentation for comparison."""

    member: Member
    plain_valid: pd.DataFrame
    plain_test: pd.DataFrame


class Tables(NamedTuple):
    """Predictions of one split: of the plain view, and the mean over it and the augmented ones."""

    plain: pd.DataFrame
    mean: pd.DataFrame


def predict_members(context: RunContext, snapshots: Sequence[Snapshot]) -> list[Predicted]:
    """Predict valid and test images with each snapshot; add the averaged weights if the recipe requests them."""
    if context.recipe.ensemble == "average":
        snapshots = [*snapshots, averaged_snapshot(context, [each for each in snapshots if not each.stage.stacks])]
    if context.images.stream:
        return _predict_streamed(context, snapshots)
    return [predict_member(context, snapshot) for snapshot in snapshots]


def predict_member(context: RunContext, snapshot: Snapshot) -> Predicted:
    """Load a snapshot's weights and predict valid and test images, plain and with test-time augmentation.

    Predictions that an interrupted run has saved are read instead.
    """
    ranks = context.ranks
    if ranks.of_first(lambda: all(context.run.predictions(snapshot.name, split).exists() for split in SPLITS)):
        return ranks.of_first(lambda: _predicted(context, snapshot))
    valid: dict[int, Tables] = {}
    test: dict[int, Tables] = {}
    for size in _sizes(context, snapshot):
        network = network_of(context, snapshot, size)
        valid[size], test[size] = (_predict_split(context, network, snapshot, split, size) for split in SPLITS)
    return ranks.of_first(lambda: _member(context, snapshot, valid, test))


def _predict_streamed(context: RunContext, snapshots: Sequence[Snapshot]) -> list[Predicted]:
    """Do what `predict_member` does, block by block of the test images: all members predict a block before the next.

    Processes that share the work take whole blocks, which each decodes alone.
    """
    pairs = [(snapshot, size) for snapshot in snapshots for size in _sizes(context, snapshot)]
    valid: list[dict[int, Tables]] = [{} for _ in snapshots]
    parts: list[list[Tables]] = [[] for _ in pairs]
    for snapshot, size in pairs:
        network = network_of(context, snapshot, size)
        valid[snapshots.index(snapshot)][size] = _predict_split(context, network, snapshot, "valid", size)
    ranks = context.ranks
    batch = ranks.of_first(lambda: context.compute.batch)
    for images in context.images.test_blocks(batch, ranks.rank, ranks.world):
        alone = replace(context, images=images, ranks=ALONE)
        for tables, (snapshot, size) in zip(parts, pairs, strict=True):
            network = network_of(context, snapshot, size)
            tables.append(_predict_split(alone, network, snapshot, "test", size))
    if ranks.several:
        usable = context.images.usable["test"]
        usable[:] = np.logical_and.reduce(ranks.all(usable))  # each knows which images of its own blocks are good
        parts = [_in_turn(each) for each in zip(*ranks.all(parts), strict=True)]
    if bad_ids(context.images, "test"):  # streamed images are decoded only here
        context.display.warn(describe_bad(context.images))
    tests: list[dict[int, Tables]] = [{} for _ in snapshots]
    for (snapshot, size), tables in zip(pairs, parts, strict=True):
        tests[snapshots.index(snapshot)][size] = Tables(*map(pd.concat, zip(*tables, strict=True)))
    members = zip(snapshots, valid, tests, strict=True)
    return ranks.of_first(lambda: [_member(context, *each) for each in members])


def _in_turn(blocks: Sequence[Sequence[Tables]]) -> list[Tables]:
    """Return the blocks of several processes in the order of the images: the first of each, then the second, ..."""
    return [each for turn in zip_longest(*blocks) for each in turn if each is not None]


def network_of(context: RunContext, snapshot: Snapshot, size: int) -> nn.Module:
    """Put a snapshot's weights into the network; return it ready to predict at a size, px."""
    set_input_size(context.model, snapshot.stage.size)
    path = context.run.snapshot(snapshot.name)
    network = load_network(context.model, context.groups, path, size)
    return network.to(context.compute.device).to(memory_format=context.compute.infer.memory_format)


def _sizes(context: RunContext, snapshot: Snapshot) -> tuple[int, ...]:
    own = size_of(context.recipe, context.record.info, snapshot.name, snapshot.stage)
    return context.recipe.predicting_sizes(snapshot.stage, context.config.multiple, own)


def _member(context: RunContext, snapshot: Snapshot, valid: dict[int, Tables], test: dict[int, Tables]) -> Predicted:
    """Save a snapshot's predictions, the plain ones first: an interrupted run then has all of them or none."""
    own = next(iter(valid))
    means = valid[own].mean, test[own].mean
    if len(valid) > 1:
        by_size = ({size: table.mean for size, table in tables.items()} for tables in (valid, test))
        means = pooled(context, snapshot.name, *by_size)
    for split, tables in zip(SPLITS, (valid, test), strict=True):
        save_predictions(tables[own].plain, context.run.plain_predictions(snapshot.name, split))
    for split, mean in zip(SPLITS, means, strict=True):
        save_predictions(mean, context.run.predictions(snapshot.name, split))
    return _predicted(context, snapshot)


def _predicted(context: RunContext, snapshot: Snapshot) -> Predicted:
    """Read a snapshot's predictions back."""
    valid, test = (load_predictions(context.run.predictions(snapshot.name, split)) for split in SPLITS)
    member = Member(snapshot.name, valid, test, context.run.name, snapshot.stage.name, snapshot.cycle)
    return Predicted(
        member, *(load_predictions(context.run.plain_predictions(snapshot.name, split)) for split in SPLITS)
    )


def _predict_split(context: RunContext, network: nn.Module, snapshot: Snapshot, split: Split, size: int) -> Tables:
    """Predict the images of a split, plain and with test-time augmentation."""
    ids = context.images.ids(split)
    if not ids:
        return Tables(context.task.empty(), context.task.empty())
    kind: Kind = "test" if split == "test" else "labelled"
    views = predicting_views(context.hooks, context.recipe, snapshot.stage, context.config)
    loaders = [(context.images.loader(kind, view, size, "tta"), pass_number) for view, pass_number in views]
    passes = Passes(loaders, context.images.rows(split))
    whose = for_split(network, valid=split == "valid")
    own = context.ranks.part(passes.places)
    at = f" at {size} px" if context.recipe.tta_sizes else ""
    title = f"{snapshot.name}: {split}{at}" + (f", {len(views)} views" if context.recipe.tta else "")
    predicted: NDArray[np.float32] | None = None
    if isinstance(whose, StackedNetwork) and keeps(context, snapshot.stage):
        predicted = np.concatenate([part.numpy() for part in _kept_passes(context, whose, passes, title)])
    elif len(own):
        passed = predict_pass(whose, passes, own, 0, context.compute, context.task.activate)
        predicted = _tracked(context, title, len(own), passed)
    results = context.ranks.gathered(predicted).reshape(len(views), len(ids), -1)
    columns = context.task.columns
    first = make_predictions(ids, columns, results[0])
    return Tables(first, make_predictions(ids, columns, context.task.mean_of_passes(results)))


def spared_cost(context: RunContext) -> float:
    """Return the work (see `Estimate`) that is spared because features of the first stage's stack are known.

    The valid images are predicted with the features that the heads were fitted beside.
    """
    stage, images = context.stage(context.stages[0]), context.images
    if not stage.stacks or not keeps(context, stage):
        return 0.0
    labelled = np.concatenate([images.rows("train"), images.rows("valid")])
    form = form_of(context, stage, len(labelled))
    network = FrozenFeatures(context.model, context.head, form.taps, form.sizes)
    features = StackFeatures(context, network, form, kept=True)
    (plain, _), *others = predicting_views(context.hooks, context.recipe, stage, context.config)
    wanted: list[tuple[Kind, NDArray[np.int64], View, int]] = [("labelled", labelled, plain, 0)]
    wanted += [("labelled", images.rows("valid"), *view) for view in others]
    wanted += [("test", images.rows("test"), *view) for view in ((plain, 0), *others)]
    spared = len(images.rows("valid"))
    for kind, rows, view, pass_number in wanted:
        if len(rows) and not (kind == "test" and images.stream):
            loader = images.loader(kind, view, stage.largest, "tta")
            spared += features.n_known(Asked(loader, pass_number, rows, stage.name))
    return spared * float(sum(size**2 for size in form.sizes))


@torch.no_grad()
def _kept_passes(context: RunContext, network: StackedNetwork, passes: Passes, title: str) -> Iterator[Tensor]:
    """Yield a stack's predictions (B, C) for all places of `passes`, from features that are kept."""
    head = network.valid_head if network.valid else network.head
    features = StackFeatures(context, network.features, head.form, kept=True)
    for loader, pass_number in passes.passes:
        for part in features.parts(Asked(loader, pass_number, passes.rows, title)):
            filled = np.resize(np.arange(len(part)), -(-len(part) // FILLED) * FILLED)  # else the last digits differ
            yield context.task.activate(head(part[filled]))[: len(part)]


def _tracked(context: RunContext, title: str, n: int, passed: Iterator[Tensor]) -> NDArray[np.float32]:
    with context.recorded_batch():
        return np.concatenate([part.numpy() for part in context.display.track(title, n, passed, len)])
