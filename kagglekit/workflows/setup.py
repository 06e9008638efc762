"""Prepare what training needs from the plan: network, images, formats."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from kagglekit.compute.device import Compute, device_title
from kagglekit.compute.heads.linear_head import linear_layer
from kagglekit.compute.memory import give_back
from kagglekit.compute.network import (
    data_config,
    grad_checkpointing,
    head_module,
    load_weights,
    round_sizes,
    set_input_size,
    set_normalisation,
    with_own_sizes,
)
from kagglekit.compute.precision import choose_formats
from kagglekit.compute.threads import choose_threads
from kagglekit.data.scoring import scorer_of
from kagglekit.images.dataset import ImageSet, describe_bad
from kagglekit.images.find_form import measured
from kagglekit.images.prepare import prepare_images, require_images
from kagglekit.planning.make import check_base_data, make_plan
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.planning.teacher import check_teacher
from kagglekit.prediction.members import spared_cost
from kagglekit.prediction.scores import check_scorable
from kagglekit.prediction.submission_file import try_form
from kagglekit.runs.checkpoint_file import Checkpoint, Saver
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.system.paths import cache_folder
from kagglekit.training.batch_size import for_rows, predict_batch
from kagglekit.training.checkpoint import saved_compute
from kagglekit.training.context import RunContext, TrainingOptions
from kagglekit.training.eta import Estimate, prediction_cost, stage_cost
from kagglekit.training.large_networks import check_stages
from kagglekit.training.log import record_decoding
from kagglekit.types.recipe import Recipe
from kagglekit.workflows.full_data import describe_full, full_plan
from kagglekit.workflows.learnt import check_learnt


def planned(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Make the plan of a request, and check the form of its CSV.

    Args:
        request: The user's request.
        display: Shows downloads and warnings.
        downloads: Folder of a download; None for the usual one.

    Raises:
        UserError: Something does not fit.
    """
    plan = (full_plan if request.full else make_plan)(request, display, downloads)
    check_base_data(plan)
    check_teacher(plan)
    if warning := try_form(plan):
        display.warn(warning)
    if not plan.recipe.folds:
        check_learnt(plan)
        check_scorable(plan, plan.table[plan.table["split"] == "valid"], "the valid images")
    if plan.fitted_on:
        display.report(describe_full(plan, plan.fitted_on))
    return plan


def settled(plan: Plan) -> tuple[nn.Module, Plan]:
    """Return the network with its weights, and the plan with image sizes that the network accepts."""
    model, recipe = build_model(plan)
    return model, replace(plan, recipe=recipe)


def build_model(plan: Plan, bare: bool = False) -> tuple[nn.Module, Recipe]:
    """Build the network with its weights; return it, and the recipe with image sizes that it accepts.

    Args:
        plan: The plan.
        bare: Leave out the initial weights, since a checkpoint has others.

    Raises:
        UserError: The weights cannot be loaded or do not fit.
    """
    torch.manual_seed(plan.recipe.seed)
    without = plan.base or bare
    wanted = plan.recipe.model_copy(update={"pretrained": False, "weights": ""}) if without else plan.recipe
    model = plan.hooks.model(wanted, plan.task.n_outputs)
    config = data_config(model)
    recipe = round_sizes(with_own_sizes(plan.recipe, config), config.multiple)
    if plan.base:
        if (plan.base.info.task, plan.base.info.classes) != (plan.task.kind, plan.classes):
            what = f"{plan.base.run.folder} was trained on different classes or targets"
            raise UserError(what, "start from a run of this competition")
        set_input_size(model, plan.base.last_stage.size)
        load_weights(model, plan.base.run.final_weights)
    return model, recipe


def prepare(
    plan: Plan,
    model: nn.Module,
    run: Run,
    record: Record,
    display: Display,
    started: float,
    last: Checkpoint | None = None,
) -> RunContext:
    """Decode the images, move the network to the device, choose formats: the one place where a plan becomes a context.

    Args:
        plan: The plan.
        model: The network.
        run: The run's folder.
        record: Its run.json.
        display: Shows progress.
        started: When the run began, by time.perf_counter, s.
        last: The checkpoint to resume from, which contains the formats.
    """
    recipe, hooks = plan.recipe, plan.hooks
    groups = hooks.layer_groups(model, recipe)
    if not all(stage.by_gradient for stage in plan.run_stages):
        linear_layer(head_module(model, groups)[1])  # refuses other heads now, not after minutes of decoding
    check_stages(model, groups, plan.run_stages)
    with plan.ranks.in_turn():  # those that follow find the images decoded
        images = _images(plan, model, record, display)
    _check_shared(plan, images)
    model.to(plan.device)
    plan.ranks.same(list(model.state_dict().values()))
    _set_threads(plan, model, record, display)  # before formats are tried: the number decides which one is fastest
    compute = _compute(plan, model, images, record, display, last)
    context = RunContext(
        run=run,
        record=record,
        display=display,
        hooks=hooks,
        recipe=recipe,
        stages=plan.stages,
        task=plan.task,
        data=plan.data,
        options=TrainingOptions(plan.request.compile, plan.request.deterministic),
        model=model,
        groups=groups,
        images=images,
        compute=compute,
        loss=hooks.metric(plan.competition.model_copy(update={"metric": plan.task.score}), plan.task),
        scorer=scorer_of(hooks, plan.competition, recipe, plan.task),
        estimate=Estimate(_total_cost(plan, images, compute.train_cost), started),
        targets=plan.targets,
        saver=Saver(run.checkpoints, 60 * plan.request.save_every, in_background=plan.device.type == "cuda"),
        threads=plan.threads,
        ranks=plan.ranks,
    )
    if last is None:
        context.estimate.spare(spared_cost(context))
    return context


