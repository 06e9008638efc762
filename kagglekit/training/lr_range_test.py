"""The learning-rate range test: the rate grows each step until the loss diverges (Smith 2015, arXiv:1506.01186)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from kagglekit.compute.smoothing import centred, smoothed
from kagglekit.system.errors import UserError
from kagglekit.training.loop import begin, epoch_order, set_rates, take_step
from kagglekit.training.state import StageFit
from kagglekit.types.schedule import Schedule
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100  # rates of the head; 100 steps give 12 to each factor of ten
DIVERGED = 4.0  # times the lowest smoothed loss, and at least a nat above it
LEAST_FALL = 0.01  # share of the first loss: a smaller fall is none
NOISE = 1.7  # standard deviations of a step's loss: of 3000 simulated losses without a trend, 1 in 100 falls deeper
READ_EVERY = 10  # steps between two reads of a GPU's loss


class NoClearFall(UserError):
    """The loss fell no more than it does by chance."""


@dataclass(frozen=True)
class Sweep:
    """A range test.

    Attributes:
        rates: (N,) the head's rate in each step.
        losses: (N,) the loss of each step's batch before the step, nats, finite.
        ratios: Of each parameter group's rate to the head's.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    ratios: tuple[float, ...]

    @property
    def smooth(self) -> NDArray[np.float64]:
        """(N,) the losses, smoothed."""
        return centred(self.losses)


def sweep(fit: StageFit) -> Sweep:
    """Take at most 100 steps with growing rates, then restore the weights.

    The optimizer is not restored: its state is that of the steps.
    """
    before = {name: value.clone() for name, value in fit.model.state_dict().items()}
    grown = np.geomspace(LOWEST, HIGHEST, STEPS)
    momentum = fit.schedule.momentum[fit.schedule.lr.argmax()]  # that of the step with the highest rate
    schedule = Schedule(grown, np.full(STEPS, momentum), (STEPS,))
    ratios = tuple(group["lr"] / fit.stage.lr for group in fit.optimizer.param_groups)
    state = begin(fit)
    read_every = 1 if fit.compute.device.type == "cpu" else READ_EVERY
    kept: list[Tensor] = []
    for step, (chosen, inputs) in zip(range(STEPS), _batches(fit), strict=False):
        set_rates(fit.optimizer, ratios, schedule, step)
        state.step = step
        kept.append(take_step(fit, inputs, fit.truth[chosen], state))
        if (step + 1) % read_every == 0 and _diverged(torch.stack(kept).float().tolist()):
            break
    fit.model.load_state_dict(before)
    losses = torch.stack(kept).cpu().double().numpy()  # Apple's GPUs have no float64
    n = int(np.append(np.flatnonzero(~np.isfinite(losses)), len(losses))[0])
    return Sweep(grown[:n], losses[:n], _distinct(ratios))


def _batches(fit: StageFit) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield the positions and inputs of full batches, epoch after epoch."""
    for epoch in count():
        order = epoch_order(fit, epoch)[:STEPS]
        yield from zip(order, fit.inputs.batches([fit.rows[p] for p in order], epoch), strict=True)


def _diverged(losses: list[float]) -> bool:
    if not np.isfinite(losses[-1]):
        return True
    smooth = smoothed(losses, 0.8)
    return smooth[-1] > max(DIVERGED * min(smooth), min(smooth) + 1)


def _distinct(ratios: tuple[float, ...]) -> tuple[float, ...]:
    """Return each ratio once, ascending: an optimizer has several parameter groups in a layer group."""
    return tuple(sorted(set(ratios)))


def suggestions(found: Sweep) -> dict[str, float]:
    """Suggest rates of the head, from the smoothed losses.

    Returns:
        ``valley``: two thirds of the way along the deepest fall of the loss without a rise in it, up to the lowest
        loss; ``steep``: where it falls fastest over the rate's logarithm; ``tenth``: a tenth of the rate of the lowest
        loss.

    Raises:
        NoClearFall: The loss fell no more than noise does.
        UserError: The loss did not fall at any rate.
    """
    if len(found.rates) < 2:
        raise UserError(
            "no learning rate can be suggested: the loss was not finite, from the first steps",
            "try --precision fp32; check the images, the weights and a plugin's own loss",
        )
    smooth = found.smooth
    lowest = int(smooth.argmin())
    start, end = _deepest_fall(smooth[: lowest + 1])  # after the lowest loss, rates are too high: a fall may follow
    fall, scatter = smooth[start] - smooth[end], _scatter(found.losses[: lowest + 1])
    if fall <= LEAST_FALL * smooth[0]:
        raise UserError(
            "no learning rate can be suggested: the loss did not fall at any rate tried",
            "set one with --set stage.N.lr=1e-3, check the images, or start from other weights",
        )
    if fall <= NOISE * scatter:
        raise NoClearFall(
            f"no learning rate can be suggested: no clear fall of the loss, which fell by {fall:.2g} nats and scatters "
            f"by {scatter:.2g} from step to step",
            "set one with --set stage.N.lr=1e-3, or try a larger batch",
        )
    slopes = np.gradient(smooth)
    chosen = {"valley": start + round((end - start) * 2 / 3), "steep": int(slopes[: lowest + 1].argmin())}
    return {
        **{name: float(found.rates[step]) for name, step in chosen.items()},
        "tenth": float(found.rates[lowest]) / 10,
    }


def _scatter(losses: NDArray[np.float64]) -> float:
    """Return the standard deviation of the losses of single steps around their trend, from those of neighbours."""
    return float(np.diff(losses).std() / np.sqrt(2)) if len(losses) > 2 else 0.0


def _deepest_fall(smooth: NDArray[np.float64]) -> tuple[int, int]:
    """Return the first and the last point of the falling stretch that goes down furthest; equal if none falls."""
    falls = np.concatenate([[False], np.diff(smooth) < 0, [False]]).astype(np.int8)
    stretches = np.flatnonzero(np.diff(falls)).reshape(-1, 2)
    if not len(stretches):
        return 0, 0
    start, end = stretches[(smooth[stretches[:, 0]] - smooth[stretches[:, 1]]).argmax()]
    return int(start), int(end)


def with_rate(stage: Stage, lr: float) -> Stage:
    """Return the stage with another rate of the head; the other groups keep their ratios to it."""
    rates = stage.group_lrs and (*(rate * lr / stage.lr for rate in stage.group_lrs[:-1]), lr)
    return stage.model_copy(update={"lr": lr, "group_lrs": rates, "find_lr": False})


def found_rate(fit: StageFit) -> tuple[Stage, str]:
    """Return a fit's stage with the rate ``valley``, and a message for the log.

    A stage whose loss has no clear fall keeps its own rate: the stages before it need not be run again.

    Raises:
        UserError: The loss did not fall at any rate.
    """
    try:
        rates = suggestions(sweep(fit))
    except NoClearFall as error:
        return with_rate(fit.stage, fit.stage.lr), f"{error.what}; keeping learning rate {fit.stage.lr:.3g}"
    listed = ", ".join(f"{name} {rate:.2g}" for name, rate in rates.items())
    return with_rate(fit.stage, rates["valley"]), f"learning rate {rates['valley']:.3g} found ({listed})"
