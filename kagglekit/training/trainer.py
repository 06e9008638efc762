"""Train one stage of a run: follow its loop, validate, log, keep snapshots and write checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import forget_folded, refolded
from kagglekit.compute.heads.stacked_head import save_stack
from kagglekit.compute.memory import explain_memory_errors, give_back
from kagglekit.compute.network import kept_modes
from kagglekit.compute.processes.ranks import Lost
from kagglekit.compute.processes.shared_batch_norm import describe, synchronised
from kagglekit.compute.step_memory import parts_for, step_bytes
from kagglekit.system.errors import NotFinite
from kagglekit.system.limits import private_memory, usable_memory
from kagglekit.system.signals import Stopped, is_asked, stop_anywhere, stop_if_asked, stop_only_when_asked
from kagglekit.training.checkpoint import save, step_back, take_state
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.training.eta import step_cost
from kagglekit.training.heads.cache import CachedActivations, head_outputs
from kagglekit.training.heads.stage import cached_activations, fit_heads, regress_head
from kagglekit.training.large_networks import large_network
from kagglekit.training.log import last_score, log_epoch, log_steps, score_key, valid_scores
from kagglekit.training.loop import begin, train_stage
from kagglekit.training.stage import fit_of, set_up
from kagglekit.training.state import Progress, StageFit, TrainState, batch_of, steps_per_epoch
from kagglekit.training.thread_watch import thread_watch
from kagglekit.training.tuning import Compiler, compiler, with_found_rate
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from kagglekit.images.loader import Loader


def run_stage(context: RunContext, number: int, stage: Stage) -> None:
    """Train one stage, or the rest of it; its snapshots are added to the run's position.

    A loss that is not finite sends the stage back to its last checkpoint with half the learning rate, once.

    Raises:
        UserError: The loss is not finite a second time, or the device's memory does not hold two images.
        Stopped: The user interrupted the run; a checkpoint was written.
    """
    context.hooks.stage_start(context.run, stage)
    try:
        _train(context, number, stage)
    except NotFinite as error:
        if not step_back(context, number):
            raise
        context.display.warn(f"{error.what}; resuming from the last checkpoint with half the learning rate")
        _train(context, number, stage)
    give_back()  # the next stage needs blocks of other sizes: the process would have those of all stages in the end
    context.hooks.stage_end(context.run, stage)


def _train(context: RunContext, number: int, stage: Stage) -> None:
    set_up(context, stage)
    explained = explain_memory_errors(
        context.compute.device,
        f"not even a fraction of a batch of {stage.batch_size} at {stage.size} px fits (stage {number}, {stage.name})",
        f"try --set stage.{number}.grad_checkpointing=true, a smaller batch_size, --size or --arch",
    )
    with explained, large_network(context, number, stage):
        (_train_on_activations if stage.precompute else _train_on_images)(context, number, stage)


def _train_on_images(context: RunContext, number: int, stage: Stage) -> None:
    frozen = context.run.snapshot("frozen")
    kept = context.ranks.of_first(frozen.exists)
    before = [context.stage(each) for each in context.stages[: context.position.done]]
    begins = bool(before) and not any(map(context.recipe.finishes, before))
    if context.recipe.finishes(stage) and begins and not kept:
        context.save_weights(context.model, frozen)  # what the finish compares with
    _follow(context, *fit_of(context, number, stage))


def _train_on_activations(context: RunContext, number: int, stage: Stage) -> None:
    """Train the head on cached activations, by regression or by gradient steps."""
    if stage.by_gradient:
        _follow(context, *fit_of(context, number, stage))
        return
    started = time.perf_counter()
    if stage.stacks:
        if stage.size != stage.stack_sizes[0]:
            regress_head(context, number, stage, cached_activations(context, number, stage), started)
        stack, path = fit_heads(context, number, stage), context.run.snapshot(f"{stage.name}-cycle1")
        context.ranks.once_here(lambda: save_stack(context.model, stack, path))
        context.position.snapshots.append(Snapshot(f"{stage.name}-cycle1", stage, 1))
        return
    regress_head(context, number, stage, cached_activations(context, number, stage), started)
    if stage.snapshots:
        _keep(context, stage, 1)


def _follow(context: RunContext, fit: StageFit, loader: Loader | None) -> None:
    """Drive the training loop: show progress, handle the ends of epochs and cycles, write checkpoints."""
    fit = with_found_rate(context, fit)
    stage, state = fit.stage, begin(fit)
    take_state(context, state)
    watch = thread_watch(context, fit, on_images=loader is not None)
    watch.begin(state.step, state.again)
    state.parts = context.ranks.of_first(lambda: _parts(context, fit, state.parts)) if loader else state.parts
    batch, steps = batch_of(stage, len(fit.rows)), len(fit.schedule.lr)
    cost, compiling = batch * step_cost(stage, context.compute.train_cost), compiler(context, stage)
    bars = context.display.bar(f"{fit.number} {stage.name}", steps * batch)
    device, ranks = fit.compute.device, context.ranks
    if said := describe(fit.model, device, ranks):
        context.display.report(f"{fit.number} {stage.name}: {said}")
    shared = synchronised(fit.model, device, ranks)
    with bars as bar, shared, _tidied(context, fit, state, compiling), stop_only_when_asked():
        bar.restart(state.step * batch, steps * batch)  # the rate is that of the steps from here
        compiling.begin(fit, state)
        began, parts = time.perf_counter(), state.parts
        for at in _steps(context, fit, state):
            if loader:
                context.count_step(cost, began)
            bar.advance(batch, f"loss {at.loss:.3f}  {last_score(context)}" if at.loss is not None else "")
            if state.parts != parts:
                parts = _report_parts(context, fit, state.parts)
            took = time.perf_counter() - began
            state.seconds += took
            compiling.after_step(fit, state, took)
            with _saved_if_interrupted(context, state):
                _after_step(context, fit, state, at, loader)
            watch.after_step(at.step, took, at.epoch_ends)
            began = time.perf_counter()
    if state.best:
        fit.model.load_state_dict(state.best[1])


def _steps(context: RunContext, fit: StageFit, state: TrainState) -> Iterator[Progress]:
    """Yield what the loop does; if it is interrupted within a step, write a checkpoint of what precedes the step."""
    steps = train_stage(fit, state)
    while True:
        with _saved_if_interrupted(context, state):
            at = next(steps, None)
        if at is None:
            return
        yield at


@contextmanager
def _tidied(context: RunContext, fit: StageFit, state: TrainState, compiling: Compiler) -> Iterator[None]:
    """After the block, wait for the checkpoint that is being written, and free what only its steps needed."""
    try:
        yield
    finally:
        compiling.end(fit, state)
        forget_folded(fit.model)
        context.saver.wait()


def _after_step(context: RunContext, fit: StageFit, state: TrainState, at: Progress, loader: Loader | None) -> None:
    """Do what is due after a step; if interrupted before an epoch's end is logged, do it again after resuming."""
    state.again = at.epoch_ends
    if at.epoch_ends:
        with kept_modes(fit.model):
            scores = _end_epoch(context, fit, at, loader, state.seconds)
        state.seconds = 0.0
        if fit.stage.keep == "best" and (state.best is None or _cost(context, scores) < state.best[0]):
            state.best = _cost(context, scores), {k: v.clone() for k, v in at.weights.state_dict().items()}
    if at.cycle_ends and fit.stage.snapshots:
        _keep(context, fit.stage, at.cycle_ends, fit.model, at.weights)
    state.again = False
    if at.step < len(fit.schedule.lr) and context.saver.due(at.epoch_ends):
        save(context, state, wait=False)
    if not context.ranks.several:
        stop_if_asked()
    elif state.asked or (at.epoch_ends and context.ranks.any(is_asked())):  # all of them stop after the same step
        stop_if_asked(others=True)


