"""Choose an ensemble by its loss on the valid images: a member alone, the mean of all, or their weighted pool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kagglekit import Ensemble, Member
from kagglekit_ensembles.fitted import combined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from kagglekit import Task
    from kagglekit_ensembles.method import Method

POOLS = ("log-weighted", "weighted")  # the first one that fits the task
CALIBRATED = "temperature"
CLEAR = 2.0  # standard errors of the gain that a single member is calibrated for


def automatic(
    methods: Mapping[str, Method],
    members: Sequence[Member],
    labels: pd.Series[str],
    task: Task,
    seed: int,
    groups: pd.Series[str] | None,
) -> Ensemble:
    """Combine the members in the way that has the least valid loss; of equal ones, the first.

    The loss of a pool is cross-fitted, so that its weights do not flatter it. Without valid predictions it is the mean.
    A single member is calibrated if its loss is then clearly lower: a temperature changes no predicted class.
    """
    alone = {member.name: Ensemble(member.valid, member.test, {"weights": {member.name: 1.0}}) for member in members}
    if len(members) == 1:
        if CALIBRATED not in methods or not len(members[0].valid):
            return alone[members[0].name]
        made = {**alone, CALIBRATED: combined(methods[CALIBRATED], members, labels, task, seed, groups)}
        found = _compared(made, alone, labels, task)
        clear = found["gain over the best member"] > CLEAR * found["standard error of the gain"]
        return _taken(made, found) if clear else alone[members[0].name]
    mean = combined(methods["mean"], members, labels, task, seed)
    if not len(mean.valid):
        return mean
    pools = [name for name in POOLS if name in methods][:1]
    made = {**alone, "mean": mean}
    made |= {name: combined(methods[name], members, labels, task, seed, groups) for name in pools}
    return _taken(made, _compared(made, alone, labels, task))


def _compared(
    made: Mapping[str, Ensemble], alone: Mapping[str, Ensemble], labels: pd.Series[str], task: Task
) -> dict[str, Any]:
    """Return the way of the least valid loss, all losses, and the gain over the best member alone."""
    valid = next(iter(made.values())).valid
    truth = task.truth(labels, valid)
    losses = {name: task.losses(truth, each.valid.loc[valid.index].to_numpy()) for name, each in made.items()}
    means = {name: float(of_images.mean()) for name, of_images in losses.items()}
    chosen, best = min(means, key=means.__getitem__), min(alone, key=means.__getitem__)
    gain = losses[best] - losses[chosen]
    return {
        "chosen": chosen,
        "valid losses": means,
        "gain over the best member": float(gain.mean()),
        "standard error of the gain": float(gain.std() / max(1, len(gain) - 1) ** 0.5),
    }


def _taken(made: Mapping[str, Ensemble], found: Mapping[str, Any]) -> Ensemble:
    ensemble = made[found["chosen"]]
    return replace(ensemble, fitted={**found, **ensemble.fitted})
