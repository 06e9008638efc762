"""From the plan to what training needs: network, images, formats."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from kagglekit.compute.device import Compute
from kagglekit.compute.network import data_config, head_module, load_weights, round_sizes, set_input_size
from kagglekit.compute.precision import choose_formats
from kagglekit.images.dataset import describe_bad
from kagglekit.images.prepare import prepare_images, require_images
from kagglekit.planning.make import check_base_data, make_plan
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.prediction.results import try_form
from kagglekit.runs.checkpoint_file import Checkpoint, Saver
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display
from kagglekit.system.errors import UserError
from kagglekit.system.paths import cache_folder
from kagglekit.training.batch_size import for_rows, predict_batch
from kagglekit.training.checkpoint import saved_compute
from kagglekit.training.context import RunContext
from kagglekit.training.eta import Estimate, prediction_cost, stage_cost
from kagglekit.training.head_regression import linear_layer
from kagglekit.training.log import record_decoding
from kagglekit.types.recipe import Recipe, Stage
from kagglekit.workflows.full_data import describe_full, full_plan


def planned(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Plan what is asked for, and try the form of its CSV.

    Args:
        request: What was asked.
        display: Where it shows itself.
        downloads: Where a download goes; None for the usual place.

    Raises:
        UserError: Something does not fit.
    """
    plan = (full_plan if request.full else make_plan)(request, display, downloads)
    check_base_data(plan)
    try_form(plan)
    if plan.fitted_on:
        display.report(describe_full(plan, plan.fitted_on))
    return plan


def settled(plan: Plan) -> tuple[nn.Module, Plan]:
    """Return the network with its weights, and the plan with sizes that it can take."""
    model, recipe = build_model(plan)
    return model, replace(plan, recipe=recipe)


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
) -> RunContext:
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
    images = prepare_images(
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
    record_decoding(folder, images)
    if lines := describe_bad(images):
        display.warn(lines)
    require_images(images, to_validate=plan.fitted_on is None)
    model.to(plan.device)
    compute = saved_compute(last, plan.device, folder.info()) if last else _formats(plan, model, display)
    if last is None:
        folder.update_info(train_format=str(compute.train), infer_format=str(compute.infer), formats=compute.why)
    n = {split: len(images.rows(split)) for split in ("train", "valid", "test")}
    if last is None:
        _predict_batch(plan, model, compute, (n["valid"], n["test"]), display)
        folder.update_info(predict_batch=compute.batch)
    log_loss = hooks.metric(plan.competition.model_copy(update={"metric": "log_loss"}))
    metric = hooks.metric(plan.competition)
    total = _total_cost(recipe, stages, n, compute.train_cost)
    estimate, saver = Estimate(total, started), Saver(folder.checkpoints, 60 * plan.request.save_every)
    return RunContext(plan, folder, display, model, groups, images, compute, log_loss, metric, estimate, saver)


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
    display.report(f"precision: training {compute.train}, inference {compute.infer} ({compute.why})")
    return compute


def _predict_batch(plan: Plan, model: nn.Module, compute: Compute, rows: tuple[int, int], display: Display) -> None:
    """Probe how many images a GPU should predict at a time; on a CPU, and where nothing may be probed, it is fixed."""
    if plan.device.type != "cuda" or plan.request.deterministic:
        return
    why = predict_batch(model, compute, plan.recipe.sizes[-1], _archs(plan), cache_folder() / "formats.json")
    compute.batch = for_rows(compute.batch, *rows)
    display.report(f"predictions: {compute.batch} images at a time ({why})")


def _archs(plan: Plan) -> str:
    return "+".join((plan.recipe.arch, *plan.recipe.archs))
