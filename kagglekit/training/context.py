"""A run under way: what its stages and its predictions share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from kagglekit.compute.device import Compute, synchronise
from kagglekit.compute.network import data_config, frozen_names, head_module, set_modes
from kagglekit.images.dataset import ImageSet
from kagglekit.planning.plan import Plan
from kagglekit.runs.checkpoint_file import Checkpoint, Saver
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display, duration
from kagglekit.training.eta import Estimate
from kagglekit.types.data_config import DataConfig
from kagglekit.types.metric import Metric
from kagglekit.types.recipe import Stage
from kagglekit.types.view import View


@dataclass(frozen=True)
class RunContext:
    """A run under way.

    Attributes:
        plan: What was decided before it began.
        run: Its folder.
        display: Where it shows itself.
        model: The network, on the device.
        groups: Its layer groups' parameter names.
        pictures: The decoded images.
        compute: Device and formats.
        log_loss: Of valid predictions; what `keep=best` looks at.
        metric: What the competition reports.
        estimate: Of the whole run's time.
        saver: Writes its checkpoints.
        log: The rows of log.csv so far.
        position: Where its training is.
    """

    plan: Plan
    run: Run
    display: Display
    model: nn.Module
    groups: list[list[str]]
    images: ImageSet
    compute: Compute
    log_loss: Metric
    metric: Metric
    estimate: Estimate
    saver: Saver
    log: list[dict[str, Any]] = field(default_factory=list)
    position: Position = field(default_factory=lambda: Position())

    @property
    def config(self) -> DataConfig:
        """What the network expects of its input."""
        return data_config(self.model)

    @property
    def head(self) -> nn.Module:
        """The module of the last layer group."""
        return head_module(self.model, self.groups)[1]

    def set_modes(self, stage: Stage) -> None:
        """Put frozen modules into eval mode, all others into train mode."""
        name, _ = head_module(self.model, self.groups)
        set_modes(self.model, frozen_names(self.model), stage.batch_norm, name)

    def plain_view(self, stage: Stage) -> View:
        """Return the stage's view without augmentation."""
        return self.plan.hooks.views(self.plan.recipe, stage, "plain", self.config)

    def count_step(self, cost: float, since: float) -> None:
        """Count a step towards the estimate of the whole time, and say it when it is made.

        Args:
            cost: The step's work (see `Estimate`).
            since: When it began, by time.perf_counter, s.
        """
        if not self.estimate.is_pending:
            return
        synchronise(self.compute.device)  # for these first steps only: else the clock would time the asking
        if self.estimate.add(cost, time.perf_counter() - since) and self.estimate.seconds is not None:
            self.display.report(f"estimated time of the whole run: {duration(self.estimate.seconds)}")
            self.run.update_info(estimate_s=round(self.estimate.seconds, 1))

    @contextmanager
    def noted_batch(self) -> Iterator[None]:
        """Say it, and keep it in run.json, where predictions in the block had to halve their batch."""
        before = self.compute.batch
        yield
        if self.compute.batch != before:
            self.display.warn(
                f"{self.compute.device} ran out of memory: predictions go on with {self.compute.batch} images at a time"
            )
            self.run.update_info(predict_batch=self.compute.batch)


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
    """Where a run's training is.

    Attributes:
        done: How many of the plan's stages are finished.
        snapshots: Written so far.
        size: What the network was last told of its input's side, px; None if nothing.
        rates: By number of a stage: what its learning rates are multiplied by, after a loss that was not finite.
        seconds: Time spent on the run before this process, s.
        going_on: The checkpoint in the middle of a stage that it goes on from, until its loop has taken it.
    """

    done: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)
    size: int | None = None
    rates: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    going_on: Checkpoint | None = None
