"""Retrain a finished run on all labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean

from kagglekit.hooks.manager import disabled_in
from kagglekit.hooks.trust import is_path, plugins_named, trusted_plugins
from kagglekit.planning.make import make_plan
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import find_run
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.metric import title_of
from kagglekit.types.recipe import Recipe


def full_request(request: Request) -> Request:
    """Return the request, with recipe, stages, data and plugins of the finished run that it names.

    Raises:
        UsageError: It changes the recipe.
        UserError: There is no such run, or it cannot be repeated with all images.
    """
    changes = {
        "--preset": request.preset != "auto",
        "--set, --arch, --folds or --seed": bool(request.settings),
        "--epochs": request.epochs is not None,
        "--size": request.size is not None,
        "--from": bool(request.from_run),
        "--stages": bool(request.stages),
        "--repeats": request.repeats > 1,
    }
    if given := [option for option, is_given in changes.items() if is_given]:
        raise UsageError(f"--full takes the whole recipe from a finished run: remove {', '.join(given)}")
    finished = LoadedRun.read(find_run(request.full, request.out))
    run, info = finished.run, finished.info
    _check(finished)
    named = [*filter(is_path, [request.competition]), *request.plugins]
    with plugins_named(named):
        plugin, files = trusted_plugins(info.plugin, info.plugin_files)
    return replace(
        request,
        competition=request.competition or plugin,
        plugins=files,
        data=request.data or info.data_folder,
        sample=request.sample or info.sample_file,
        recipe=full_recipe(as_found(finished)),
        stages=f"{info.stages[0]}-{info.stages[-1]}",
        from_run=info.from_run or "",
        name=request.name or f"{finished.recipe.arch}-full",
        full=str(run.folder.absolute()),
        drop=request.drop or (run.dropped_file if info.request and info.request.drop else None),
        skip_bad_images=request.skip_bad_images or bool(info.request and info.request.skip_bad_images),
        disable=tuple(dict.fromkeys([*disabled_in(info), *request.disable])),
    )


def _check(finished: LoadedRun) -> None:
    folder, info = finished.run.folder, finished.info
    if info.blend_of:
        runs = info.blend_of
        if finished.recipe.zoo:  # they are in its folder
            runs = tuple(str(finished.run.blended(name).folder) for name in runs)
        raise UserError(f"{folder} is a blend, which trains nothing", f"retrain its runs: {', '.join(runs)}")
    if info.soup_of:
        raise UserError(f"{folder} is a soup, which trains nothing", f"retrain its runs: {', '.join(info.soup_of)}")
    if info.full_of:
        raise UserError(
            f"{folder} was already trained on all labelled images", f"retrain the run that it repeats: {info.full_of}"
        )
    if info.status != "finished":
        raise UserError(f"{folder} is not finished", f"finish it first: kagglekit resume {folder}")


def as_found(finished: LoadedRun) -> Recipe:
    """Return a finished run's recipe with the batch sizes and rates that its searches found.

    Of folds, these are the first fold's batch sizes and the geometric mean of the rates.
    """
    infos = [finished.run.fold(number).info() for number in finished.info.folds] or [finished.info]
    rates = [info.found_lrs for info in infos]
    found = [f"stage.{name}.batch_size={batch}" for name, batch in infos[0].found_batches.items()]
    found += [f"stage.{name}.lr={_mean([each[name] for each in rates])}" for name in rates[0]]
    return apply_overrides(finished.recipe, found)


def _mean(rates: list[float]) -> float:
    return geometric_mean(rates) if len(rates) > 1 else rates[0]  # of one number it differs in the last bits


def full_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe for a training without valid images: one training, each stage keeps its last epoch."""
    stages = tuple(stage.model_copy(update={"keep": "last"}) for stage in recipe.stages)
    return recipe.model_copy(update={"folds": 0, "stages": stages, "measured": "none"})


def full_plan(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Plan the training on all labelled images.

    Args:
        request: From `full_request`.
        display: Shows warnings.
        downloads: Folder of a download; None for the usual one.

    Raises:
        UserError: The classes are not the finished run's, or see `make_plan`.
    """
    plan, finished = make_plan(request, display, downloads), LoadedRun.read(find_run(request.full))
    if plan.classes != finished.info.classes:
        what = f"{finished.run.folder} was trained on different classes than those in {plan.data}"
        raise UserError(what, "pass the data folder it was trained on")
    best = [stage.name for stage in finished.recipe.stages if stage.keep == "best"]
    if best:
        display.warn(f"{', '.join(best)}: the best epoch is unknown without valid images; the last one is kept")
    table = plan.table.assign(split=plan.table["split"].where(plan.table["split"] == "test", "train"))
    return replace(plan, table=table, fitted_on=finished)


def describe_full(plan: Plan, finished: LoadedRun) -> str:
    """Return the line that describes a training on all images, whose own score is unknown."""
    run, info = finished.run, finished.info
    before = info.images.get("train", 0)
    key = f"valid_{plan.competition.metric}"
    score = info.ensemble_scores.get(key)
    scored = f" ({run.name}: {title_of(key)} {score})" if score else ""
    more = f" instead of {before:,}" if before and not finished.recipe.folds else ""
    n = int((plan.table["split"] == "train").sum())
    return (
        f"recipe, epochs, rates and the ensemble's fit are those of {run.folder}; this run trains on all "
        f"{n:,} labelled images{more}, so its own valid score is unknown{scored}"
    )
