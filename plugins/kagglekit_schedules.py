"""The built-in schedules: learning rate and momentum of every optimizer step of a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kagglekit import Provides, Schedule, Stage, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cycle = Callable[[float, int], tuple[NDArray[np.float64], NDArray[np.float64]]]


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the schedules."""
    return Provides(schedule=("one-cycle", "sgdr", "flat-cosine", "constant"))


@hookimpl
def kagglekit_schedule(stage: Stage, steps_per_epoch: int) -> Schedule | None:
    """Join the stage's cycles, each of the form that `stage.schedule` names."""
    import numpy as np

    forms: dict[str, Cycle] = {
        "one-cycle": one_cycle,
        "sgdr": cosine_cycle,
        "flat-cosine": flat_cosine,
        "constant": constant,
    }
    if stage.schedule not in forms:
        return None
    steps = [epochs * steps_per_epoch for epochs in stage.cycle_epochs]
    cycles = [forms[stage.schedule](stage.lr, n) for n in steps]
    lr, momentum = (np.concatenate(parts) for parts in zip(*cycles, strict=True))
    return Schedule(lr, momentum, tuple(int(end) for end in np.cumsum(steps)))


def one_cycle(lr: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rise by cosine from lr/25 to `lr` over a quarter of the steps, then fall to lr/1e5.

    Momentum mirrors it: 0.95, 0.85, 0.95 (Smith 2018, arXiv:1803.09820, section 4).
    """
    import numpy as np

    rise = max(1, round(steps * 0.25))
    up, down = np.arange(rise) / rise, np.arange(steps - rise) / max(1, steps - rise - 1)
    rates = np.concatenate([_cosine(lr / 25, lr, up), _cosine(lr, lr / 1e5, down)])
    momenta = np.concatenate([_cosine(0.95, 0.85, up), _cosine(0.85, 0.95, down)])
    return rates, momenta


def cosine_cycle(lr: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fall as ``lr (1 + cos(pi t / T)) / 2`` (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5)."""
    import numpy as np

    return _cosine(lr, 0.0, np.arange(steps) / steps), np.full(steps, 0.9)


def flat_cosine(lr: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep `lr` for three quarters of the steps, then fall to 0 by cosine (fastai's fit_flat_cos)."""
    import numpy as np

    return _cosine(lr, 0.0, np.clip((np.arange(steps) / steps - 0.75) / 0.25, 0, 1)), np.full(steps, 0.9)


def constant(lr: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep `lr` throughout."""
    import numpy as np

    return np.full(steps, lr), np.full(steps, 0.9)


def _cosine(start: float, end: float, position: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return end + (start - end) * (1 + np.cos(np.pi * position)) / 2
