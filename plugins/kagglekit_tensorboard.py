"""Write TensorBoard curves into the run's folder, for recipes with ``options.tensorboard=true``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kagglekit import Provides, Recipe, UserError, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from kagglekit import Run, Score, Stage


@dataclass
class _Board:
    """An open log.

    Attributes:
        writer: TensorBoard's SummaryWriter.
        resumed: Whether the folder has curves of an earlier process, which may extend beyond the checkpoint.
        before: Optimizer steps of the stages before this one.
        done: Steps of this stage that have been written.
    """

    writer: Any
    resumed: bool
    before: int = 0
    done: int = 0


_open: dict[Path, _Board] = {}  # by run folder: hooks are functions, and one process may have several runs


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the option, off by default."""
    return Provides(options={"tensorboard": False})


@hookimpl
def kagglekit_run_start(run: Run, recipe: Recipe) -> None:
    """Open a log in the run's folder, if the recipe has the option."""
    if not recipe.options.get("tensorboard"):
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"options.tensorboard=true, but the package tensorboard cannot be imported ({error})",
            "pip install 'kagglekit[tensorboard]'",
        ) from error
    place = run.folder / "tensorboard"
    resumed = place.exists()
    board = _Board(SummaryWriter(str(place)), resumed)
    board.writer.add_text("recipe", f"```json\n{recipe.to_json()}\n```")
    _open[run.folder] = board


@hookimpl
def kagglekit_stage_start(run: Run, stage: Stage) -> None:
    """Continue after the last epoch of log.csv, which a resumed run has truncated to its checkpoint."""
    if not (board := _open.get(run.folder)):
        return
    ends = _ends(run)
    board.done = ends.pop(stage.name, 0)
    board.before = sum(ends.values())
    if board.resumed:  # repeated steps would appear twice
        board.writer.close()
        board.writer = type(board.writer)(board.writer.log_dir, purge_step=board.before + board.done + 1)
        board.resumed = False


@hookimpl
def kagglekit_epoch_end(run: Run, stage: Stage, row: dict[str, float | int | str]) -> None:
    """Write an epoch's scores and the steps since the last one."""
    if not (board := _open.get(run.folder)):
        return
    for step in run.steps():
        if step["stage"] == stage.name and int(step["step"]) > board.done:
            for name in ("loss", "lr", "momentum"):
                board.writer.add_scalar(f"step/{name}", float(step[name]), board.before + int(step["step"]))
    board.done = int(row["step"])
    for name, value in row.items():
        if name not in ("stage", "size", "cycle", "epoch", "step", "lr"):
            board.writer.add_scalar(f"epoch/{name}", float(value), board.before + board.done)
    board.writer.flush()


@hookimpl
def kagglekit_run_end(run: Run, scores: dict[str, Score]) -> None:
    """Write the final scores and close."""
    if board := _open.pop(run.folder, None):
        for name, score in scores.items():
            board.writer.add_scalar(f"final/{name}", score.value, sum(_ends(run).values()))
        board.writer.close()


def _ends(run: Run) -> dict[str, int]:
    """Return the number of the last logged step of each stage, in the stage."""
    return {row["stage"]: int(row["step"]) for row in run.log_rows()}


@hookimpl
def kagglekit_run_failed(run: Run) -> None:
    """Close."""
    if board := _open.pop(run.folder, None):
        board.writer.close()
