"""What a run says before it starts and when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagglekit.model import data_config
from kagglekit.recipe import Recipe, Stage

if TYPE_CHECKING:
    from torch import nn

    from kagglekit.plan import Plan
    from kagglekit.progress import Display
    from kagglekit.run_folder import Run

TITLES = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "mean per class accuracy",
    "roc_auc": "ROC AUC",
    "macro_f1": "macro F1",
}


def describe_plan(plan: Plan, model: nn.Module, folder: Run | None, display: Display) -> None:
    """Print competition, images, device, recipe, weights, and where results go."""
    from kagglekit.device import device_title

    competition, recipe, counts = plan.competition, plan.recipe, plan.table["split"].value_counts()
    where = f"Kaggle: {competition.slug}" if competition.slug else "not on Kaggle"
    display.say(f"{competition.title} ({where}), metric {TITLES.get(competition.metric, competition.metric)}")
    images = ", ".join(f"{counts.get(split, 0):,} {split}" for split in ("train", "valid", "test"))
    display.say(f"images: {images}; {len(plan.classes)} classes; from {plan.data}")
    if plan.truth is not None:
        display.say("the test images' labels are known: the finished test predictions are scored with them, here")
    for warning in plan.warnings:
        display.warn(warning)
    display.say(f"device: {device_title(plan.device)}")
    describe_preset(plan.preset, plan.request.preset, display)
    if plan.base:
        display.say(f"starts from the weights of {plan.base.folder}")
    describe_recipe(recipe, display, plan.stages)
    config = data_config(model)
    display.say(f"weights: {config.weights}, licence: {recipe.licence or config.licence or 'not stated'}")
    if folder:
        display.say(f"results: {folder.folder}")


def describe_preset(preset: str, asked: str, display: Display) -> None:
    """Say which preset was taken, and why."""
    if preset:
        why = " (auto: standard with a GPU, quick without)" if asked == "auto" else ""
        display.say(f"preset: {preset}{why}")


def describe_recipe(recipe: Recipe, display: Display, stages: Sequence[int] = ()) -> None:
    """Print a recipe: its stages as a table, then what concerns all of them."""
    display.say(
        f"recipe: {recipe.arch}, {'pretrained' if recipe.pretrained else 'random weights'}, {recipe.head} head, "
        f"{recipe.groups} layer groups, seed {recipe.seed}"
    )
    columns = ("", "stage", "px", "epochs", "schedule", "lr", "trains", "views", "batch", "keeps")
    numbered = list(enumerate(recipe.stages, 1))
    shown = [(i, stage) for i, stage in numbered if not stages or i in stages]
    display.table(columns, [(i, *_stage_cells(stage, recipe)) for i, stage in shown])
    views = recipe.tta_views or "the stage's own"
    tta = f"plain + {recipe.tta} augmented views ({views})" if recipe.tta else "plain view only"
    size = f" at {recipe.predict_size} px" if recipe.predict_size else ""
    clip = f"; probabilities clipped to {recipe.clip:g}" if recipe.clip else ""
    display.say(f"prediction: {tta}{size}; ensemble: {recipe.ensemble}{clip}")
    if recipe.exposure:
        display.say(f"exposure: {recipe.exposure}")
    if recipe.source:
        display.say(f"source: {recipe.source}")
    display.say(f"measured: {recipe.measured}")


def _stage_cells(stage: Stage, recipe: Recipe) -> tuple[str, ...]:
    if not stage.by_gradient:
        return (
            stage.name,
            str(stage.size),
            "-",
            "regression",
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
    cached = ", cached" if stage.precompute else ""
    rates = f"{stage.lr:.2g}"
    if stage.group_lrs:
        rates = " ".join(f"{rate:.2g}" for rate in stage.group_lrs)
    elif first < recipe.groups - 1:
        rates = f"{stage.lr / stage.body_factor**2:.2g}..{stage.lr:.2g}"
    epochs = "+".join(str(n) for n in stage.cycle_epochs)
    views = "plain" if stage.precompute else stage.views
    return (
        stage.name,
        str(stage.size),
        epochs,
        stage.schedule,
        rates,
        trains + cached,
        views,
        str(stage.batch_size),
        _kept(stage),
    )


def _kept(stage: Stage) -> str:
    return (
        f"{stage.cycles} snapshots" if stage.snapshots and stage.cycles > 1 else "snapshot" if stage.snapshots else ""
    )


def describe_scores(rows: Sequence[dict[str, Any]], plan: Plan, display: Display) -> None:
    """Print every member's and the ensemble's scores with their standard errors."""
    keys = [key for key in rows[-1] if key not in ("member", "views")]
    columns = ["member", "views", *(_title(key) for key in keys)]
    display.table(columns, [[row["member"], row["views"], *(_cell(row.get(key)) for key in keys)] for row in rows])
    if plan.truth is not None and any(key.startswith("test_") for key in keys):
        display.say(
            "the test scores are computed here, from labels that were known all along and used for nothing else"
        )


def _title(key: str) -> str:
    split, _, metric = key.partition("_")
    return f"{split} {TITLES.get(metric, metric)}"


def _cell(score: list[float] | None) -> str:
    return f"{score[0]:.4f} ± {score[1]:.4f}" if score else ""
