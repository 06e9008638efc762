"""The final training on all labelled images, with everything taken from a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean

from kagglekit.errors import UsageError, UserError
from kagglekit.lr_sweep import with_rate
from kagglekit.plan import Plan, Request, make_plan
from kagglekit.progress import Display
from kagglekit.recipe import Recipe
from kagglekit.run_folder import Run, find_run


def full_request(request: Request) -> Request:
    """Return the request with recipe, stages, data and competition of the finished run that it names.

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
        recipe=full_recipe(run),
        stages=f"{first}-{last}",
        from_run=info.get("from_run") or "",
        name=request.name or f"{run.recipe().arch}-full",
        full=str(run.folder.absolute()),
    )


def _check(run: Run) -> None:
    info = run.info()
    if info.get("blend_of"):
        raise UserError(f"{run.folder} is a blend, without a training", f"take its runs: {', '.join(info['blend_of'])}")
    if info.get("full_of"):
        raise UserError(f"{run.folder} was trained on all labelled images", f"it is made of {info['full_of']}")
    if info.get("status") != "finished":
        raise UserError(f"{run.folder} is not finished", "its valid predictions are what the ensemble is fitted on")


def full_recipe(run: Run) -> Recipe:
    """Return the recipe of one training in which nothing can be validated: each stage keeps its last epoch.

    Rates that the finished run searched are taken from it, of folds their geometric mean.
    """
    recipe, rates = run.recipe(), searched_rates(run)
    stages = [with_rate(stage, rates[stage.name]) if stage.name in rates else stage for stage in recipe.stages]
    stages = [stage.model_copy(update={"keep": "last"}) for stage in stages]
    return recipe.model_copy(update={"folds": 0, "stages": tuple(stages), "measured": "none"})


def searched_rates(run: Run) -> dict[str, float]:
    """Return the rates, by stage, that a finished run has found for itself (``lr=auto``)."""
    parts = [run.fold(number) for number in run.info().get("folds", [])] or [run]
    found = [part.info().get("found_lrs", {}) for part in parts]
    return {name: geometric_mean([rates[name] for rates in found]) for name in found[0]}


def full_plan(request: Request, display: Display) -> Plan:
    """Plan the training on all labelled images.

    Args:
        request: From `full_request`.
        display: Shows what is odd.

    Raises:
        UserError: The classes are not the finished run's, or what `make_plan` raises.
    """
    plan, run = make_plan(request, display), find_run(request.full)
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
