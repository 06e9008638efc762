"""TensorBoard as a watcher, for a recipe with ``options.tensorboard=true``: curves in the run's folder."""

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
        before: Optimizer steps of the stages before this one.
        done: Steps of this stage that are written.
    """

    writer: Any
    before: int = 0
    done: int = 0


_open: dict[Path, _Board] = {}  # by run folder: hooks are functions, and several runs may go on in one process


@hookimpl
def kagglekit_provides() -> Provides:
    """Name the option, off by default."""
    return Provides(options={"tensorboard": False})


@hookimpl
def kagglekit_run_start(run: Run, recipe: Recipe) -> None:
    """Open a log in the run's folder, if the recipe asks for it."""
    if not recipe.options.get("tensorboard"):
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"options.tensorboard=true, but the package tensorboard can't be imported ({error})",
            "pip install 'kagglekit[tensorboard]'",
        ) from error
    board = _Board(SummaryWriter(str(run.folder / "tensorboard")))
    board.writer.add_text("recipe", f"```json\n{recipe.to_json()}\n```")
    _open[run.folder] = board


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
def kagglekit_stage_end(run: Run) -> None:
    """Count on from the stage's last step."""
    if board := _open.get(run.folder):
        board.before, board.done = board.before + board.done, 0


@hookimpl
def kagglekit_run_end(run: Run, scores: dict[str, Score]) -> None:
    """Write the final scores and close."""
    if board := _open.pop(run.folder, None):
        for name, score in scores.items():
            board.writer.add_scalar(f"final/{name}", score.value, board.before)
        board.writer.close()


@hookimpl
def kagglekit_run_failed(run: Run) -> None:
    """Close."""
    if board := _open.pop(run.folder, None):
        board.writer.close()
