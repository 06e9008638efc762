"""Interrupted runs of the same recipe and data."""

from __future__ import annotations

from kagglekit.planning.identity import Identity
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.runs.lock import is_locked
from kagglekit.runs.lookup import all_runs
from kagglekit.system.errors import UserError


def find_unfinished(plan: Plan) -> Run | None:
    """Find the latest interrupted run of the same recipe, data and request; runs in progress do not count."""
    identity = Identity.of(plan)
    recipe = plan.recipe.to_json() + "\n"
    for run in reversed(all_runs(plan.request.out, plan.name)):
        try:
            info = run.info()
            own = run.recipe_file.read_text(encoding="utf-8")
        except (UserError, OSError, ValueError):  # a damaged run cannot be resumed anyway
            continue
        interrupted = info.status not in ("finished", "partial") and not is_locked(run)
        if interrupted and identity.is_of(info) and own == recipe:
            return run
    return None
