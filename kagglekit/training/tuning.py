"""Tune a stage at its start: search its batch size and learning rate; decide whether its steps are compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kagglekit.compute.compile import WARM_UP, Compile, explain_compile_errors
from kagglekit.compute.device import quiet_loader, synchronise
from kagglekit.compute.memory import give_back
from kagglekit.compute.network import in_channels
from kagglekit.compute.processes.ranks import ALONE
from kagglekit.compute.processes.shared_batch_norm import learning
from kagglekit.system.display.console import duration
from kagglekit.system.paths import cache_folder
from kagglekit.training.batch_size import train_batch
from kagglekit.training.context import RunContext
from kagglekit.training.large_networks import stage_optimizer
from kagglekit.training.lr_range_test import found_rate, with_rate
from kagglekit.training.state import StageFit, TrainState, batch_of, steps_per_epoch
from kagglekit.types.stage import Stage

SETTLED, TIMED = 5, 15  # a stage's speed is measured between these steps: earlier ones set up kernels
PAYS = 150.0  # s of remaining steps from which compiling them pays off: it takes a minute or two itself
GRAPHS_PAY = 5.0  # s of remaining steps from which recording them as CUDA graphs pays off: it takes a second or two
Make = Callable[[StageFit, int], tuple[Callable[[Tensor], Tensor], float]]


def with_found_batch(context: RunContext, fit: StageFit) -> StageFit:
    """Search the batch size if the stage requests it, and record it in run.json."""
    found = context.record.info.found_batches
    stage = fit.stage
    if not stage.find_batch:
        return fit
    if stage.name in found:  # the stage is being resumed
        batch = found[stage.name]
    else:
        recipe = context.recipe
        network = (recipe.arch, recipe.archs, recipe.head, context.task.n_outputs, stage.size, str(fit.format))
        steps = (stage.freeze_to, stage.precompute, stage.optimizer, bool(stage.ema))
        alone, remembered = replace(fit, ranks=ALONE), cache_folder() / "formats.json"
        batch, message = context.ranks.of_first(lambda: train_batch(alone, (*network, *steps), remembered))
        context.display.report(f"{fit.number} {stage.name}: {message}")
        context.record.update(found_batches={**found, stage.name: batch})
    return _tuned(context, fit, stage.model_copy(update={"batch_size": batch, "find_batch": False}))


def with_found_rate(context: RunContext, fit: StageFit) -> StageFit:
    """Search the learning rate if the stage requests it, and record it in run.json."""
    found = context.record.info.found_lrs
    if not fit.stage.find_lr:
        return fit
    if fit.stage.name in found:  # the stage is being resumed
        stage = with_rate(fit.stage, found[fit.stage.name])
    else:
        stage, message = context.ranks.of_first(lambda: found_rate(replace(fit, ranks=ALONE)))
        context.display.report(f"{fit.number} {stage.name}: {message}")
        context.record.update(found_lrs={**found, stage.name: stage.lr})
    return _tuned(context, fit, stage)


def _tuned(context: RunContext, fit: StageFit, stage: Stage) -> StageFit:
    """Return the fit for the tuned stage, with a fresh optimizer and its own schedule."""
    hooks, recipe = context.hooks, context.recipe
    optimizer = stage_optimizer(context, stage)
    schedule = hooks.schedule(stage, steps_per_epoch(stage, len(fit.rows)), recipe)
    schedule = replace(schedule, lr=schedule.lr * context.position.rates.get(fit.number, 1.0))
    return replace(fit, stage=stage, optimizer=optimizer, schedule=schedule)


@dataclass
class Compiler:
    """Compiles a stage's steps if requested, or if enough of them remain; records them as graphs if fewer remain.

    Attributes:
        context: The run.
        choice: ``off``; ``on``, compiled from the first step; ``auto``, once the first steps show how long the stage
            takes.
        steps: Steps seen so far.
        spent: Time of the timed ones, s.
        compiled: Whether the steps are compiled, or recorded, now.
    """

    context: RunContext
    choice: Compile
    steps: int = 0
    spent: float = 0.0
    compiled: bool = False

    def begin(self, fit: StageFit, state: TrainState) -> None:
        """Compile before the first step, if requested; report it if too few steps remain to decide."""
        left = len(fit.schedule.lr) - state.step
        if self.choice == "on":
            self._compile(fit, state, "as requested", compiled, "compiled")
        elif self.choice == "auto" and left < TIMED:
            why = f"{left} remain, too few to measure whether it pays off"
            self.context.display.report(f"{fit.number} {fit.stage.name}: steps are not compiled: {why}")

    def after_step(self, fit: StageFit, state: TrainState, seconds: float) -> None:
        """Count a step, and the time its launch took; decide when enough are timed."""
        if self.compiled and state.forward is fit.model:
            self.compiled = False
            self.context.display.warn(
                f"{fit.number} {fit.stage.name}: out of memory for compiled steps; continuing without them"
            )
        if self.choice != "auto" or self.steps > TIMED:
            return
        self.steps += 1
        waited = time.perf_counter()
        if self.steps in (SETTLED, TIMED):  # otherwise the clock would time the queueing
            synchronise(fit.compute.device)
        if self.steps > SETTLED:
            self.spent += seconds + time.perf_counter() - waited
        if self.steps == TIMED:
            self._decide(fit, state)

    def end(self, fit: StageFit, state: TrainState) -> None:
        """Return to plain steps, and give back the memory of graphs: predictions need it."""
        if self.compiled:
            self.compiled, state.forward = False, fit.model
            torch.compiler.reset()
            give_back()

    def _decide(self, fit: StageFit, state: TrainState) -> None:
        seconds = self.context.ranks.of_first(lambda: self.spent)
        left = seconds / (TIMED - SETTLED) * (len(fit.schedule.lr) - state.step)
        self.steps += 1
        why = f"about {duration(left)} of steps remain, and compiling pays off from {duration(PAYS)} on"
        if left >= PAYS:
            self._compile(fit, state, why, compiled, "compiled")
        elif left >= GRAPHS_PAY and fit.compute.device.type == "cuda" and records(fit):
            self._compile(fit, state, why, recorded, "recorded")
        else:
            self.context.display.report(f"{fit.number} {fit.stage.name}: steps are not compiled: {why}")

    def _compile(self, fit: StageFit, state: TrainState, why: str, make: Make, done: str) -> None:
        """Compile or record, and report it; unless it was requested, a failure is only a warning.

        `make` restores what it changed, and each step seeds its own generators. A device that the failure has left
        unusable raises in `synchronise`: then the run cannot continue.
        """
        report, stage = self.context.display.report, f"{fit.number} {fit.stage.name}"
        if state.parts > 1:
            report(f"{stage}: steps are not {done}: their gradients are accumulated over parts")
            return
        try:
            with quiet_loader:
                state.forward, seconds = make(fit, batch_of(fit.stage, len(fit.rows)))
        except Exception as error:
            if self.choice == "on" and not isinstance(error, torch.OutOfMemoryError):
                raise
            synchronise(fit.compute.device)
            torch.compiler.reset()
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            self.context.display.warn(f"{stage}: steps are not {done}: {reason}")
            return
        self.compiled = True
        graphs = {"cpu": ""}.get(
            fit.compute.device.type, " as CUDA graphs" if done == "recorded" else " with CUDA graphs"
        )
        report(f"{stage}: steps are {done}{graphs}, in {duration(seconds)}: {why}")
        self.context.record.update(compiled={**self.context.record.info.compiled, fit.stage.name: round(seconds, 1)})


def compiler(context: RunContext, stage: Stage) -> Compiler:
    """Return the compiler of a stage's steps: ``auto`` is ``off`` on a CPU, where it gains less than it costs.

    Steps of a head on cached activations are too short to gain from it. Nothing is timed in a deterministic run. Nor
    are steps compiled in which processes talk to each other, as BatchNorm does on GPUs.
    """
    options, device = context.options, context.compute.device
    auto = device.type == "cuda" and not options.deterministic
    talks = context.ranks.several and device.type == "cuda" and bool(learning(context.model))
    off = stage.precompute or talks or (options.compile == "auto" and not auto)
    return Compiler(context, "off" if off else options.compile)


def compiled(fit: StageFit, batch: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """Compile the forward and backward pass of a stage's steps on images.

    The weights stay in the model, which is saved, loaded and validated as before.

    Args:
        fit: What the stage trains with, its modules in their modes.
        batch: Images a step.

    Returns:
        What to call in the model's place, and the time it took to compile, s.

    Raises:
        UserError: The model cannot be compiled.
        torch.OutOfMemoryError: A step does not fit into memory beside what the graphs keep.
    """
    began, device = time.perf_counter(), fit.compute.device
    torch.compiler.reset()  # earlier stages' code, and the memory of its graphs
    graphs = device.type == "cuda"
    forward = torch.compile(fit.model, dynamic=False, mode="reduce-overhead" if graphs else None)
    images = _black(fit, batch)
    with _restored(fit), explain_compile_errors():
        for _ in range(WARM_UP if graphs else 1):
            with fit.format.autocast(device):
                logits = forward(images)
            logits.float().logsumexp(1).mean().backward()
            fit.optimizer.zero_grad(set_to_none=True)
    synchronise(device)
    return forward, time.perf_counter() - began


def records(fit: StageFit) -> bool:
    """Return whether a stage's steps may be recorded: what Python does in hooks or checkpointing is not repeated."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooked = any(getattr(module, name) for module in fit.model.modules() for name in hooks)
    return not fit.stage.grad_checkpointing and not hooked


