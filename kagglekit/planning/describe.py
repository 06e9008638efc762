"""Describe a plan before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.compute.network import data_config
from kagglekit.system.display.printable import printable
from kagglekit.system.named_calls import read_calls
from kagglekit.types.metric import TITLES
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    from torch import nn

    from kagglekit.planning.plan import Choice, Plan
    from kagglekit.runs.folder import Run
    from kagglekit.system.display.console import Display

FEW = 5  # classes whose names are printed


def describe_plan(plan: Plan, model: nn.Module, folder: Run | None, display: Display) -> None:
    """Print competition, images, device, recipe, weights, and where results go."""
    from kagglekit.compute.device import device_title

    competition, recipe, counts = plan.competition, plan.recipe, plan.table["split"].value_counts()
    where = f"Kaggle: {competition.slug}" if competition.slug else "not on Kaggle"
    display.report(f"{competition.title} ({where}), metric {TITLES.get(competition.metric, competition.metric)}")
    images = ", ".join(f"{counts.get(split, 0):,} {split}" for split in ("train", "valid", "test"))
    names = f" ({printable(', '.join(plan.classes))})" if len(plan.classes) <= FEW else ""
    display.report(f"images: {images}; {plan.task.describe()}{names}; from {plan.data}")
    if plan.truth is not None:
        display.report("test labels are known: they score the finished test predictions, and training never sees them")
    for warning in plan.warnings:
        display.warn(warning)
    chosen = plan.threads is None or plan.threads.number is not None  # else steps are timed after the decoding
    display.report(f"device: {device_title(plan.device) if chosen else plan.device}")
    describe_choice(plan, display)
    weights, licence = weights_and_licence(plan, model)
    if recipe.pretrained:
        display.report(f"weights: {weights}, licence: {licence or 'not stated'}")
    if folder:
        display.report(f"results: {folder.folder}")


def weights_and_licence(plan: Plan, model: nn.Module) -> tuple[str, str]:
    """Return where the weights came from before any training here, and their licence, empty if not stated."""
    if plan.base:
        return plan.base.info.weights, plan.base.info.licence
    config = data_config(model)
    return config.weights, plan.recipe.licence or config.licence


def describe_choice(choice: Choice, display: Display) -> None:
    """Print the recipe and its origin."""
    if choice.preset and not choice.request.full:
        why = " (auto: standard with a GPU, quick without)" if choice.request.preset == "auto" else ""
        display.report(f"preset: {choice.preset}{why}")
    if choice.base:
        what = "its weights" if choice.preset else "its recipe and weights"
        display.report(f"starts from {choice.base.run.folder}: {what}")
    recipe = choice.recipe
    start = "that run's weights" if choice.base else "pretrained" if recipe.pretrained else "random weights"
    parts = (
        ", ".join(recipe.zoo) or recipe.arch,
        start,
        f"{recipe.head} head",
        f"{recipe.groups} layer groups",
        f"seed {recipe.seed}",
    )
    display.report(f"recipe: {', '.join(parts)}")
    columns = ("", "stage", "px", "epochs", "schedule", "lr", "trains", "views", "batch", "keeps")
    rows = [(str(number), *_stage_cells(recipe.stages[number - 1], recipe)) for number in choice.stages]
    display.table(columns, rows, keys=2)
    display.report(f"prediction: {_prediction(recipe)}")
    if recipe.pretrained and recipe.exposure:  # random weights have seen nothing
        display.report(f"exposure: {recipe.exposure}")
    if recipe.source:
        display.report(f"source: {recipe.source}")
    if recipe.measured != "none":
        display.report(f"measured: {recipe.measured}")


def _prediction(recipe: Recipe) -> str:
    views, at_most = (
        recipe.tta_views or "the stage's own",
        "up to " if recipe.tta_views else "",
    )  # a view may have fewer
    augmented = "1 augmented view" if recipe.tta == 1 else f"{at_most}{recipe.tta} augmented views"
    tta = f"plain + {augmented} ({views})" if recipe.tta else "plain view only"
    size = f" at {recipe.predict_size} px" if recipe.predict_size else ""
    factors = ", ".join(f"{factor:g}" for factor in (1, *recipe.tta_sizes))
    size += f", at {factors} times the size" if recipe.tta_sizes else ""
    clip = f"; probabilities clipped to {recipe.clip:g}" if recipe.clip else ""
    return f"{tta}{size}; ensemble: {recipe.ensemble}{clip}"


def _stage_cells(stage: Stage, recipe: Recipe) -> tuple[str, ...]:
    if not stage.by_gradient:
        return (
            stage.name,
            _size(stage),
            "-",
            "stack" if stage.stacks else "regression",
            "-",
            "head, cached",
            "plain",
            "all",
            _kept(stage),
        )
    first = stage.freeze_to % recipe.groups
    trains = (
        "head" if first == recipe.groups - 1 else "all layers" if first == 0 else f"groups {first + 1}-{recipe.groups}"
    )
    if stage.lora and first < recipe.groups - 1:
        trains = f"adapters ({trains})"
    cached = ", cached" if stage.precompute else ""
    parts = f" in {stage.grad_accum_steps} parts" if stage.grad_accum_steps > 1 else ""
    rates = f"{stage.lr:.2g}"
    if stage.layer_decay and first < recipe.groups - 1:
        rates = f"{stage.lr:.2g}, x {stage.layer_decay:g} a layer"
    elif stage.group_lrs:
        rates = " ".join(f"{rate:.2g}" for rate in stage.group_lrs)
    elif first < recipe.groups - 1 and stage.body_factor > 1:
        body = recipe.groups - 1
        power = 1 + (body - 1 - first) / (body - 1) if body > 1 else 1.0  # of the earliest group that trains
        rates = f"{stage.lr / stage.body_factor**power:.2g}..{stage.lr:.2g}"
    if stage.find_lr:
        rates = "auto"
    epochs = "+".join(str(n) for n in stage.cycle_epochs)
    views = "plain" if stage.precompute else "+".join([stage.views, *(name for name, _ in read_calls(stage.augment))])
    return (
        stage.name,
        _size(stage),
        epochs,
        stage.schedule,
        rates,
        trains + cached,
        views,
        ("auto" if stage.find_batch else str(stage.batch_size)) + parts,
        _kept(stage),
    )


def _size(stage: Stage) -> str:
    first = "own" if stage.own_size else str(stage.size)
    return "; ".join([first, *([", ".join(map(str, stage.stack_sizes))] if stage.stack_sizes else [])])


def _kept(stage: Stage) -> str:
    if stage.stacks:
        return "heads"
    return (
        f"{stage.cycles} snapshots" if stage.snapshots and stage.cycles > 1 else "snapshot" if stage.snapshots else ""
    )
