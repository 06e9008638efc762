"""Compute metrics of several targets side by side, each of a kind of its own: blocks of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Score, UserError
from kagglekit_metrics.errors import HOLD_OUT_MORE, jackknife, mean_score
from kagglekit_metrics.scoring import Asked, Scoring

if TYPE_CHECKING:
    from kagglekit_metrics.errors import Table


@dataclass(frozen=True)
class Part:
    """A block, `kagglekit.Several.blocks`, with its weight and its own function."""

    weight: float
    block: Any
    scoring: Scoring

    def value(self, truth: Table, table: Table) -> float | None:
        """Return the block's value for the images that it is known for; None if there are none."""
        known, own = self.block.own_truth(truth)
        if not known.any():
            return None
        predicted = table[known][:, self.block.columns]
        quick = self.scoring.value
        return quick(own, predicted) if quick else self.scoring.score(own, predicted).value


def of_blocks(asked: Asked, of_kind: Callable[[Asked], Scoring]) -> Scoring:
    """Return the function of a metric: the mean of the blocks' own, weighted by `Competition.metric_weights`.

    Args:
        asked: What is requested, with its task.
        of_kind: Returns the function for a block's task, or raises a `UserError` if the metric is not for its kind.

    Raises:
        UserError: The metric is not for a block that counts, or the weights name others.
    """
    names = [block.name for block in asked.task.blocks]
    weights = asked.weights(names, len(names))
    if asked.name == "blocks_loss":
        return Scoring(lambda truth, table: _mean_loss(asked.task, truth, table))
    parts = [
        Part(float(weight), block, _of_block(asked, block, of_kind))
        for weight, block in zip(weights, asked.task.blocks, strict=True)
        if weight
    ]

    def value(truth: Table, table: Table) -> float:
        found = [(part.weight, own) for part in parts if (own := part.value(truth, table)) is not None]
        if not found:
            raise UserError(f"{asked.name} needs images with a target that counts, but there are none", HOLD_OUT_MORE)
        return sum(weight * own for weight, own in found) / sum(weight for weight, _ in found)

    def score(truth: Table, table: Table) -> Score:
        return Score(value(truth, table), jackknife(lambda rows: value(truth[rows], table[rows]), len(truth)))

    return Scoring(score, value)


def _of_block(asked: Asked, block: Any, of_kind: Callable[[Asked], Scoring]) -> Scoring:
    alone = asked.competition.model_copy(update={"metric_weights": {}})
    try:
        return of_kind(replace(asked, competition=alone, columns=block.task.columns, task=block.task))
    except UserError as error:
        raise UserError(
            f"target {block.name!r}: {error.what}", "give it the weight 0 in Competition.metric_weights"
        ) from error


def _mean_loss(task: Any, truth: Table, table: Table) -> Score:
    """Return the mean over images of the sum of their targets' losses."""
    known = ~np.isnan(truth).all(axis=1)
    return mean_score(task.losses(truth[known], table[known]))
