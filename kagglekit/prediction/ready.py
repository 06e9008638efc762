"""Check that a run can predict, without torch."""

from __future__ import annotations

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.runs.folder import Run
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UserError


def ready_run(run: Run) -> tuple[LoadedRun, str]:
    """Return a run that can predict, and its name and competition for the first line.

    Raises:
        UserError: Its files cannot be read, its plugins cannot be loaded, or it has not finished training.
    """
    loaded = LoadedRun.read(run)
    title = Hooks(load_for(loaded.info)).competition().title
    if not loaded.info.folds and not loaded.info.blend_of:
        check_weights(run)
    return loaded, f"{run.name}, a run of {loaded.info.competition} ({title})"


def check_weights(run: Run, member: str = "final") -> None:
    """Check that a training has left the weights of a member.

    Raises:
        UserError: It has not.
    """
    if not run.snapshot(member).exists():
        raise UserError(
            f"{run.folder} has no {member} weights",
            f"predictions need a run that finished training; to finish this one: kagglekit resume {run.folder}",
        )
