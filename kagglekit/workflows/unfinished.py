"""Interrupted runs of the same recipe and data."""

from __future__ import annotations

from kagglekit.planning.identity import asked_the_same, start_facts
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.runs.lock import is_locked
from kagglekit.system.errors import UserError


def find_unfinished(plan: Plan) -> Run | None:
    """Find the newest run that was stopped, of the same recipe, data and request; none that is running now."""
    wanted = start_facts(plan)
    recipe = plan.recipe.to_json() + "\n"
    for file in sorted((plan.request.out / plan.name).glob("*/recipe.json"), reverse=True):
        run = Run(file.parent)
        try:
            info = run.info()
        except UserError:  # a damaged one can't be resumed anyway
            continue
        same = all(asked_the_same(info.get(key), wanted[key]) for key in wanted)
        stopped = info.get("status") not in ("finished", "partial") and not is_locked(run)
        if same and stopped and file.read_text(encoding="utf-8") == recipe:
            return run
    return None
