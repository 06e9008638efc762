"""A sweep's folder: runs that try different recipes, and sweep.json, which says what was tried and how it went."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError, listing, unknown
from kagglekit.system.files import write_text
from kagglekit.system.typed_json import read_model
from kagglekit.types.recipe import Recipe
from kagglekit.types.search import Parameter, Value

DAMAGED = "restore it from a copy, or begin a new sweep"
State = Literal["running", "finished", "pruned", "failed"]


class Trial(BaseModel):
    """One trial, as sweep.json has it.

    Attributes:
        values: What the sampler proposed, by key.
        settings: The same in the words of ``--set``.
        state: ``pruned`` trials were stopped early, as hopeless ones.
        score: The ensemble's valid score; None unless finished.
        error: The standard error of `score` over images.
    """

    model_config = ConfigDict(frozen=True)

    values: dict[str, Value] = Field(default_factory=dict)
    settings: tuple[str, ...] = ()
    state: State = "running"
    score: float | None = None
    error: float | None = None


class SweepInfo(BaseModel):
    """The content of sweep.json.

    Attributes:
        competition: Short name of the competition.
        metric: Name of the metric that ranks trials.
        greater_is_better: Whether greater scores are better.
        recipe: The recipe that all trials begin with.
        space: What is varied.
        trials_wanted: How many trials to do.
        sampler: Its name.
        pruner: How hopeless trials are found.
        command: The command line, without secrets.
        base: The unchanged recipe's result.
        trials: By number, from 0.
        fresh: Results on other folds: of the best trial, ``best``, and of the unchanged recipe, ``base``.
        importance: How much each key matters for the score, as shares of 1; empty if that is unknown.
        finished: Whether all is done.
    """

    model_config = ConfigDict(frozen=True)

    competition: str
    metric: str
    greater_is_better: bool
    recipe: dict[str, Any]
    space: tuple[Parameter, ...]
    trials_wanted: int
    sampler: str
    pruner: str
    command: tuple[str, ...] = ()
    base: Trial | None = None
    trials: dict[int, Trial] = Field(default_factory=dict)
    fresh: dict[str, Trial] = Field(default_factory=dict)
    importance: dict[str, float] = Field(default_factory=dict)
    finished: bool = False

    @property
    def best(self) -> int | None:
        """Number of the finished trial with the best score; None if no trial has finished."""
        scored = {number: trial.score for number, trial in self.trials.items() if trial.score is not None}
        if not scored:
            return None
        sign = -1 if self.greater_is_better else 1
        return min(scored, key=lambda number: (sign * scored[number], number))

    def gain(self, better: Trial | None, worse: Trial | None) -> float | None:
        """Return by how much a result is better than another one; None if one of them is unknown."""
        if better is None or worse is None or better.score is None or worse.score is None:
            return None
        return (better.score - worse.score) * (1 if self.greater_is_better else -1)


@dataclass(frozen=True)
class Sweep:
    """The folder of a sweep.

    Attributes:
        folder: Its path.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def info_file(self) -> Path:
        """All that was tried, and the scores."""
        return self.folder / "sweep.json"

    @property
    def study_file(self) -> Path:
        """The sampler's state."""
        return self.folder / "study.journal"

    @property
    def plots(self) -> Path:
        """Scores by trial and by value."""
        return self.folder / "sweep.png"

    @property
    def base(self) -> Run:
        """The run of the unchanged recipe."""
        return Run(self.folder / "base")

    def trial(self, number: int) -> Run:
        """Return a trial's run."""
        return Run(self.folder / f"trial-{number}")

    def fresh(self, which: str) -> Run:
        """Return the run that scores ``best`` or ``base`` on other folds."""
        return Run(self.folder / f"fresh-{which}")

    def info(self) -> SweepInfo:
        """Read sweep.json.

        Raises:
            UserError: It is missing or damaged.
        """
        return read_model(SweepInfo, self.info_file, DAMAGED)

    def write(self, info: SweepInfo) -> None:
        """Write sweep.json."""
        write_text(self.info_file, json.dumps(info.model_dump(mode="json"), indent=1) + "\n")

    def best_recipe(self) -> Recipe:
        """Return the recipe of the best trial.

        Raises:
            UserError: No trial has finished.
        """
        best = self.info().best
        if best is None:
            raise UserError(f"no trial of {self.folder} has finished", f"kagglekit sweep resume {self.folder}")
        return self.trial(best).recipe()


def all_sweeps(root: Path, competition: str = "*") -> list[Sweep]:
    """Return the sweeps below `root`, the oldest first by their folders' names."""
    files = root.glob(f"{competition}/*/{Sweep(root).info_file.name}")
    return [Sweep(file.parent) for file in sorted(files, key=lambda file: file.parent.name)]


def find_sweep(text: str, root: Path, competition: str = "*") -> Sweep:
    """Find a sweep by its path, its folder's name, a unique prefix of it, or ``latest``.

    Raises:
        UserError: No sweep matches, or several do.
    """
    if Sweep(Path(text)).info_file.exists():
        return Sweep(Path(text))
    sweeps = all_sweeps(root, competition)
    if not sweeps:
        raise UserError(f"no sweeps in {root.resolve()}", "begin one: kagglekit sweep run COMPETITION --try KEY=A,B")
    if text == "latest":
        return sweeps[-1]
    names = [sweep.name for sweep in sweeps]
    found = [each for each in sweeps if each.name == text] or [each for each in sweeps if each.name.startswith(text)]
    if len(found) > 1:
        raise UserError(f"{text!r} matches several sweeps: {listing([f.name for f in found])}", "use a longer prefix")
    if not found:
        raise UserError(unknown("sweep", text, [*names[-10:], "latest"]))
    return found[0]
