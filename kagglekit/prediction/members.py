"""From snapshots to members: each one's predictions, plain and with test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import load_weights, set_input_size
from kagglekit.images.dataset import Split, bad_ids, describe_bad
from kagglekit.images.decode import Kind
from kagglekit.images.loader import Passes
from kagglekit.prediction.tta import mean_over_passes, n_passes
from kagglekit.training.context import Snapshot, Work
from kagglekit.training.weight_averaging import averaged_snapshot
from kagglekit.types.ensemble import Member
from kagglekit.types.predictions import load_predictions, make_predictions, save_predictions

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


def predict_members(work: Work, snapshots: Sequence[Snapshot]) -> list[Predicted]:
    """Predict valid and test images with each snapshot; add the averaged weights' where the recipe asks for them."""
    if work.plan.recipe.ensemble == "average":
        snapshots = [*snapshots, averaged_snapshot(work, snapshots)]
    if work.pictures.stream:
        return _predict_streamed(work, snapshots)
    return [predict_member(work, snapshot) for snapshot in snapshots]


def predict_member(work: Work, snapshot: Snapshot) -> Predicted:
    """Load a snapshot's weights and predict valid and test images, plain and with test-time augmentation.

    What a stopped run has predicted already is read instead.
    """
    if all(work.run.predictions(snapshot.name, split).exists() for split in SPLITS):
        return _predicted(work, snapshot)
    network = _network(work, snapshot)
    valid, test = (_predict_split(work, network, snapshot, split) for split in SPLITS)
    return _member(work, snapshot, valid, test)


def _predict_streamed(work: Work, snapshots: Sequence[Snapshot]) -> list[Predicted]:
    """Do what `predict_member` does, block by block of the test images: all members predict a block before the next."""
    valid: list[Tables] = []
    parts: list[list[Tables]] = [[] for _ in snapshots]
    for snapshot in snapshots:
        valid.append(_predict_split(work, _network(work, snapshot), snapshot, "valid"))
    for pictures in work.pictures.test_blocks(work.compute.batch):
        for tables, snapshot in zip(parts, snapshots, strict=True):
            network = _network(work, snapshot)
            tables.append(_predict_split(replace(work, pictures=pictures), network, snapshot, "test"))
    if bad_ids(work.pictures, "test"):  # of streamed images that is not known before
        work.display.warn(describe_bad(work.pictures))
    tests = [Tables(*map(pd.concat, zip(*tables, strict=True))) for tables in parts]
    return [_member(work, *each) for each in zip(snapshots, valid, tests, strict=True)]


def _network(work: Work, snapshot: Snapshot) -> nn.Module:
    """Put a snapshot's weights into the network; return it ready to predict."""
    set_input_size(work.model, snapshot.stage.size)
    load_weights(work.model, work.run.snapshot(snapshot.name))
    set_input_size(work.model, _size(work, snapshot))
    return folded(work.model.eval()).to(memory_format=work.compute.infer.memory_format)


def _size(work: Work, snapshot: Snapshot) -> int:
    return work.plan.recipe.predict_size or snapshot.stage.size


def _member(work: Work, snapshot: Snapshot, valid: Tables, test: Tables) -> Predicted:
    """Keep a snapshot's predictions: first the plain ones, so that a stopped run has all of them or none."""
    for split, tables in zip(SPLITS, (valid, test), strict=True):
        save_predictions(tables.plain, work.run.plain_predictions(snapshot.name, split))
    for split, tables in zip(SPLITS, (valid, test), strict=True):
        save_predictions(tables.mean, work.run.predictions(snapshot.name, split))
    return _predicted(work, snapshot)


def _predicted(work: Work, snapshot: Snapshot) -> Predicted:
    """Read a snapshot's predictions back."""
    valid, test = (load_predictions(work.run.predictions(snapshot.name, split)) for split in SPLITS)
    member = Member(snapshot.name, valid, test, work.run.name, snapshot.stage.name, snapshot.cycle)
    return Predicted(member, *(load_predictions(work.run.plain_predictions(snapshot.name, split)) for split in SPLITS))


def _predict_split(work: Work, network: nn.Module, snapshot: Snapshot, split: Split) -> Tables:
    """Predict the images of a split, plain and with test-time augmentation."""
    ids = work.pictures.ids(split)
    if not ids:
        nothing = make_predictions([], work.plan.classes, np.zeros((0, len(work.plan.classes)), np.float32))
        return Tables(nothing, nothing)
    size = _size(work, snapshot)
    stage, hooks, recipe = snapshot.stage, work.plan.hooks, work.plan.recipe
    kind: Kind = "test" if split == "test" else "labelled"
    plain = hooks.views(recipe, stage, "plain", work.config)
    views = [(plain, 0)]
    if recipe.tta:
        tta = hooks.views(recipe, stage, "tta", work.config)
        views += [(tta, turn) for turn in range(1, n_passes(tta, recipe.tta) + 1)]
    loaders = [(work.pictures.loader(kind, view, size, "tta"), turn) for view, turn in views]
    passes = Passes(loaders, work.pictures.rows(split))
    passed = predict_pass(network, passes, passes.places, 0, work.compute)
    words = f"{snapshot.name}: {split}" + (f", {len(views)} views" if recipe.tta else "")
    results = _shown(work, words, len(passes.places), passed).reshape(len(views), len(ids), -1)
    first = make_predictions(ids, work.plan.classes, results[0])
    return Tables(first, make_predictions(ids, work.plan.classes, mean_over_passes(results)))


def _shown(work: Work, what: str, n: int, passed: Iterator[Tensor]) -> NDArray[np.float32]:
    with work.noted_batch():
        return np.concatenate([part.numpy() for part in work.display.track(what, n, passed, work.compute.batch)])
