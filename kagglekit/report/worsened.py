"""A training whose last stage ended with a clearly higher valid loss than an earlier epoch, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.report.curves import verdict
from kagglekit.types.stage import Stage

LEAST = 0.1  # share of the earlier loss
CLEAR = 2.0  # standard errors
SLOWER = 4  # times: the rate to try next


@dataclass(frozen=True)
class Worsened:
    """What happened, and what to do.

    Attributes:
        what: ``stage all-2 ended with valid loss 6.4155, where stage all-1 had 1.6209 after epoch 20``.
        remedy: An imperative, without a full stop.
    """

    what: str
    remedy: str


def worsened(
    log: Sequence[Mapping[str, Any]], stages: Sequence[Stage], n_valid: int, lrs: Mapping[str, float] | None = None
) -> Worsened | None:
    """Return how the last stage of a training ended clearly worse than an earlier epoch; None if it did not.

    A stage that over-fits, without being worse than an earlier stage, has its own verdict: see `curves.verdict`. A
    stack of heads does not count: it is a member of its own, and may well be better than the fine-tuned network.

    Args:
        log: The rows of log.csv.
        stages: All stages of the recipe.
        n_valid: Number of valid images, of which a loss's noise depends; 0 if it is not known.
        lrs: Learning rates that a search found, by stage.
    """
    stacks = {stage.name for stage in stages if stage.stacks}
    known = [row for row in log if math.isfinite(float(row["valid_loss"])) and row["stage"] not in stacks]
    if not known:
        return None
    name = known[-1]["stage"]
    number, stage = next((i, each) for i, each in enumerate(stages, 1) if each.name == name)
    own, before = ([row for row in known if (row["stage"] == name) == same] for same in (True, False))
    end = min(own, key=_loss) if stage.keep == "best" else own[-1]
    over_fits = stage.by_gradient and verdict(own, stage) == "over-fitting"
    best = min(before if over_fits else known, key=_loss, default=end)
    if not stage.by_gradient or not _clearly_higher(_loss(end), _loss(best), n_valid):
        return None
    where = "it" if best["stage"] == name else f"stage {best['stage']}"
    what = (
        f"stage {name} ended with valid loss {_loss(end):.4f}, where {where} had {_loss(best):.4f} after epoch "
        f"{best['epoch']}"
    )
    if over_fits:
        return Worsened(what, shorten(number, stage))
    rate = f"{(lrs or {}).get(name, stage.lr) / SLOWER:.2g}"
    return Worsened(
        what,
        f"lower the learning rate of stage {number} (--set stage.{number}.lr={rate}, or one that "
        f"kagglekit lr-find --stage {number} suggests), or train longer (--epochs N)",
    )


def shorten(number: int, stage: Stage) -> str:
    """Return what to do about a stage that over-fits."""
    return f"shorten stage {stage.name}, or augment more: --set stage.{number}.augment=trivial-augment"


def _clearly_higher(loss: float, other: float, n_valid: int) -> bool:
    """Return whether a loss is higher by more than noise.

    The log has no standard errors. A log loss scatters over images by about its mean, and a low one, to which a few
    images add nearly all, by about its root.
    """
    scatter = math.hypot(*(max(abs(each), math.sqrt(abs(each))) for each in (loss, other)))
    noise = CLEAR * scatter / math.sqrt(n_valid) if n_valid else 0.0
    return loss - other > max(LEAST * abs(other), noise)


def _loss(row: Mapping[str, Any]) -> float:
    return float(row["valid_loss"])
