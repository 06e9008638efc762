"""What run.json says from the start, and on failure."""

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
from kagglekit.kaggle.credentials import masked
from kagglekit.planning.describe import weights_and_licence
from kagglekit.planning.identity import plugin_name
from kagglekit.planning.plan import Plan
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display
from kagglekit.system.errors import UserError

PACKAGES = ("kagglekit", "torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn")


def facts(plan: Plan, model: nn.Module) -> dict[str, Any]:
    """Collect what run.json says from the start."""
    weights, licence = weights_and_licence(plan, model)
    return {
        "competition": plan.name,
        "plugin": plugin_name(plan.request.competition),
        "title": plan.competition.title,
        "slug": plan.competition.slug,
        "metric": plan.competition.metric,
        "preset": plan.preset,
        "stages": list(plan.stages),
        "from_run": plan.base.name if plan.base else None,
        "full_of": plan.fitted_on.name if plan.fitted_on else None,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": device_title(plan.device),
        "cpu": cpu_name(),
        "seed": plan.recipe.seed,
        "classes": list(plan.classes),
        "data": str(plan.data),
        "images": {split: int(n) for split, n in plan.table["split"].value_counts().items()},
        "weights": weights,
        "licence": licence,
        "command": [masked(part) for part in sys.argv],
    }


@contextmanager
def reported_failures(
    plan: Plan, folder: Run, display: Display, alone: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Record a failure in run.json, tell the watchers, and say where what was made so far lies.

    Args:
        plan: The run's.
        folder: The run's.
        display: Where it is told.
        alone: Keeps other processes from writing run.json, where the block does not.
    """
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(UserError), alone():  # of a full disk
            folder.update_info(status=status, error=masked(f"{type(error).__name__}: {error}"))
        plan.hooks.run_failed(folder, error)
        display.report(f"{status}; what was made so far stays in {folder.folder}")
        if "fold" not in folder.info():  # the whole run says it of itself
            display.report(f"to go on: kagglekit resume {folder.folder}")
        raise
