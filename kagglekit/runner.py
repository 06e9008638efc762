"""A run, from the request to the checked submission."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kagglekit.describe import describe_plan, weights_and_licence
from kagglekit.device import Compute, choose_formats, cpu_name, device_title
from kagglekit.errors import UserError
from kagglekit.estimate import Estimate, prediction_cost, stage_cost
from kagglekit.finish import finish
from kagglekit.model import data_config, head_module, load_weights, round_sizes, set_input_size
from kagglekit.pictures import describe_bad, prepare_pictures, require_images
from kagglekit.plan import Plan, Request, make_plan
from kagglekit.progress import Display, duration
from kagglekit.recipe import Recipe
from kagglekit.run_folder import Run, create_run
from kagglekit.solver import linear_layer
from kagglekit.stages import run_stage
from kagglekit.store import cache_folder
from kagglekit.work import Snapshot, Work

PACKAGES = ("kagglekit", "torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn")


def run(request: Request, display: Display) -> Run:
    """Carry out a request with one training: plan, train each stage, predict, combine, write and check the submission.

    Whatever was finished when something fails stays in the run's folder.

    Returns:
        The finished run.

    Raises:
        UserError: Something the user can mend.
    """
    return run_plan(make_plan(request, display.warn), display)


def run_plan(plan: Plan, display: Display) -> Run:
    """Carry out a plan in a folder of its own: see `run`."""
    model, recipe = build_model(plan)
    plan = replace(plan, recipe=recipe)
    folder = create_run(plan.request.out, plan.name, plan.request.name or recipe.arch, datetime.now())
    describe_plan(plan, model, folder, display)
    return train(plan, model, folder, display)


def train(plan: Plan, model: nn.Module, folder: Run, display: Display) -> Run:
    """Do one training, from the network to the checked submission, in a folder that exists."""
    started = time.perf_counter()
    with reported_failures(plan, folder, display):
        folder.write_recipe(plan.recipe)
        folder.update_info(status="running", **facts(plan, model))
        plan.hooks.run_start(folder, plan.recipe)
        work = prepare(plan, model, folder, display, started)
        snapshots = [kept for number in plan.stages for kept in timed_stage(work, number)]
        scores = finish(work, snapshots)
        folder.update_info(status="finished", seconds=round(time.perf_counter() - started, 1))
        plan.hooks.run_end(folder, scores)
    display.say(f"finished in {duration(time.perf_counter() - started)}: {folder.folder}")
    return folder


def build_model(plan: Plan) -> tuple[nn.Module, Recipe]:
    """Get the network with its weights, and the recipe with sizes that the network can take.

    Raises:
        UserError: The weights can't be had or do not fit.
    """
    torch.manual_seed(plan.recipe.seed)
    wanted = plan.recipe.model_copy(update={"pretrained": False, "weights": ""}) if plan.base else plan.recipe
    model = plan.hooks.model(wanted, len(plan.classes))
    recipe = round_sizes(plan.recipe, data_config(model).multiple)
    if plan.base:
        if list(plan.base.info().get("classes", [])) != list(plan.classes):
            raise UserError(f"{plan.base.folder} was trained on other classes", "start from a run of this competition")
        base = plan.base.recipe().stages[plan.base.info()["stages"][-1] - 1]
        set_input_size(model, base.size)
        load_weights(model, plan.base.final_weights)
    return model, recipe


def prepare(plan: Plan, model: nn.Module, folder: Run, display: Display, started: float) -> Work:
    """Decode the images, move the network to the device, choose formats.

    Args:
        plan: What was decided so far.
        model: The network.
        folder: The run's.
        display: Where it shows itself.
        started: When the run began, by time.perf_counter, s.
    """
    recipe, hooks = plan.recipe, plan.hooks
    stages = [recipe.stages[number - 1] for number in plan.stages]
    config, groups = data_config(model), hooks.layer_groups(model, recipe)
    _, head = head_module(model, groups)
    if any(stage.precompute and stage.solver == "regression" for stage in stages):
        linear_layer(head)  # refuses other heads now, not after minutes of decoding
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
    )
    if lines := describe_bad(pictures):
        display.warn(lines)
    require_images(pictures, to_validate=plan.fitted_on is None)
    model.to(plan.device)
    compute = _formats(plan, model, display)
    folder.update_info(train_format=str(compute.train), infer_format=str(compute.infer), formats=compute.why)
    n = {split: len(pictures.rows(split)) for split in ("train", "valid", "test")}
    total = sum(stage_cost(stage, n["train"], n["valid"], compute.train_cost) for stage in stages)
    total += prediction_cost(recipe, tuple(stages), n["valid"] + n["test"], 1 + recipe.tta)
    log_loss = hooks.metric(plan.competition.model_copy(update={"metric": "log_loss"}))
    metric = hooks.metric(plan.competition)
    return Work(plan, folder, display, model, groups, pictures, compute, log_loss, metric, Estimate(total, started))


def _formats(plan: Plan, model: nn.Module, display: Display) -> Compute:
    last = plan.recipe.stages[plan.stages[-1] - 1]
    memory = cache_folder() / "formats.json"
    compute = choose_formats(
        model, plan.device, plan.request.precision, last.size, last.batch_size, plan.recipe.arch, memory
    )
    display.say(f"precision: training {compute.train}, inference {compute.infer} ({compute.why})")
    return compute


def timed_stage(work: Work, number: int) -> list[Snapshot]:
    """Run a stage and note in run.json how long it took, s."""
    started = time.perf_counter()
    stage = work.plan.recipe.stages[number - 1]
    snapshots = run_stage(work, number, stage)
    timings = work.run.info().get("stage_seconds", {})
    work.run.update_info(stage_seconds={**timings, stage.name: round(time.perf_counter() - started, 2)})
    return snapshots


def facts(plan: Plan, model: nn.Module) -> dict[str, Any]:
    """Collect what run.json says from the start."""
    weights, licence = weights_and_licence(plan, model)
    return {
        "competition": plan.name,
        "plugin": _plugin(plan.request.competition),
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
        "command": sys.argv,
    }


def _plugin(asked: str) -> str:
    """Return the competition's name, or the whole path of a plugin file."""
    return str(Path(asked).absolute()) if Path(asked).is_file() else asked


@contextmanager
def reported_failures(plan: Plan, folder: Run, display: Display) -> Iterator[None]:
    """Record a failure in run.json, tell the watchers, and say where what was made so far lies."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        folder.update_info(status=status, error=f"{type(error).__name__}: {error}")
        plan.hooks.run_failed(folder, error)
        display.say(f"{status}; what was made so far stays in {folder.folder}")
        raise
