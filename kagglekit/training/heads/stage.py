"""A stage of the head alone: cached activations, its regression, or a stack of heads."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.compute.device import BATCH
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.heads.frozen_features import FrozenFeatures, taps_of
from kagglekit.compute.heads.linear_head import linear_layer
from kagglekit.compute.heads.source_classes import source_chances, source_classifier
from kagglekit.compute.heads.stacked_head import Stack, StackedHead, StackForm
from kagglekit.compute.processes.ranks import Ranks
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.training.context import RunContext
from kagglekit.training.heads.cache import CachedActivations, head_inputs, head_outputs
from kagglekit.training.heads.features import Asked, StackFeatures, keeps
from kagglekit.training.heads.stack import FittedStack, Labelled, fit_stack, form_for
from kagglekit.training.heads.votes import MOST_CHANCES
from kagglekit.training.log import log_epoch, told_scores, valid_scores
from kagglekit.types.data_config import SourceClassifier
from kagglekit.types.stage import Stage


def cached_activations(context: RunContext, number: int, stage: Stage) -> CachedActivations:
    """Compute the activations at the head's input of all train and valid images, in the plain view."""
    started = time.perf_counter()
    rows = np.concatenate([context.images.rows("train"), context.images.rows("valid")])
    loader = context.images.loader("labelled", context.plain_view(stage), stage.size)
    context.model.to(memory_format=context.compute.infer.memory_format)
    body = folded(context.model.eval(), shared=context.head)
    own, world = context.ranks.part(rows), context.ranks.world
    parts, began = [], time.perf_counter()
    with context.display.bar(f"{stage.name}: activations", len(own)) as bar, context.recorded_batch():
        for part in head_inputs(body, context.head, loader, own, context.compute):
            context.count_step(world * len(part) * stage.size**2, began)
            parts.append(part)
            bar.advance(len(part))
            began = time.perf_counter()
    context.display.report(
        f"{number} {stage.name}: cached the activations of {len(rows):,} images at {stage.size} px in "
        f"{time.perf_counter() - started:.1f} s; augmentation is off in this stage"
    )
    where = np.full(int(rows.max()) + 1, -1)
    where[rows] = np.arange(len(rows))
    return CachedActivations(_of_all(context.ranks, parts), where)


def _of_all(ranks: Ranks, parts: Sequence[Tensor]) -> Tensor:
    """Return what all processes have computed, as one tensor where it was computed."""
    own = torch.cat(list(parts))
    return torch.from_numpy(ranks.gathered(own.cpu().numpy())).to(own.device) if ranks.several else own


def fit_heads(context: RunContext, number: int, stage: Stage) -> Stack:
    """Fit a stack of heads to the frozen network's features; it also gives the network's own head, at its own size."""
    started = time.perf_counter()
    images, task = context.images, context.task
    train, valid = images.rows("train"), images.rows("valid")
    n = len(train)
    form = form_of(context, stage, n + len(valid))
    features = _frozen_features(context, number, stage, form, np.concatenate([train, valid]))
    truth = np.concatenate([images.truth("train"), images.truth("valid")])
    loss = context.hooks.loss(context.recipe.model_copy(update={"loss": task.loss}), task)

    def fitted() -> FittedStack:
        used = np.concatenate([np.full(n, True), ~np.isin(images.ids("valid"), context.run.dropped())])
        source = _source(context, stage, form, len(features))
        chances = None if source is None else _chances(source, features, form)
        return fit_stack(
            form,
            task,
            loss,
            context.recipe.seed,
            Labelled(features[:n], truth[:n], images.groups("train"), None if chances is None else chances[:n]),
            Labelled(features[used], truth[used], None, None if chances is None else chances[used]),
            source,
        )

    with context.display.status(f"{number} {stage.name}: fitting heads to {n:,} images by regression"):
        found = context.ranks.of_first(fitted)
    context.display.report(f"{number} {stage.name}: {found.describe()}")
    values = _predicted(found.stack.valid_head, features, task)
    scores, seconds = valid_scores(context, values[n:]), time.perf_counter() - started
    if form.sizes[0] == stage.size:
        _set_head(context, found.own)
        train_loss = float(task.losses(truth[:n], values[:n]).mean())
        log_epoch(context, stage, (1, 1, 0), lr=0.0, train_loss=train_loss, scores=scores, seconds=seconds)
    elif len(valid):
        context.display.report(f"{number} {stage.name}: stack of heads, {told_scores(scores)}{seconds:.1f} s")
    return found.stack


