"""The finish of a fine-tune: how far from the frozen network, and at which size, it predicts valid images best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import interpolate_weights, set_input_size
from kagglekit.data.parts import assign_parts
from kagglekit.runs.info import Finished, RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

SHARES = (0.75, 0.5, 0.25, 0.0)  # of the way from the frozen network to the fine-tuned one
LEAST_VALID = 40  # images: fewer cannot tell
MOST_VALID = 2_000  # images that choose


@dataclass(frozen=True)
class Tried:
    """One way to finish, and its loss on each valid image that chooses."""

    way: Finished
    losses: NDArray[np.float64]


def finish(context: RunContext, snapshots: Sequence[Snapshot], fitted_on: LoadedRun | None) -> None:
    """Choose how fine-tuned snapshots predict, and replace their weights by the chosen ones.

    A short fine-tune at a small size may end below the head that it began with. Weights on the line between the two are
    often better than both (Wortsman et al. 2021, "Robust fine-tuning of zero-shot models", arXiv:2109.01903, section
    3), and so are larger images than those of training (Touvron et al. 2019, arXiv:1906.06423). The last snapshot
    chooses for all of them: the size, which grows until the loss does, the share, then the size again. A way counts
    only if it is better by cross-fitting: chosen on four fifths of the valid images, measured on the last fifth, by all
    five.

    Args:
        context: The run; what is chosen is kept in its run.json.
        snapshots: The run's; those of stages that train the head alone stay as they are.
        fitted_on: The finished run whose choice is repeated, if this one trains on all images.
    """
    tuned = [each for each in snapshots if context.recipe.finishes(each.stage)]
    if not tuned:
        return
    known = context.record.info.finished
    if not known:
        way, said = _repeated(fitted_on, tuned[-1]) if fitted_on else _chosen(context, tuned[-1])
        if said:
            context.display.report(said)
        if way is None:
            return
        known = {snapshot.name: way for snapshot in tuned}
        context.record.update(finished=known)
    for snapshot in tuned:
        _apply(context, snapshot, known[snapshot.name])


def size_of(recipe: Recipe, info: RunInfo, member: str, stage: Stage) -> int:
    """Return the side of the images that a member predicts, px."""
    if stage.stacks:
        return stage.largest
    found = info.finished.get(member)
    return recipe.predict_size or (found.size if found else stage.size)


def _repeated(other: LoadedRun, last: Snapshot) -> tuple[Finished | None, str]:
    """Return the choice of another run; of folds, the median share and size."""
    runs = [other.run.fold(number).info() for number in other.info.folds] or [other.info]
    plain = Finished(other.recipe.predict_size or last.stage.size, 1.0)
    found = [info.finished.get(last.name, plain) for info in runs]
    sizes = sorted(way.size for way in found)
    way = Finished(sizes[len(sizes) // 2], float(np.median([way.share for way in found])))
    if way == plain:
        return None, ""
    return way, f"finish: as {other.run.name} has chosen, {_told(way)}"


def _chosen(context: RunContext, last: Snapshot) -> tuple[Finished | None, str]:
    """Return the best way to finish, and the line that reports it; None if the fine-tuned network is as good."""
    images, seed = context.images, context.recipe.seed
    if len(images.rows("valid")) < LEAST_VALID:
        return None, ""
    places = np.sort(np.random.default_rng(seed).permutation(len(images.rows("valid")))[:MOST_VALID])
    rows, truth = images.rows("valid")[places], images.truth("valid")[places]
    own = context.recipe.predict_size or last.stage.size
    tried: dict[tuple[int, float], Tried] = {}

    def loss(size: int, share: float) -> float:
        if (size, share) not in tried:
            network = _network(context, last, share, size)
            values = _predicted(context, network, last.stage, size, rows)
            tried[size, share] = Tried(Finished(size, share), context.task.losses(truth, values))
        return float(tried[size, share].losses.mean())

    def grow(share: float) -> None:
        for size, larger in pairwise(context.recipe.finishing_sizes(last.stage, context.config)):
            if loss(larger, share) > loss(size, share):  # past the best one: the largest take longest
                break

    with context.display.bar("finish: sizes and shares on the valid images", None):
        loss(own, 1.0)
        grow(1.0)
        best = _best(tried)
        if context.config.any_size and context.run.snapshot("frozen").exists():
            for share in SHARES:
                loss(best.size, share)
            best = _best(tried)
            if best.share < 1.0:
                grow(best.share)
                best = _best(tried)
    ids = np.array(images.ids("valid"), dtype=object)[places]
    parts = assign_parts(list(ids), context.task.strata(truth), seed, images.group_names("valid"))
    gain, error = cross_fitted(list(tried.values()), tried[own, 1.0], parts)
    before, after = (float(tried[way].losses.mean()) for way in ((own, 1.0), (best.size, best.share)))
    if gain <= 0:
        said = f"finish: fine-tuned at {own} px: of {len(tried)} sizes and shares none is better by cross-fitting"
        return None, f"{said} ({gain:+.4f} ± {error:.4f})"
    return best, (
        f"finish: {_told(best)}: valid loss {before:.4f} -> {after:.4f}, gain by cross-fitting {gain:.4f} ± {error:.4f}"
    )


def _best(tried: Mapping[tuple[int, float], Tried]) -> Finished:
    return min(tried.values(), key=lambda each: each.losses.mean()).way


def _told(way: Finished) -> str:
    share = f"{way.share:.2f} of the way from the frozen network to the fine-tuned one"
    return f"{'fine-tuned' if way.share == 1.0 else share}, at {way.size} px"


def cross_fitted(tried: Sequence[Tried], plain: Tried, parts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean gain over `plain`, and its standard error, of ways that are chosen without the image.

    Args:
        tried: The ways.
        plain: One of them.
        parts: (N,) the part of each image, from `assign_parts`.
    """
    table = np.stack([each.losses for each in tried])
    gains = np.zeros(table.shape[1])
    for part in np.unique(parts) if len(np.unique(parts)) > 1 else ():  # of one group there is nothing to choose on
        best = int(table[:, parts != part].mean(axis=1).argmin())
        gains[parts == part] = (plain.losses - table[best])[parts == part]
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _network(context: RunContext, snapshot: Snapshot, share: float, size: int) -> nn.Module:
    set_input_size(context.model, snapshot.stage.size)
    start = context.run.snapshot("frozen") if share < 1.0 else None
    interpolate_weights(context.model, start, _tuned(context, snapshot), share)
    set_input_size(context.model, size)
    return folded(context.model.eval()).to(memory_format=context.compute.infer.memory_format)


def _predicted(
    context: RunContext, network: nn.Module, stage: Stage, size: int, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    loader, own = context.images.loader("labelled", context.plain_view(stage), size), context.ranks.part(rows)
    passed = predict_pass(network, loader, own, 0, context.compute, context.task.activate)
    with context.recorded_batch():
        return context.ranks.gathered(np.concatenate([part.numpy() for part in passed]) if len(own) else None)


def _apply(context: RunContext, snapshot: Snapshot, way: Finished) -> None:
    """Put the chosen weights in the place of a snapshot's; those of the training are kept under another name."""
    if way.share == 1.0:
        return
    kept, path = context.run.snapshot(f"{snapshot.name}-tuned"), context.run.snapshot(snapshot.name)
    context.ranks.once_here(lambda: None if kept.exists() else path.replace(kept))
    set_input_size(context.model, snapshot.stage.size)
    interpolate_weights(context.model, context.run.snapshot("frozen"), kept, way.share)
    context.save_weights(context.model, path)


def _tuned(context: RunContext, snapshot: Snapshot) -> Path:
    kept = context.run.snapshot(f"{snapshot.name}-tuned")
    return kept if kept.exists() else context.run.snapshot(snapshot.name)
