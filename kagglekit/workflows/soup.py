"""Average the weights of finished runs into one network: a greedy soup."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.memory import memory_returned
from kagglekit.compute.network import save_weights, set_input_size
from kagglekit.compute.threads import threads_restored
from kagglekit.hooks.manager import disabled_in
from kagglekit.hooks.trust import trusted_plugins
from kagglekit.planning.blends import check_runs
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.prediction.finalize import finalize
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import create_run, find_run
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.training.context import RunContext, Snapshot
from kagglekit.training.weight_averaging import load_soup
from kagglekit.types.image_table import data_key
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage
from kagglekit.workflows.blend import BlendRequest
from kagglekit.workflows.facts import record_start, reported_failures
from kagglekit.workflows.setup import planned, prepare, settled

Floats = NDArray[np.float64]


@memory_returned()
def make_soup(request: BlendRequest, display: Display) -> Run:
    """Average the weights of finished runs of one network greedily, and predict with the result as a new run.

    Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
    increasing inference time", arXiv:2203.05482, recipe 1: the runs are tried from the lowest valid loss on, and a run
    stays if the mean of the weights then has a valid loss no higher than before.

    Raises:
        UserError: A run is not finished, or the runs differ in network, classes, or held-out images.
    """
    started = time.perf_counter()
    runs = [LoadedRun.read(find_run(text, request.out)) for text in request.runs]
    check_runs(runs)
    for each in runs:
        _check_ingredient(each, runs[0])
    model, plan = settled(_plan(request, runs[0], display))
    run = create_run(request.out, plan.name, request.name, datetime.now())
    record = Record(run.info_file)
    with reported_failures(plan, run, record, display), threads_restored(request.threads):
        record_start(plan, model, record)
        record.update(request=None)  # it trains nothing, so there is nothing to resume
        run.write_recipe(plan.recipe)
        context = prepare(plan, model, run, record, display, started)
        last = context.stage(context.stages[-1])
        kept = _greedy(context, runs, last)
        record.update(soup_of=tuple(each.run.name for each in kept))
        context.position.snapshots = [Snapshot("soup", last, last.cycles)]
        save_weights(context.model, run.snapshot("soup"))
        finalize(plan, context)
        record.update(status="finished", seconds=round(time.perf_counter() - started, 1))
        leave_report(run, display)
    display.report(f"soup: {run.folder}")
    return run


def _greedy(context: RunContext, runs: Sequence[LoadedRun], stage: Stage) -> list[LoadedRun]:
    """Choose the runs; leave the mean of their weights in the network."""
    alone = [_losses(context, [each], stage) for each in runs]
    order = np.argsort([losses.mean() for losses in alone], kind="stable")
    kept, best = [runs[order[0]]], alone[order[0]]
    context.display.report(f"{kept[0].run.name}: valid loss {best.mean():.4f}, the best alone")
    for each in (runs[number] for number in order[1:]):
        losses = _losses(context, [*kept, each], stage)
        gains, better = best - losses, losses.mean() <= best.mean()
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
        change = f"valid loss {losses.mean():.4f}, {gains.mean():+.4f} ± {error:.4f} lower with it"
        context.display.report(f"{each.run.name}: {change}, {'kept' if better else 'left out'}")
        if better:
            kept, best = [*kept, each], losses
    if len(kept) == 1:
        context.display.warn("no mean of weights has a lower valid loss than the best run alone, which the soup equals")
    load_soup(context, [each.run.final_weights for each in kept], stage)
    return kept


def _losses(context: RunContext, runs: Sequence[LoadedRun], stage: Stage) -> Floats:
    """Return the loss of each valid image with the mean of the runs' weights, under the plain view."""
    load_soup(context, [each.run.final_weights for each in runs], stage)
    size = context.recipe.predicting_sizes(stage, context.config.multiple)[0]
    set_input_size(context.model, size)
    loader = context.images.loader("labelled", context.plain_view(stage), size, "tta")
    network = folded(context.model.eval()).to(memory_format=context.compute.infer.memory_format)
    with context.recorded_batch():
        rows = context.images.rows("valid")
        passed = predict_pass(network, loader, rows, 0, context.compute, context.task.activate)
        values = np.concatenate([part.numpy() for part in passed])
    losses = context.task.losses(context.images.truth("valid"), values)
    return losses[np.isfinite(losses)]


def _plan(request: BlendRequest, first: LoadedRun, display: Display) -> Plan:
    """Return the plan of the first run.

    Raises:
        UserError: The data are no longer those of the first run.
    """
    info = first.info
    plugin, files = trusted_plugins(info.plugin, info.plugin_files)
    plan = planned(
        Request(
            plugin,
            data=request.data or info.data_folder,
            sample=info.sample_file,
            recipe=_recipe(first.recipe),
            stages=f"{info.stages[0]}-{info.stages[-1]}",
            out=request.out,
            threads=request.threads,
            skip_bad_images=bool(info.request and info.request.skip_bad_images),
            disable=disabled_in(info),
            plugins=files,
        ),
        display,
    )
    if data_key(plan.table, plan.data, plan.classes) != info.data_key:
        raise UserError(
            f"{first.run.folder} was trained on images, labels or splits that differ from those in {plan.data}",
            "pass the data folder that it was trained on: --data DIR",
        )
    return plan


def _check_ingredient(each: LoadedRun, first: LoadedRun) -> None:
    """Check that a run's weights may be averaged with those of the first one, and that valid images can judge it.

    Raises:
        UserError: They may not; the message says why.
    """
    folder, info = each.run.folder, each.info
    if info.blend_of or info.folds:
        raise UserError(
            f"{folder} has the weights of several networks, and a soup averages those of single runs",
            "name single runs, or blend without --soup",
        )
    if info.full_of or not each.run.valid():
        what = f"{folder} was trained on all labelled images: no valid images are left to choose by"
        raise UserError(what, "name runs that held out images")
    if not each.run.final_weights.exists():
        raise UserError(f"{folder} has no final weights", "name runs with all their files")
    if each.last_stage.stacks:
        raise UserError(
            f"{folder} ends with a stack of heads, whose weights cannot be averaged", "blend it without --soup"
        )
    if _network(each.recipe) != _network(first.recipe):
        raise UserError(
            f"{folder} has another network than {first.run.folder}: {each.recipe.arch}, {each.recipe.head} head; "
            f"{first.recipe.arch}, {first.recipe.head} head",
            "weights can only be averaged within one network; blend without --soup",
        )
    if each.last_stage.size != first.last_stage.size:
        raise UserError(
            f"{folder} ended at {each.last_stage.size} px, and {first.run.folder} at {first.last_stage.size} px",
            "name runs with the same last size",
        )
    if info.data_key != first.info.data_key:
        raise UserError(
            f"{folder} and {first.run.folder} held out different images, so some runs have trained on those that would "
            "judge the soup",
            "train runs that share a split: the same seed, or --set split_seed=0 with different ones",
        )


def _recipe(recipe: Recipe) -> Recipe:
    """Return the recipe by which the soup predicts: no snapshots to average, and no teacher to learn from."""
    ensemble = "mean" if recipe.ensemble == "average" else recipe.ensemble
    return recipe.model_copy(update={"measured": "none", "ensemble": ensemble, "targets": "labels", "teacher": ""})


def _network(recipe: Recipe) -> tuple[object, ...]:
    return recipe.arch, recipe.archs, recipe.head, recipe.channels