def recorded(fit: StageFit, batch: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """Record the forward and the backward pass of a stage's steps as CUDA graphs, of the kernels that they run anyway.

    Replaying a graph takes one call, where the kernels of a pass take hundreds. Nothing is compiled.

    Args:
        fit: What the stage trains with, its modules in their modes, on a CUDA GPU.
        batch: Images a step.

    Returns:
        What to call in the model's place, and the time it took to record, s.

    Raises:
        RuntimeError: The passes cannot be recorded, for example because they wait for the device.
        torch.OutOfMemoryError: The graphs do not fit into memory beside what a step keeps.
    """
    began = time.perf_counter()
    with _restored(fit):
        one = torch.cuda.make_graphed_callables(_Pass(fit), (_black(fit, batch),), allow_unused_input=True)
    synchronise(fit.compute.device)
    return one, time.perf_counter() - began  # type: ignore[return-value]


class _Pass(nn.Module):
    """The forward pass as it is recorded; the model's own methods are not replaced, so that it validates as before."""

    def __init__(self, fit: StageFit) -> None:
        super().__init__()
        self.model, self._fit = fit.model, fit

    def forward(self, images: Tensor) -> Tensor:
        with self._fit.format.autocast(images.device, cached=False):  # graphs keep no cache of converted weights
            logits: Tensor = self.model(images)
        return logits


def _black(fit: StageFit, batch: int) -> Tensor:
    size = (batch, in_channels(fit.model), fit.stage.size, fit.stage.size)
    return torch.zeros(size, device=fit.compute.device).contiguous(memory_format=fit.format.memory_format)


@contextmanager
def _restored(fit: StageFit) -> Iterator[None]:
    """Give the model its buffers back after the block, BatchNorm's statistics, and no gradients."""
    before = {name: buffer.clone() for name, buffer in fit.model.named_buffers()}
    try:
        yield
    finally:
        fit.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in fit.model.named_buffers():
                buffer.copy_(before[name])
