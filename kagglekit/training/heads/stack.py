"""Fit a stack: several heads on the same frozen features, pooled by what each is worth on images held out from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kagglekit.compute.heads.frozen_features import Columns
from kagglekit.compute.heads.stacked_head import Stack, StackedHead, StackForm, unit_length
from kagglekit.tasks.cross_validation import Split
from kagglekit.tasks.log_pool import fit_log_pool
from kagglekit.tasks.softmax_regression import solving
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.training.heads.votes import Vote, Votes
from kagglekit.types.data_config import SourceClassifier

T = TypeVar("T")
Floats = NDArray[np.float32]

MOST_CELLS = 4e8  # numbers of a table of features, 1.6 GB: with more, taps are left out, then the second size
LEAST = 0.01  # weight of a head whose outputs are scaled to its own best: a smaller one is left out


@dataclass(frozen=True)
class Labelled:
    """What heads are fitted to.

    Attributes:
        features: (N, D) from `FrozenFeatures`.
        truth: (N,) or (N, C), see `Task`.
        groups: (N,) group numbers; None if there are no groups.
        chances: (N, Z) probabilities of the source classes, see `source_chances`; None without a source classifier.
    """

    features: Floats
    truth: NDArray[Any]
    groups: NDArray[np.int64] | None
    chances: Tensor | None = None


@dataclass(frozen=True)
class Head:
    """One head of a stack.

    Attributes:
        kind: How it is fitted.
        name: For people.
        columns: Columns of the features that it reads; None for those of unit length.
        strength: Of a regression, see `FittedHead`.
        held_out: (N, C) outputs for the training images, each by a head that was fitted without it; None if there are
            too few.
        scale: What its outputs are multiplied by, so that they are best alone.
        loss: Of the scaled held-out outputs.
        weight: Of the scaled outputs in the pool.
    """

    kind: Literal["regression", "discriminant"] | Vote
    name: str
    columns: list[int] | None
    strength: Any
    held_out: Floats | None
    scale: float = 1.0
    loss: float = float("nan")
    weight: float = 0.0


@dataclass(frozen=True)
class FittedStack:
    """A stack, and what was found while fitting it.

    Attributes:
        stack: The pooled heads.
        own: The regression on the network's last features.
        heads: All heads that were tried.
        loss: The pool's loss on held-out images, fitted to the same.
    """

    stack: Stack
    own: FittedHead
    heads: tuple[Head, ...]
    loss: float

    def describe(self) -> str:
        """Return the line that reports the heads: each one's weight and held-out loss."""
        listed = ", ".join(f"{each.name} {each.weight:.2f} ({each.loss:.4f})" for each in self.heads)
        return f"stack of heads, weight (loss alone on held-out training images): {listed}; pooled {self.loss:.4f}"


def form_for(n_images: int, full: StackForm) -> StackForm:
    """Return a form whose table of features fits the memory: without taps, then without all sizes but the first."""
    for form in (full, replace(full, taps=())):
        if n_images * form.columns.width <= MOST_CELLS:
            return form
    return replace(full, taps=(), sizes=full.sizes[:1])


def fit_stack(
    form: StackForm,
    task: Task,
    loss: Callable[[Tensor, Tensor], Tensor],
    seed: int,
    train: Labelled,
    labelled: Labelled,
    source: SourceClassifier | None = None,
) -> FittedStack:
    """Fit the heads of a stack, pool them, and fit those that count anew to all labelled images.

    The heads are regressions on the network's last features, on those of unit length, and beside features of earlier
    layers and maxima; for one class an image, discriminant analysis; the vote of the nearest training images; and two
    heads on the probabilities of the classes of the pretraining, see `SourceHeads`. Their pool ``sum_k w_k z_k`` has
    the weights with the least loss on held-out outputs.

    Args:
        form: Sizes and taps.
        task: What is predicted.
        loss: Of outputs (N, C) and targets (N, C), a mean.
        seed: Seed of the folds.
        train: The training images: they decide strengths and weights.
        labelled: All images with labels, which the heads that predict test images are fitted to.
        source: The classifier of the pretraining, if the images have its probabilities.

    Returns:
        The stack; of the regression alone if there are too few images to hold some out.
    """
    columns = form.columns
    splits = task.head_folds(train.truth, train.groups, seed)

    def fitted(head: Head, images: Labelled) -> FittedHead | None:
        return _fitted(head, columns, task, seed, images)

    regressions = _kinds(columns) if splits else {"last": columns.own}
    jobs: list[Callable[[], Head | None]] = [
        partial(_regression, name, of, columns, task, seed, train) for name, of in regressions.items()
    ]
    jobs += [partial(_discriminant, columns, task, train, splits)] * bool(splits)
    tried = [head for head in side_by_side(jobs, train.features.size) if head]
    tried += _votes(columns, task, train, splits)
    heads, best = _pooled(tried, task, loss, train.truth) or ([replace(tried[0], weight=1.0)], math.nan)
    kept = [head for head in heads if head.weight >= LEAST]
    wanted = [partial(fitted, heads[0], train)]
    wanted += [partial(fitted, head, images) for images in (train, labelled) for head in kept]
    own, *layers = side_by_side(wanted, labelled.features.size)
    assert own is not None  # only neighbours have none
    stack = Stack(
        _assembled(form, task, kept, layers[len(kept) :], labelled, source),
        _assembled(form, task, kept, layers[: len(kept)], train, source),
    )
    return FittedStack(stack, own, tuple(heads), best)


