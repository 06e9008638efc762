"""A run, from the request to the checked submission."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from kagglekit.batch_probe import for_rows, predict_batch
from kagglekit.checkpoint import Checkpoint, Saver, newest_checkpoint
from kagglekit.describe import describe_plan, weights_and_licence
from kagglekit.device import Compute, choose_formats, cpu_name, device_title
from kagglekit.errors import UserError
from kagglekit.estimate import Estimate, prediction_cost, stage_cost
from kagglekit.finish import finish
from kagglekit.journal import record_decoding
from kagglekit.model import data_config, head_module, load_weights, round_sizes, set_input_size
from kagglekit.online.credentials import masked
from kagglekit.pictures import describe_bad, prepare_pictures, require_images
from kagglekit.plan import Plan
from kagglekit.progress import Display, duration
from kagglekit.recipe import Recipe, Stage
from kagglekit.report.page import leave_report
from kagglekit.resume import restore, save, saved_compute
from kagglekit.run_folder import Run, create_run
from kagglekit.run_lock import locked
from kagglekit.solver import linear_layer
from kagglekit.stages import run_stage
from kagglekit.store import cache_folder
from kagglekit.unfinished import check_same_data, plugin_name, run_key, start_facts
from kagglekit.work import Work

PACKAGES = ("kagglekit", "torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn")


def run_plan(plan: Plan, model: nn.Module, display: Display) -> Run:
    """Carry out a plan in a folder of its own: train each stage, predict, combine, write and check the submission.

    Whatever was finished when something fails stays in the run's folder.

    Returns:
        The finished run.

    Raises:
        UserError: Something the user can mend.
    """
    folder = create_run(plan.request.out, plan.name, plan.request.name or plan.recipe.arch, datetime.now())
    return train(plan, folder, display, model)


def train(plan: Plan, folder: Run, display: Display, model: nn.Module | None = None) -> Run:
    """Do one training in a folder that exists, from its last checkpoint if it has one.

    Args:
        plan: What was decided.
        folder: The run's.
        display: Where it shows itself.
        model: The network with its weights, if it was built; only for a training that begins.

    Raises:
        UserError: Its data or its checkpoints do not allow it, another process works on it, or what `run_plan` raises.
    """
    started = time.perf_counter()
    with locked(folder):
        folder.remove_parts()
        begun = folder.recipe_file.exists()
        last = newest_checkpoint(folder.checkpoints, run_key(folder), display.warn) if begun else None
        if begun:
            check_same_data(folder, plan)
        built = model or build_model(plan, bare=last is not None)[0]
        _carry_out(plan, built, folder, display, started, last)
    folder.remove_checkpoints()
    return folder


def settled(plan: Plan) -> tuple[nn.Module, Plan]:
    """Return the network with its weights, and the plan with sizes that it can take."""
    model, recipe = build_model(plan)
    return model, replace(plan, recipe=recipe)


def _carry_out(
    plan: Plan, model: nn.Module, folder: Run, display: Display, started: float, last: Checkpoint | None
) -> None:
    """Do all of a plan, or what is left of it after its last checkpoint."""
    with reported_failures(plan, folder, display):
        if last is None:
            folder.update_info(status="running", **facts(plan, model), **start_facts(plan))
            folder.write_recipe(plan.recipe)
            describe_plan(plan, model, folder, display)
        folder.update_info(status="running", error=None)
        plan.hooks.run_start(folder, plan.recipe)
        work = prepare(plan, model, folder, display, started, last)
        _begin(work, last)
        for number in plan.stages[work.position.done :]:
            timed_stage(work, number)
        scores = finish(work, work.position.snapshots)
        seconds = work.position.seconds + time.perf_counter() - started
        folder.update_info(status="finished", seconds=round(seconds, 1))
        leave_report(folder, display)
        plan.hooks.run_end(folder, scores)
    display.say(f"finished in {duration(seconds)}: {folder.folder}")


def _begin(work: Work, last: Checkpoint | None) -> None:
    """Go on from a checkpoint, or write the first one."""
    if last is None:
        if work.plan.base:
            work.position.size = base_stage(work.plan.base).size
        work.run.remove_predictions()
        save(work)
        return
    restore(work, last)
    work.estimate.seconds = work.run.info().get("estimate_s", 0.0)  # it was said, and holds no longer
    if work.position.done == len(work.plan.stages):
        where = "all training is done"
    else:
        number = work.plan.stages[work.position.done]
        stage, held = work.plan.recipe.stages[number - 1], last.facts["held"]
        where = f"stage {number} ({stage.name}), {held['step'] if held else 0:,} of its steps are done"
    work.display.say(f"from the last checkpoint: {where}")


def base_stage(base: Run) -> Stage:
    """Return the last stage that a finished run trained."""
    number: int = base.info()["stages"][-1]
    return base.recipe().stages[number - 1]


def build_model(plan: Plan, bare: bool = False) -> tuple[nn.Module, Recipe]:
    """Get the network with its weights, and the recipe with sizes that the network can take.

    Args:
        plan: What was decided so far.
        bare: Without its weights: a checkpoint has them.

    Raises:
        UserError: The weights can't be had or do not fit.
    """
    torch.manual_seed(plan.recipe.seed)
    without = plan.base or bare
    wanted = plan.recipe.model_copy(update={"pretrained": False, "weights": ""}) if without else plan.recipe
    model = plan.hooks.model(wanted, len(plan.classes))
    recipe = round_sizes(plan.recipe, data_config(model).multiple)
    if plan.base:
        if list(plan.base.info().get("classes", [])) != list(plan.classes):
            raise UserError(f"{plan.base.folder} was trained on other classes", "start from a run of this competition")
        set_input_size(model, base_stage(plan.base).size)
        load_weights(model, plan.base.final_weights)
    return model, recipe


def prepare(
    plan: Plan, model: nn.Module, folder: Run, display: Display, started: float, last: Checkpoint | None = None
) -> Work:
    """Decode the images, move the network to the device, choose formats.

    Args:
        plan: What was decided so far.
        model: The network.
        folder: The run's.
        display: Where it shows itself.
        started: When the run began, by time.perf_counter, s.
        last: The checkpoint that the run goes on from, which knows the formats.
    """
    recipe, hooks = plan.recipe, plan.hooks
    stages = [recipe.stages[number - 1] for number in plan.stages]
    config, groups = data_config(model), hooks.layer_groups(model, recipe)
    _, head = head_module(model, groups)
    if any(stage.precompute and stage.solver == "regression" for stage in stages):
        linear_layer(head)  # refuses other heads now, not after minutes of decoding
    decoding = time.perf_counter()
    pictures = prepare_pictures(
        plan.table,
        plan.classes,
        plan.data,
        hooks,
        recipe,
        stages,
        config,
        plan.device,
        display,
        plan.request.skip_bad_images,
        plan.request.store,
        plan.request.deterministic,
    )
    folder.update_info(decode_seconds=round(time.perf_counter() - decoding, 2))
    record_decoding(folder, pictures)
    if lines := describe_bad(pictures):
        display.warn(lines)
    require_images(pictures, to_validate=plan.fitted_on is None)
    model.to(plan.device)
    compute = saved_compute(last, plan.device, folder.info()) if last else _formats(plan, model, display)
    if last is None:
        folder.update_info(train_format=str(compute.train), infer_format=str(compute.infer), formats=compute.why)
    n = {split: len(pictures.rows(split)) for split in ("train", "valid", "test")}
    if last is None:
        _predict_batch(plan, model, compute, (n["valid"], n["test"]), display)
        folder.update_info(predict_batch=compute.batch)
    log_loss = hooks.metric(plan.competition.model_copy(update={"metric": "log_loss"}))
    metric = hooks.metric(plan.competition)
    total = _total_cost(recipe, stages, n, compute.train_cost)
    estimate, saver = Estimate(total, started), Saver(folder.checkpoints, 60 * plan.request.save_every)
    return Work(plan, folder, display, model, groups, pictures, compute, log_loss, metric, estimate, saver)


def _total_cost(recipe: Recipe, stages: list[Stage], n: dict[str, int], train_cost: float | None) -> float | None:
    """Return the work of stages and predictions (see `Estimate`), of `n` images by split; None if it is not known."""
    if train_cost is None:
        return None
    trained = sum(stage_cost(stage, n["train"], n["valid"], train_cost) for stage in stages)
    return trained + prediction_cost(recipe, tuple(stages), n["valid"] + n["test"], 1 + recipe.tta)


def _formats(plan: Plan, model: nn.Module, display: Display) -> Compute:
    last = plan.recipe.stages[plan.stages[-1] - 1]
    memory = cache_folder() / "formats.json"
    precision = "fp32" if plan.request.deterministic and plan.request.precision == "auto" else plan.request.precision
    compute = choose_formats(model, plan.device, precision, last.size, last.batch_size, _archs(plan), memory)
    display.say(f"precision: training {compute.train}, inference {compute.infer} ({compute.why})")
    return compute


def _predict_batch(plan: Plan, model: nn.Module, compute: Compute, rows: tuple[int, int], display: Display) -> None:
    """Probe how many images a GPU should predict at a time; on a CPU, and where nothing may be probed, it is fixed."""
    if plan.device.type != "cuda" or plan.request.deterministic:
        return
    why = predict_batch(model, compute, plan.recipe.sizes[-1], _archs(plan), cache_folder() / "formats.json")
    compute.batch = for_rows(compute.batch, *rows)
    display.say(f"predictions: {compute.batch} images at a time ({why})")


def _archs(plan: Plan) -> str:
    return "+".join((plan.recipe.arch, *plan.recipe.archs))


def timed_stage(work: Work, number: int) -> None:
    """Run a stage, write a checkpoint at its end, and note in run.json how long it took, s."""
    started = time.perf_counter()
    stage = work.plan.recipe.stages[number - 1]
    run_stage(work, number, stage)
    timings = work.run.info().get("stage_seconds", {})
    work.run.update_info(stage_seconds={**timings, stage.name: round(time.perf_counter() - started, 2)})
    work.position.done += 1
    save(work)


def facts(plan: Plan, model: nn.Module) -> dict[str, Any]:
    """Collect what run.json says from the start."""
    weights, licence = weights_and_licence(plan, model)
    return {
        "competition": plan.name,
        "plugin": plugin_name(plan.request.competition),
        "title": plan.competition.title,
        "slug": plan.competition.slug,
        "metric": plan.competition.metric,
        "preset": plan.preset,
        "stages": list(plan.stages),
        "from_run": plan.base.name if plan.base else None,
        "full_of": plan.fitted_on.name if plan.fitted_on else None,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": device_title(plan.device),
        "cpu": cpu_name(),
        "seed": plan.recipe.seed,
        "classes": list(plan.classes),
        "data": str(plan.data),
        "images": {split: int(n) for split, n in plan.table["split"].value_counts().items()},
        "weights": weights,
        "licence": licence,
        "command": [masked(part) for part in sys.argv],
    }


@contextmanager
def reported_failures(
    plan: Plan, folder: Run, display: Display, alone: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Record a failure in run.json, tell the watchers, and say where what was made so far lies.

    Args:
        plan: The run's.
        folder: The run's.
        display: Where it is told.
        alone: Keeps other processes from writing run.json, where the block does not.
    """
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(UserError), alone():  # of a full disk
            folder.update_info(status=status, error=masked(f"{type(error).__name__}: {error}"))
        plan.hooks.run_failed(folder, error)
        display.say(f"{status}; what was made so far stays in {folder.folder}")
        if "fold" not in folder.info():  # the whole run says it of itself
            display.say(f"to go on: kagglekit resume {folder.folder}")
        raise
