"""Record the facts of a run in run.json at its start, and after a failure."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from importlib.metadata import version
from typing import Any

from torch import nn

from kagglekit.compute.device import device_title
from kagglekit.compute.probes import cpu_name
from kagglekit.hooks.trust import record_plugins
from kagglekit.kaggle.credentials import masked
from kagglekit.planning.describe import weights_and_licence
from kagglekit.planning.identity import Identity, plugin_name
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display
from kagglekit.system.errors import SameAgain, UserError

PACKAGES = ("kagglekit", "torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn")


def record_start(plan: Plan, model: nn.Module, record: Record, identity: Identity | None = None) -> None:
    """Write what run.json contains from the start.

    Args:
        plan: The plan.
        model: The network with its initial weights.
        record: The run's run.json.
        identity: The identity that a request to resume the run must have; None for the plan's own.
    """
    weights, licence = weights_and_licence(plan, model)
    facts = _facts(plan, record, identity or Identity.of(plan))
    record.update(**facts, weights=weights, licence=licence)


def record_request(plan: Plan, record: Record, identity: Identity) -> None:
    """Write what run.json contains before the network is built."""
    record.update(**_facts(plan, record, identity))


def _facts(plan: Plan, record: Record, identity: Identity) -> dict[str, Any]:
    return {
        "status": "running",
        "error": None,
        "competition": plan.name,
        "plugin": plugin_name(plan.request.competition),
        "plugin_hashes": record_plugins(
            [plan.request.competition, *plan.request.plugins], record.file.parent / "plugins"
        ),
        "title": plan.competition.title,
        "slug": plan.competition.slug,
        "metric": plan.competition.metric,
        "preset": plan.preset,
        "stages": plan.stages,
        "from_run": plan.base.run.name if plan.base else None,
        "full_of": plan.fitted_on.run.name if plan.fitted_on else None,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": device_title(plan.device),
        "ranks": plan.ranks.world if plan.ranks.several else plan.request.jobs.ranks,
        "cpu": cpu_name(),
        "seed": plan.recipe.seed,
        "task": plan.task.kind,
        "classes": plan.classes,
        "task_state": plan.task.state(),
        "data": str(plan.data),
        "images": {split: int(n) for split, n in plan.table["split"].value_counts().items()},
        "command": record.info.command or [masked(part) for part in plan.request.command or sys.argv],
        "request": identity.request,
        "data_key": identity.data_key,
    }


def record_dropped(plan: Plan, run: Run, record: Record) -> None:
    """Keep which images no training sees in dropped.csv, from which the run is resumed, and their number."""
    if plan.dropped:
        run.write_dropped(plan.dropped)
        there = (plan.table["split"] != "test") & plan.table["id"].isin(plan.dropped)
        record.update(dropped=int(there.sum()))


@contextmanager
def reported_failures(
    plan: Plan,
    run: Run,
    record: Record,
    display: Display,
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[None]:
    """Record a failure in run.json, notify the watchers, and report where the finished parts are.

    Args:
        plan: The plan.
        run: The run's folder.
        record: Its run.json.
        display: Shows the report.
        alone: Keeps other processes from writing run.json while a failure is recorded; yields the record.
    """
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(UserError), alone() as shared:  # of a full disk
            own = shared if isinstance(shared, Record) else record
            own.update(status=status, error=masked(f"{type(error).__name__}: {error}"))
        plan.hooks.run_failed(run, error)
        display.report(f"{status}; everything finished so far is kept in {run.folder}")
        part = record.info.fold is not None or record.info.part_of is not None
        if not part and not isinstance(error, SameAgain):  # the whole run reports it
            display.report(f"hint: to resume: {display.command('resume', run.folder)}")
        raise