def side_by_side(jobs: Sequence[Callable[[], T]], cells: int) -> list[T]:
    """Return the results of jobs, which fit heads, in order: one a thread of torch's; of large tables one at a time."""
    with solving(), ThreadPoolExecutor(1 if cells > MOST_CELLS / 4 else torch.get_num_threads()) as threads:
        return [each.result() for each in [threads.submit(job) for job in jobs]]


def _kinds(columns: Columns) -> dict[str, list[int] | None]:
    """Return the columns that regressions read, by their names; None for those of unit length."""
    kinds: dict[str, list[int] | None] = {"last": columns.own, "unit length": None}
    if len(columns.slices["last"]) > 1:
        kinds["last of all sizes"] = columns.of("last")
    return kinds | {f"last + {name}": columns.of("last", name) for name in columns.slices if name != "last"}


def _regression(name: str, chosen: list[int] | None, columns: Columns, task: Task, seed: int, images: Labelled) -> Head:
    features = _read(images.features, chosen, columns)
    strength, held_out = task.validate_head(features, images.truth, seed, images.groups)
    return Head("regression", name, chosen, strength, held_out)


def _discriminant(columns: Columns, task: Task, images: Labelled, splits: Sequence[Split]) -> Head | None:
    last = columns.of("last")
    found = task.fit_discriminant(images.features[:, last], images.truth, splits)
    if found is None or found.held_out is None:
        return None
    return Head("discriminant", "discriminant", last, found.strength, found.held_out)


def _votes(columns: Columns, task: Task, images: Labelled, splits: Sequence[Split]) -> list[Head]:
    if not splits or task.link is None:
        return []
    found = _votes_of(images, columns, task).held_out(splits, task.link)
    return [Head(name, name, None, None, held_out) for name, held_out in found.items()]


def _votes_of(images: Labelled, columns: Columns, task: Task) -> Votes:
    return Votes(images.features, images.chances, _targets(task, images.truth), columns)


def _pooled(
    tried: Sequence[Head], task: Task, loss: Callable[[Tensor, Tensor], Tensor], truth: NDArray[Any]
) -> tuple[list[Head], float] | None:
    """Return the heads with their scales, losses and weights, and the pool's loss; None if nothing is held out."""
    held_out = [head.held_out for head in tried if head.held_out is not None]
    if len(held_out) < len(tried):  # too few images for one of the regressions, so for all
        return None
    outputs = torch.from_numpy(np.stack(held_out)).double()
    rows = torch.isfinite(outputs).all(dim=2).all(dim=0)  # not those of which a part is unknown
    if not rows.any():
        return None
    outputs, targets = outputs[:, rows], _targets(task, truth)[rows].double()

    def of(pool: Tensor) -> Tensor:
        return loss(pool, targets)

    scales = np.array([fit_log_pool(each[None] / s, of, l1=0.0)[0] / s for each in outputs for s in [_spread(each)]])
    outputs = outputs * torch.from_numpy(scales)[:, None, None]
    weights = fit_log_pool(outputs, of)
    heads = [
        replace(head, scale=float(scale), weight=float(weight), loss=float(of(own)))
        for head, scale, weight, own in zip(tried, scales, weights, outputs, strict=True)
    ]
    kept = torch.tensor([head.weight if head.weight >= LEAST else 0.0 for head in heads]).double()
    return heads, float(of(torch.einsum("k,knc->nc", kept, outputs)))


def _spread(outputs: Tensor) -> float:
    """Return the deviation of outputs around their rows' means: a discriminant's may be in the hundreds."""
    return max(1.0, float((outputs - outputs.mean(dim=1, keepdim=True)).std()))


def _fitted(head: Head, columns: Columns, task: Task, seed: int, images: Labelled) -> FittedHead | None:
    """Return a head's linear layer; None for one that compares images."""
    if head.kind not in ("regression", "discriminant"):
        return None
    features = _read(images.features, head.columns, columns)
    if head.kind == "discriminant":
        return task.fit_discriminant(features, images.truth, ())
    return task.fit_head(features, images.truth, seed, images.groups, head.strength)


def _assembled(
    form: StackForm,
    task: Task,
    heads: Sequence[Head],
    fitted: Sequence[FittedHead | None],
    images: Labelled,
    source: SourceClassifier | None,
) -> StackedHead:
    """Return the module that computes the pool of heads."""
    votes = {cast(Vote, head.name): head.weight * head.scale for head in heads if head.kind in get_args(Vote)}
    n, reads = len(images.features), source if votes.keys() & {"source classes", "source neighbours"} else None
    full = replace(
        form,
        link=task.link or "identity",
        n_neighbours=n if "neighbours" in votes else 0,
        n_source=len(reads.bias) if reads else 0,
        n_source_neighbours=n if "source neighbours" in votes else 0,
    )
    made = StackedHead(full)
    for head, own in zip(heads, fitted, strict=True):
        if own is None:
            continue
        factor = head.weight * head.scale
        made.bias += factor * torch.from_numpy(own.bias)
        weight = factor * torch.from_numpy(own.weight)
        if head.columns is None:
            made.unit_weight += weight
        else:
            made.weight[:, head.columns] += weight
    if votes:
        _votes_of(images, form.columns, task).fill(made, votes, source)
    return made.eval()


def _read(features: Floats, chosen: list[int] | None, columns: Columns) -> Floats:
    found: Floats = _unit(features, columns).numpy() if chosen is None else features[:, chosen]
    return found


def _unit(features: Floats, columns: Columns) -> Tensor:
    return unit_length(torch.from_numpy(features), columns)


def _targets(task: Task, truth: NDArray[Any]) -> Tensor:
    return task.train_targets(torch.from_numpy(np.asarray(truth)), 0.0).float()