def _check_shared(plan: Plan, images: ImageSet) -> None:
    """Check that several processes can share the images.

    Raises:
        UserError: There are more processes than training images, or not all of them stream the test images.
    """
    ranks, n_train = plan.ranks, len(images.rows("train"))
    if n_train < ranks.world:
        raise UserError(f"{ranks.world} processes cannot share {n_train} training images", "use a smaller --gpus")
    if len(set(ranks.all(images.stream is None))) > 1:
        raise UserError("the disks of some machines have no room for decoded test images", "add --store stream")


def _images(plan: Plan, model: nn.Module, record: Record, display: Display) -> ImageSet:
    """Decode the images that the plan's stages need, and check that every class has some."""
    request, started = plan.request, time.perf_counter()
    images = prepare_images(
        plan.table,
        plan.task,
        plan.data,
        plan.hooks,
        plan.recipe,
        plan.run_stages,
        data_config(model),
        plan.device,
        display,
        request.skip_bad_images,
        request.store,
        request.deterministic,
        plan.form,
        follows=plan.ranks.local > 0,
    )
    record.update(decode_seconds=round(time.perf_counter() - started, 2), form=plan.form)
    if plan.form.channels != 3:
        images = _normalised(images, model, record)
    record_decoding(record, images)
    if lines := describe_bad(images):
        display.warn(lines)
    require_images(images, to_validate=plan.fitted_on is None)
    return images


def _normalised(images: ImageSet, model: nn.Module, record: Record) -> ImageSet:
    """Normalise by the images themselves: no pretraining has seen such channels."""
    (_, fit, side) = max((which for which in images.stores if which[0] == "labelled"), key=lambda which: which[2])
    mean, std = measured(images.stores["labelled", fit, side], images.rows("train"))
    record.update(mean=mean, std=std)
    return replace(images, config=set_normalisation(model, mean, std))


def _set_threads(plan: Plan, model: nn.Module, record: Record, display: Display) -> None:
    """Compute with the run's number of threads: a resumed run's own, the plan's, or one that timed steps choose."""
    if plan.threads is None:
        return
    if number := record.info.threads or plan.threads.number:
        plan.threads.use(number)
    else:
        last, precision = plan.run_stages[-1], plan.request.precision
        batch = -(-last.batch_size // last.grad_accum_steps)
        with grad_checkpointing(model, last.grad_checkpointing):
            why = choose_threads(plan.threads, model, last.size, batch, precision)
        if plan.threads.most > 1:
            display.report(f"threads: {plan.threads.number} ({why})")
    record.update(threads=plan.threads.number, device=device_title(plan.device))


def _compute(
    plan: Plan, model: nn.Module, images: ImageSet, record: Record, display: Display, last: Checkpoint | None
) -> Compute:
    """Return the formats of the checkpoint, or choose them and record them."""
    if last:
        return saved_compute(last, plan.device, record.info)
    compute = replace(plan.ranks.of_first(lambda: _probed(plan, model, images, display)), device=plan.device)
    formats = {"train_format": str(compute.train), "infer_format": str(compute.infer), "formats": compute.why}
    record.update(**formats, predict_batch=compute.batch)
    return compute


def _probed(plan: Plan, model: nn.Module, images: ImageSet, display: Display) -> Compute:
    compute = _formats(plan, model, display)
    _predict_batch(plan, model, compute, (len(images.rows("valid")), len(images.rows("test"))), display)
    return compute


def _total_cost(plan: Plan, images: ImageSet, train_cost: float | None) -> float | None:
    """Return the work of all stages and predictions (see `Estimate`); None if it is unknown."""
    if train_cost is None:
        return None
    n_train, n_valid, n_test = (len(images.rows(split)) for split in ("train", "valid", "test"))
    trained = sum(stage_cost(stage, n_train, n_valid, train_cost) for stage in plan.run_stages)
    return trained + prediction_cost(plan.recipe, plan.run_stages, n_valid + n_test, 1 + plan.recipe.tta)


def _formats(plan: Plan, model: nn.Module, display: Display) -> Compute:
    last = plan.run_stages[-1]
    memory = cache_folder() / "formats.json"
    precision = "fp32" if plan.request.deterministic and plan.request.precision == "auto" else plan.request.precision
    about = _archs(plan) + "+checkpointing" * last.grad_checkpointing
    part = -(-last.batch_size // last.grad_accum_steps)  # the most images in memory at once
    with grad_checkpointing(model, last.grad_checkpointing):
        compute = choose_formats(model, plan.device, precision, last.size, part, about, memory)
    give_back()
    display.report(f"precision: training {compute.train}, inference {compute.infer} ({compute.why})")
    return compute


def _predict_batch(plan: Plan, model: nn.Module, compute: Compute, rows: tuple[int, int], display: Display) -> None:
    """Benchmark how many images a GPU should predict at a time; on a CPU, and in deterministic runs, it is fixed."""
    if plan.device.type != "cuda" or plan.request.deterministic:
        return
    why = predict_batch(model, compute, plan.recipe.sizes[-1], _archs(plan), cache_folder() / "formats.json")
    compute.batch = for_rows(compute.batch, *rows)
    display.report(f"predictions: {compute.batch} images at a time ({why})")


def _archs(plan: Plan) -> str:
    return "+".join((plan.recipe.arch, *plan.recipe.archs))
