"""Runs that were stopped: which are of the same recipe and data, and what was asked for when they began."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.types.image_table import data_key

_ASKED = (  # of the request, what decides what a run does apart from recipe and data
    "preset",
    "precision",
    "deterministic",
    "compile",
    "stages",
    "full",
    "only_fold",
    "skip_bad_images",
    "disable",
    "save_every",
)


def start_facts(plan: Plan) -> dict[str, Any]:
    """Collect what run.json must hold for the run to be resumed."""
    asked = {name: value for name, value in asdict(plan.request).items() if name in _ASKED}
    asked |= {
        "preset": plan.preset or "auto",
        "competition": plugin_name(plan.request.competition),
        "data": str(plan.data),
        "device": str(plan.device),
        "sample": str(plan.sample.file) if plan.request.sample and plan.sample else "",
        "from_run": str(plan.base.folder.absolute()) if plan.base else "",
    }
    return {"request": json.loads(json.dumps(asked)), "data_key": data_key(plan.table, plan.data, plan.classes)}


def plugin_name(asked: str) -> str:
    """Return the competition's name, or the whole path of a plugin file."""
    return str(Path(asked).absolute()) if Path(asked).is_file() else asked


def asked_the_same(found: Any, wanted: Any) -> bool:
    """Compare what two runs were asked, but for where the data lie and how often to save."""
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return bool(found == wanted)
    return all(found.get(key) == wanted[key] for key in wanted if key not in ("data", "save_every"))


def request_of(run: Run, data: Path | None, fresh: bool) -> Request:
    """Return the request that began a run, its recipe as it was.

    Args:
        run: The stopped run.
        data: Where its data lie now; None for where they were.
        fresh: Whether it begins again, from the weights it began with; else a checkpoint has its weights.

    Raises:
        UserError: It stopped before it wrote down what was asked.
    """
    asked = run.info().get("request")
    if asked is None:
        raise UserError(f"{run.folder} cannot be resumed: its run.json does not say what was asked", "start it anew")
    known = {**asked, "disable": tuple(asked["disable"]), "data": data or Path(asked["data"])}
    known["sample"] = Path(asked["sample"]) if asked.get("sample") else None
    request = Request(**known, out=run.folder, recipe=run.recipe())
    return request if fresh else replace(request, from_run="")


def check_same_data(run: Run, plan: Plan) -> None:
    """Refuse to go on with other images, labels or splits than the run began with.

    Raises:
        UserError: They differ.
    """
    if data_key(plan.table, plan.data, plan.classes) != run.info()["data_key"]:
        raise UserError(
            f"{run.folder} cannot be resumed: the images, labels or splits in {plan.data} are not those it began with",
            "restore them, name their place with --data DIR, or start anew",
        )
