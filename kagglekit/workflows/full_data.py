"""The final training on all labelled images, with everything taken from a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean

from kagglekit.hooks.manager import disabled_in
from kagglekit.planning.make import make_plan
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import find_run
from kagglekit.system.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.recipe import Recipe


def full_request(request: Request) -> Request:
    """Return the request with recipe, stages, data and plugins of the finished run that it names.

    Raises:
        UsageError: It changes the recipe.
        UserError: There is no such run, or it can't be done again with all images.
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
        raise UsageError(f"--full takes the whole recipe from a finished run: leave out {', '.join(given)}")
    run = find_run(request.full, request.out)
    info = run.info()
    _check(run)
    first, last = info["stages"][0], info["stages"][-1]
    known = Path(info.get("data", ""))
    return replace(
        request,
        competition=request.competition or info["plugin"],
        data=request.data or (known if info.get("data") and known.is_dir() else None),
        recipe=full_recipe(as_found(run)),
        stages=f"{first}-{last}",
        from_run=info.get("from_run") or "",
        name=request.name or f"{run.recipe().arch}-full",
        full=str(run.folder.absolute()),
        skip_bad_images=request.skip_bad_images or info.get("request", {}).get("skip_bad_images", False),
        disable=tuple(dict.fromkeys([*disabled_in(run), *request.disable])),
    )


def _check(run: Run) -> None:
    info = run.info()
    if info.get("blend_of"):
        raise UserError(f"{run.folder} is a blend, without a training", f"take its runs: {', '.join(info['blend_of'])}")
    if info.get("full_of"):
        raise UserError(f"{run.folder} was trained on all labelled images", f"it is made of {info['full_of']}")
    if info.get("status") != "finished":
        raise UserError(f"{run.folder} is not finished", "its valid predictions are what the ensemble is fitted on")


def as_found(run: Run) -> Recipe:
    """Return a finished run's recipe with what it searched: of folds the first's batches, the rates' geometric mean."""
    recipe = run.recipe()
    parts = [run.fold(number) for number in run.info().get("folds", [])] or [run]
    infos = [part.info() for part in parts]
    rates = [info.get("found_lrs", {}) for info in infos]
    found = [f"stage.{name}.batch_size={batch}" for name, batch in infos[0].get("found_batches", {}).items()]
    found += [f"stage.{name}.lr={_mean([each[name] for each in rates])}" for name in rates[0]]
    return apply_overrides(recipe, found)


def _mean(rates: list[float]) -> float:
    return geometric_mean(rates) if len(rates) > 1 else rates[0]  # that of one number is not quite that number


def full_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of one training in which nothing can be validated: each stage keeps its last epoch."""
    stages = tuple(stage.model_copy(update={"keep": "last"}) for stage in recipe.stages)
    return recipe.model_copy(update={"folds": 0, "stages": stages, "measured": "none"})


def full_plan(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Plan the training on all labelled images.

    Args:
        request: From `full_request`.
        display: Shows what is odd.
        downloads: Where a download goes; None for the usual place.

    Raises:
        UserError: The classes are not the finished run's, or what `make_plan` raises.
    """
    plan, run = make_plan(request, display, downloads), find_run(request.full)
    if list(plan.classes) != run.info()["classes"]:
        raise UserError(f"{run.folder} has other classes than {plan.data}", "name the data folder it was trained on")
    best = [stage.name for stage in run.recipe().stages if stage.keep == "best"]
    if best:
        display.warn(f"{', '.join(best)}: the best epoch can't be known without valid images; the last one is kept")
    table = plan.table.assign(split=plan.table["split"].where(plan.table["split"] == "test", "train"))
    return replace(plan, table=table, fitted_on=run)


def describe_full(plan: Plan, run: Run) -> str:
    """Say what the training on all images is and that its score is unknown."""
    before = run.info()["images"].get("train", 0)
    own = run.info()["scores"][-1]
    key = f"valid_{plan.competition.metric}"
    scored = f" ({run.name}: {key.replace('_', ' ')} {own[key][0]:.4f} ± {own[key][1]:.4f})" if key in own else ""
    more = f" instead of {before:,}" if before and not run.recipe().folds else ""
    n = int((plan.table["split"] == "train").sum())
    return (
        f"recipe, epochs, rates and the ensemble's fit come from {run.folder}; this trains on all "
        f"{n:,} labelled images{more}, so its own valid score is unknown{scored}"
    )
