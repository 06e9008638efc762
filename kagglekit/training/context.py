"""The context that the stages and the predictions of a run share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from kagglekit.compute.compile import Compile
from kagglekit.compute.device import Compute, synchronise
from kagglekit.compute.network import data_config, frozen_names, head_module, save_weights, set_modes
from kagglekit.compute.processes.ranks import ALONE, Ranks
from kagglekit.compute.threads import ThreadChoice
from kagglekit.data.scoring import Scorer
from kagglekit.hooks.calls import Hooks
from kagglekit.images.dataset import ImageSet
from kagglekit.runs.checkpoint_file import Checkpoint, Saver
from kagglekit.runs.folder import Run, run_key
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display, duration
from kagglekit.tasks.targets import Targets
from kagglekit.tasks.task import Task
from kagglekit.training.eta import Estimate
from kagglekit.types.data_config import DataConfig
from kagglekit.types.metric import Metric
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage
from kagglekit.types.view import View


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training, apart from the recipe.

    Attributes:
        compile: Whether training steps are compiled: ``auto`` (on a CUDA GPU, in stages long enough), ``off``, ``on``.
        deterministic: Use torch's deterministic algorithms, and benchmark nothing.
    """

    compile: Compile = "auto"
    deterministic: bool = False


@dataclass(frozen=True)
class RunContext:
    """All that training and prediction need: `kagglekit.workflows.setup.prepare` makes it from a plan.

    Attributes:
        run: The run's folder.
        record: Its run.json, which only this process writes.
        display: Shows progress.
        hooks: The loaded plugins.
        recipe: The recipe.
        stages: Numbers of the stages to run, from 1.
        task: What is predicted.
        data: The data folder.
        options: How to train, apart from the recipe.
        model: The network, on the device.
        groups: Parameter names of its layer groups.
        images: The decoded images.
        compute: Device and formats.
        loss: The metric of valid predictions that is logged as their loss.
        scorer: The competition's metric, which ``keep="best"`` compares.
        estimate: Estimate of the run's total time.
        saver: Writes checkpoints.
        targets: What training images are learnt as beside their labels.
        threads: How many threads compute on the CPU; None for torch's number.
        ranks: The processes that share the training.
        log: The rows of log.csv so far.
        position: How far training has got.
    """

    run: Run
    record: Record
    display: Display
    hooks: Hooks
    recipe: Recipe
    stages: tuple[int, ...]
    task: Task
    data: Path
    options: TrainingOptions
    model: nn.Module
    groups: list[list[str]]
    images: ImageSet
    compute: Compute
    loss: Metric
    scorer: Scorer
    estimate: Estimate
    saver: Saver
    targets: Targets | None = None
    threads: ThreadChoice | None = None
    ranks: Ranks = ALONE
    log: list[dict[str, Any]] = field(default_factory=list)
    position: Position = field(default_factory=lambda: Position())

    @cached_property
    def config(self) -> DataConfig:
        """Return what the network expects of its input."""
        return data_config(self.model)

    @cached_property
    def key(self) -> str:
        """Return what the run's checkpoints must have in common with it: see `run_key`."""
        return run_key(self.run, self.record.info)

    @cached_property
    def head(self) -> nn.Module:
        """The module of the last layer group."""
        return head_module(self.model, self.groups)[1]

    def stage(self, number: int) -> Stage:
        """Return the recipe's stage of a number, from 1."""
        return self.recipe.stages[number - 1]

    def set_modes(self, stage: Stage) -> None:
        """Put frozen modules into eval mode, all others into train mode."""
        name, _ = head_module(self.model, self.groups)
        set_modes(self.model, frozen_names(self.model), stage.batch_norm, name)

    def plain_view(self, stage: Stage) -> View:
        """Return the stage's view without augmentation."""
        return self.hooks.views(self.recipe, stage, "plain", self.config)

    def save_weights(self, model: nn.Module, path: Path) -> None:
        """Write weights, once on each machine; the other processes there read them."""
        self.ranks.once_here(lambda: save_weights(model, path))

    def count_step(self, cost: float, since: float) -> None:
        """Count a step towards the estimate of the total time, and report the estimate when it is made.

        Args:
            cost: The step's work (see `Estimate`).
            since: When it began, by time.perf_counter, s.
        """
        if not self.estimate.is_pending:
            return
        synchronise(self.compute.device)  # only in these first steps; otherwise the clock would time the queueing
        if self.estimate.add(cost, time.perf_counter() - since) and self.estimate.seconds is not None:
            self.display.report(f"estimated time of the whole run: {duration(self.estimate.seconds)}")
            self.record.update(estimate_s=round(self.estimate.seconds, 1))

    @contextmanager
    def recorded_batch(self) -> Iterator[None]:
        """Warn if predictions in the block had to halve their batch, and record the new size in run.json."""
        before = self.compute.batch
        yield
        if self.compute.batch != before:
            self.display.warn(
                f"{self.compute.device} ran out of memory: predictions continue with {self.compute.batch} images "
                "at a time"
            )
            self.record.update(predict_batch=self.compute.batch)


@dataclass(frozen=True)
class Snapshot:
    """Weights kept at the end of a cycle.

    Attributes:
        name: The member's name.
        stage: The stage they come from.
        cycle: The cycle's number, from 1.
    """

    name: str
    stage: Stage
    cycle: int


@dataclass
class Position:
    """The progress of a run's training.

    Attributes:
        done: Number of finished stages.
        snapshots: The snapshots written so far.
        size: The image side that the network was last set to, px; None if none.
        rates: By stage number: the factor of its learning rates, after a loss that was not finite.
        seconds: Time spent on the run before this process, s.
        resume_from: The checkpoint in the middle of a stage to resume from, until the stage's loop has taken it.
    """

    done: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)
    size: int | None = None
    rates: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    resume_from: Checkpoint | None = None
