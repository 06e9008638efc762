"""A run whose files were read: what commands hand on, so that each file is read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage


@dataclass(frozen=True)
class LoadedRun:
    """A run and the content of its files, read once.

    Attributes:
        run: Its folder.
        info: Its run.json.
        recipe: Its recipe.json.
    """

    run: Run
    info: RunInfo
    recipe: Recipe

    @classmethod
    def read(cls, run: Run) -> Self:
        """Read a run's files.

        Raises:
            UserError: One of them cannot be read.
        """
        return cls(run, run.info(), run.recipe())

    @property
    def last_stage(self) -> Stage:
        """The last stage that it trained."""
        return self.recipe.stages[self.info.stages[-1] - 1]
