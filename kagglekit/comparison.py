"""What every ensemble would make of the same members, beside the one that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kagglekit.ensemble import Member
from kagglekit.errors import UserError
from kagglekit.outcome import Outcome, Scored, combine

NEEDS_MORE = ("average", "last")  # one needs weights of its own, the other is a member
FOR_ONE = ("temperature",)  # what may change a single member's predictions


def candidates(outcome: Outcome, members: Sequence[Member]) -> list[Scored]:
    """Combine the members in every way that a plugin provides, but the chosen one.

    Whatever an ensemble fits, its valid table is honest (see `Ensemble`); still, the best of many scores flatters
    a little.
    """
    plan = outcome.plan
    names = [name for name in plan.hooks.provides().ensemble if name not in (*NEEDS_MORE, plan.recipe.ensemble)]
    if len(members) == 1:
        names = [name for name in names if name in FOR_ONE]
    lines = []
    for name in names if len(outcome.labels) else []:
        recipe = plan.recipe.model_copy(update={"ensemble": name})
        try:
            made = combine(replace(outcome, plan=replace(plan, recipe=recipe)), members)
        except UserError as error:  # nobody asked for it: no reason to stop
            outcome.display.warn(f"the ensemble {name!r} is left out of the comparison: {error.what}")
        else:
            lines.append(Scored("candidate", name, made.valid, made.test))
    return lines
