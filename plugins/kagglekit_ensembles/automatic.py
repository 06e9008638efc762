"""Choose an ensemble by its loss on the valid images: a member alone, the mean of all, or their weighted pool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kagglekit import Ensemble, Member
from kagglekit_ensembles.fitted import combined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from kagglekit import Task
    from kagglekit_ensembles.method import Method

POOLS = ("log-weighted", "weighted")  # the first one that fits the task


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
    """
    alone = {member.name: Ensemble(member.valid, member.test, {"weights": {member.name: 1.0}}) for member in members}
    if len(members) == 1:
        return alone[members[0].name]
    mean = combined(methods["mean"], members, labels, task, seed)
    if not len(mean.valid):
        return mean
    pools = [name for name in POOLS if name in methods][:1]
    made = {**alone, "mean": mean}
    made |= {name: combined(methods[name], members, labels, task, seed, groups) for name in pools}
    truth = task.truth(labels, mean.valid)
    losses = {name: task.losses(truth, each.valid.loc[mean.valid.index].to_numpy()) for name, each in made.items()}
    means = {name: float(of_images.mean()) for name, of_images in losses.items()}
    chosen, best = min(means, key=means.__getitem__), min(alone, key=means.__getitem__)
    gain = losses[best] - losses[chosen]
    found = {
        "chosen": chosen,
        "valid losses": means,
        "gain over the best member": float(gain.mean()),
        "standard error of the gain": float(gain.std() / max(1, len(gain) - 1) ** 0.5),
    }
    return replace(made[chosen], fitted={**found, **made[chosen].fitted})