def _source(context: RunContext, stage: Stage, form: StackForm, n: int) -> SourceClassifier | None:
    """Return the classifier of the network's pretraining, unless the network has changed since, or it is too large."""
    first = stage == context.stage(context.stages[0])
    source = source_classifier(context.model, form.n_last) if first and context.task.link else None
    if source is not None and n * len(source.bias) > MOST_CHANCES:
        context.display.report(
            f"{stage.name}: the {len(source.bias):,} classes of the pretraining are left out: with {n:,} images, their "
            "probabilities need too much memory"
        )
        return None
    return source


def _chances(source: SourceClassifier, features: NDArray[np.float32], form: StackForm) -> Tensor:
    parts = torch.split(torch.from_numpy(features), BATCH)
    return torch.cat([source_chances(part, form.columns, source.weight, source.bias) for part in parts])


def form_of(context: RunContext, stage: Stage, n_labelled: int) -> StackForm:
    """Return the form of a stage's stack for a number of labelled images."""
    n_last = linear_layer(context.head).in_features
    return form_for(n_labelled, StackForm(stage.stack_sizes, taps_of(context.model), n_last, context.task.n_outputs))


def _frozen_features(
    context: RunContext, number: int, stage: Stage, form: StackForm, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the features (N, D) of images in the plain view."""
    started = time.perf_counter()
    loader = context.images.loader("labelled", context.plain_view(stage), stage.largest)
    context.model.to(memory_format=context.compute.infer.memory_format)
    body = folded(context.model.eval(), shared=context.head)
    features = StackFeatures(
        context, FrozenFeatures(body, context.head, form.taps, form.sizes), form, keeps(context, stage)
    )
    asked = Asked(loader, 0, context.ranks.part(rows), f"{stage.name}: features")
    n_known = features.n_known(asked)
    parts = list(features.parts(asked))
    said = _from_where(len(rows), n_known, " and ".join(f"{size} px" for size in form.sizes))
    context.display.report(
        f"{number} {stage.name}: {said} in {time.perf_counter() - started:.1f} s; augmentation is off in this stage"
    )
    return _of_all(context.ranks, parts).numpy()


def _from_where(n: int, n_known: int, sizes: str) -> str:
    if n_known == n:
        return f"took the features of {n:,} images at {sizes} from the cache"
    rest = f" and took those of {n_known:,} from the cache" if n_known else ""
    return f"computed the features of {n - n_known:,} images at {sizes}{rest}"


@torch.no_grad()
def _predicted(head: StackedHead, features: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Return a stack's predictions (N, C), in batches: neighbours are compared with all training images."""
    parts = [task.activate(head(part)) for part in torch.split(torch.from_numpy(features), BATCH)]
    return torch.cat(parts).numpy()


def _set_head(context: RunContext, found: FittedHead) -> None:
    layer = linear_layer(context.head)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.weight))
        layer.bias.copy_(torch.from_numpy(found.bias))


def regress_head(context: RunContext, number: int, stage: Stage, cached: CachedActivations, started: float) -> None:
    """Fit the head by regression, and log that as an epoch."""
    rows, truth = context.images.rows("train"), context.images.truth("train")
    features = next(iter(cached.batches([rows], 0))).cpu().numpy().reshape(len(rows), -1)
    groups, task = context.images.groups("train"), context.task
    with context.display.status(f"{number} {stage.name}: fitting the head to {len(rows):,} images by regression"):
        found = context.ranks.of_first(lambda: task.fit_head(features, truth, context.recipe.seed, groups))
    _set_head(context, found)
    context.display.report(f"{number} {stage.name}: {found.text}")
    train_loss = float(task.losses(truth, head_outputs(context.head, cached, rows, task.activate)).mean())
    valid = head_outputs(context.head, cached, context.images.rows("valid"), task.activate)
    scores = valid_scores(context, valid)
    seconds = time.perf_counter() - started
    log_epoch(context, stage, (1, 1, 0), lr=0.0, train_loss=train_loss, scores=scores, seconds=seconds)
