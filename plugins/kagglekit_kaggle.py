"""The executor ``kaggle``: the trainings of a run in a kernel on Kaggle's machines, ``--on kaggle``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import KaggleMachines, Provides, hookimpl

if TYPE_CHECKING:
    from kagglekit import Executor, Need


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the executor's name."""
    return Provides(executor=["kaggle"])


@hookimpl
def kagglekit_executor(name: str, workers: int | None, need: Need) -> Executor | None:
    """Return the executor, logged in to Kaggle."""
    return KaggleMachines(need) if name == "kaggle" else None