def _cost(context: RunContext, scores: dict[str, float]) -> float:
    """Return the competition's metric of an epoch, its sign such that less is better.

    Where labels are decided by thresholds that are found at the end, it is the valid loss: with those of no one's
    choice, all rare labels may be missed in every epoch.
    """
    if context.scorer.decision and context.scorer.decision.fit:
        return scores["valid_loss"]
    score = scores[score_key(context)]
    return -score if context.scorer.metric.greater_is_better else score


@contextmanager
def _saved_if_interrupted(context: RunContext, state: TrainState) -> Iterator[None]:
    try:
        yield
    except Stopped:
        save(context, state)
        raise


def _parts(context: RunContext, fit: StageFit, least: int) -> int:
    """Return over how many parts gradients are accumulated: as recorded, or else so that a CPU's memory suffices."""
    stage, device = fit.stage, context.compute.device
    known = context.record.info.parts.get(stage.name)
    if known or device.type != "cpu":
        return max(least, known or 1)
    batch, memory = -(-batch_of(stage, len(fit.rows)) // context.ranks.world), usable_memory() / context.ranks.here
    needed = step_bytes(fit.model, stage.size, -(-batch // least), fit.format)
    allowed = max(memory / 2 - private_memory(), memory / 8)
    if needed is None or needed <= allowed:
        return least
    parts = least * parts_for(needed, allowed, batch // least)
    context.display.report(
        f"{fit.number} {stage.name}: a step of {batch} images at {stage.size} px needs {needed / 1e9:.1f} GB, but "
        f"half of this machine's memory leaves {allowed / 1e9:.1f} GB: accumulating gradients over {parts} parts of "
        f"{batch // parts}. BatchNorm statistics are those of a part"
    )
    context.record.update(parts={**context.record.info.parts, stage.name: parts})
    return parts


def _report_parts(context: RunContext, fit: StageFit, parts: int) -> int:
    """Warn that the device ran out of memory, and record the parts in run.json; return them."""
    stage, batch = fit.stage, batch_of(fit.stage, len(fit.rows))
    context.display.warn(
        f"{context.compute.device} ran out of memory with {batch} images at {stage.size} px: accumulating gradients "
        f"over {parts} parts of {batch // parts} from now on. BatchNorm statistics are those of a part"
    )
    context.record.update(parts={**context.record.info.parts, stage.name: parts})
    return parts


def _end_epoch(
    context: RunContext, fit: StageFit, at: Progress, loader: Loader | None, seconds: float
) -> dict[str, float]:
    """Validate after an epoch and log it; return the scores."""
    per_epoch = steps_per_epoch(fit.stage, len(fit.rows))
    predictions = _valid_predictions(context, fit, at.weights)
    scores = valid_scores(context, predictions)
    log_steps(
        context, fit.stage, fit.schedule, at.step, at.losses
    )  # before log_epoch: watchers of the epoch may read them
    log_epoch(
        context,
        fit.stage,
        (next(i for i, end in enumerate(fit.schedule.cycle_ends, 1) if at.step <= end), at.epoch, at.step),
        lr=float(fit.schedule.lr[at.step - 1]),
        train_loss=at.epoch_loss,
        scores=scores,
        seconds=seconds,
        images=per_epoch * batch_of(fit.stage, len(fit.rows)),
        waited=sum(loader.waits[-per_epoch:]) if loader else 0.0,
    )
    return scores


def _valid_predictions(context: RunContext, fit: StageFit, weights: nn.Module) -> NDArray[np.float32]:
    rows = context.images.rows("valid")
    if not len(rows):
        return np.zeros((0, context.task.n_outputs), np.float32)
    activate, own = context.task.activate, context.ranks.part(rows)
    with stop_anywhere(), context.recorded_batch():
        if isinstance(fit.inputs, CachedActivations):
            return head_outputs(weights, fit.inputs, rows, activate)
        passed = predict_pass(refolded(weights.eval()), fit.valid or fit.inputs, own, 0, context.compute, activate)
        predicted = np.concatenate([part.numpy() for part in passed]) if len(own) else None
    try:
        return context.ranks.gathered(predicted)
    except Lost:  # it was interrupted while this process had already finished its part
        stop_if_asked()
        raise


def _keep(
    context: RunContext, stage: Stage, cycle: int, trained: nn.Module | None = None, weights: nn.Module | None = None
) -> None:
    """Write the whole network's weights, with `weights` (a moving average) in place of `trained`."""
    name = f"{stage.name}-cycle{cycle}"
    path = context.run.snapshot(name)
    if trained is None or weights is None or weights is trained:
        context.save_weights(context.model, path)
    elif trained is context.model:
        context.save_weights(weights, path)
    else:  # the head's average in the network around it
        raw = {key: value.clone() for key, value in trained.state_dict().items()}
        trained.load_state_dict(weights.state_dict())
        context.save_weights(context.model, path)
        trained.load_state_dict(raw)
    context.position.snapshots.append(Snapshot(name, stage, cycle))
