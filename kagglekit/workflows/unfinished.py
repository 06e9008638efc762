"""Interrupted runs of the same recipe and data."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kagglekit.planning.identity import Identity
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.runs.lock import POLL, is_led, is_locked, is_trained
from kagglekit.runs.lookup import all_runs
from kagglekit.system.errors import UserError

LEAVING = 60.0  # how long a process may take to save its work after the one that started it was killed, s


def find_unfinished(plan: Plan) -> Run | None:
    """Find the latest interrupted run of the same recipe, data and request; runs in progress do not count."""
    for run, info in _same(plan):
        if info.status not in ("finished", "partial") and not is_locked(run):
            return run
    return None


def find_begun(plan: Plan) -> Run | None:
    """Find the latest run that jobs of the same command have begun, so that the command does what is left.

    The process that started the jobs may have been killed a moment ago: then they still save their work, which is
    waited for. A finished run counts if it is one of several seeds that have not been compared yet.
    """
    for run, info in _same(plan):
        if info.status == "finished":
            if plan.request.repeats > 1 and info.repeats is None and run.output_file.exists():
                return run
        elif not is_led(run) and _is_free(run):
            return run
    return None


def _is_free(run: Run) -> bool:
    if any(run.folder.rglob(run.output_file.name)):
        wait_until_free(run)
    return not is_locked(run)


def wait_until_free(run: Run) -> None:
    """Wait for a process that still saves its work, since the one that started it was killed.

    One that starts the run's trainings as jobs, of which this process may be one, is not waited for.
    """
    until = time.monotonic() + LEAVING
    while is_trained(run) and time.monotonic() < until:
        time.sleep(POLL)


def _same(plan: Plan) -> Iterator[tuple[Run, RunInfo]]:
    """Yield the runs of the same recipe, data and request, the latest first."""
    identity = Identity.of(plan)
    recipe = plan.recipe.to_json() + "\n"
    for run in reversed(all_runs(plan.request.out, plan.name)):
        try:
            info = run.info()
            own = run.recipe_file.read_text(encoding="utf-8")
        except (UserError, OSError, ValueError):  # a damaged run cannot be resumed anyway
            continue
        if identity.is_of(info) and own == recipe:
            yield run, info
