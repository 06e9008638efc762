"""Compare an interrupted run with a request: a run is only resumed by the same one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kagglekit.data.packed_folder import source_of
from kagglekit.hooks.trust import trusted_plugins
from kagglekit.planning.drop import hash_of
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RecordedRequest, RunInfo
from kagglekit.runs.lock import READ_ONLY
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.job_process import is_job
from kagglekit.types.image_table import data_key

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display


@dataclass(frozen=True)
class Identity:
    """The facts, beside the recipe, that a run and a request must share for the run to be resumed.

    Attributes:
        request: The request, as far as it decides what the run does.
        data_key: Hash of the image table and the classes.
    """

    request: RecordedRequest
    data_key: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Return the identity of a plan's run."""
        facts = {name: value for name, value in vars(plan.request).items() if name in RecordedRequest.model_fields}
        facts |= {
            "preset": plan.preset or "auto",
            "competition": plugin_name(plan.request.competition),
            "plugins": tuple(map(plugin_name, plan.request.plugins)),
            "data": str(source_of(plan.data)),
            "device": plan.device.type if plan.ranks.several else str(plan.device),
            "sample": str(plan.sample.file) if plan.request.sample and plan.sample else "",
            "from_run": str(plan.base.run.folder.absolute()) if plan.base else "",
            "drop": hash_of(plan.dropped),
        }
        return cls(RecordedRequest.model_validate(facts), data_key(plan.table, plan.data, plan.classes))

    def is_of(self, info: RunInfo) -> bool:
        """Return whether a run began with the same request and data."""
        return bool(info.request and info.request.same_as(self.request) and info.data_key == self.data_key)


def plugin_name(competition: str) -> str:
    """Return the competition's name, or the absolute path of a plugin file."""
    return str(Path(competition).absolute()) if Path(competition).is_file() else competition


def unfinished_info(run: Run, display: Display) -> RunInfo | None:
    """Return the run.json of a run that can be resumed; None, with a line about it, if it is finished.

    Raises:
        UserError: It is a fold or a network of a zoo, its folder is read-only, or its run.json cannot be read.
    """
    info = run.info()
    if info.status == "finished":
        run.remove_checkpoints()  # left by a process that was killed at the very end
        run.remove_parts()
        display.report(f"{run.folder} is finished")
        return None
    if info.fold:
        raise UserError(f"{run.folder} is one fold of a run", f"resume the run: kagglekit resume {run.folder.parent}")
    if info.part_of:
        whole = f"resume the run: kagglekit resume {run.folder.parent}"
        raise UserError(f"{run.folder} is one network of the zoo {info.part_of}", whole)
    check_writable(run.folder, READ_ONLY)
    return info


def request_of(run: Run, info: RunInfo, data: Path | None, fresh: bool) -> Request:
    """Return the request that began a run, with the run's recipe.

    Args:
        run: The interrupted run.
        info: Its run.json.
        data: Its data folder; None for the one it began with.
        fresh: Whether it begins again, from its initial weights; otherwise a checkpoint has its weights.

    Raises:
        UserError: It was interrupted before it recorded the request, or its plugin file may not be imported.
    """
    if info.request is None:
        raise UserError(f"cannot resume {run.folder}: its run.json does not contain the request", "start a new run")
    there: Path | None = Path(info.request.data)
    if is_job() and there and not there.exists():  # on another machine: its own copy, or a download
        there = None
    values = {**dict(info.request), "data": data or there, "sample": info.sample_file}
    values["drop"] = run.dropped_file if info.request.drop else None
    values["competition"], values["plugins"] = trusted_plugins(info.request.competition, info.request.plugins)
    request = Request(**values, out=run.folder, recipe=run.recipe())
    return request if fresh else replace(request, from_run="")


def check_same_data(run: Run, info: RunInfo, plan: Plan) -> None:
    """Refuse to resume a run with other images, labels or splits than it began with.

    Raises:
        UserError: They differ.
    """
    if data_key(plan.table, plan.data, plan.classes) != info.data_key:
        raise UserError(
            f"cannot resume {run.folder}: the images, labels or splits in {plan.data} have changed since it began",
            "restore them, pass their folder with --data DIR, or start a new run",
        )
