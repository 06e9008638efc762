"""Try a whole run on two batches of everything, and leave nothing behind."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
from torch import nn

from kagglekit.compute.device import BATCH
from kagglekit.compute.memory import memory_returned
from kagglekit.compute.threads import free_threads
from kagglekit.data.table import strata_of
from kagglekit.images.warp import copy_side
from kagglekit.planning.describe import describe_plan
from kagglekit.planning.drop import without_dropped
from kagglekit.planning.identity import plugin_name
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.planning.zoo import networks
from kagglekit.prediction.finalize import finalize
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.runs.lookup import create_run
from kagglekit.system.display.console import Display, amount
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.paths import cache_folder, cache_in
from kagglekit.workflows.folds import assigned, fold_plan, join_folds
from kagglekit.workflows.learnt import learns_from
from kagglekit.workflows.setup import build_model, planned, prepare
from kagglekit.workflows.single import timed_stage
from kagglekit.workflows.zoo import pool


@memory_returned()
def dry_run(request: Request, display: Display) -> None:
    """Try a whole run with two batches of everything in temporary folders, and leave nothing behind.

    All folds are assigned; one is trained, and joined as if it were all. Of repeats, one is trained. Of a zoo, every
    network is trained.

    Args:
        request: The user's request; with `full`, from `kagglekit.workflows.full_data.full_request`.
        display: Shows progress.

    Raises:
        UserError: The real run would fail.
    """
    cache = cache_folder()
    check_writable(cache, "set KAGGLEKIT_CACHE to a folder that can be written to")
    with tempfile.TemporaryDirectory(prefix="kagglekit-dry-run-") as place, cache_in(Path(place) / "cache"):
        plan = planned(request, display, downloads=Path(place) / "data")
        check_disk(plan, cache)
        plan = _one_fold(plan, display) if plan.recipe.folds else plan
        plan = replace(plan, table=without_dropped(plan), dropped=(), threads=None, request=_unprobed(plan))
        with free_threads(request.threads, plan.device):
            parts = [_try(one, Path(place), display) for one in networks(plan)]
            if plan.recipe.zoo:
                folder = create_run(Path(place), plan.name, "dry-run-zoo", datetime.now())
                pool(two_batches(plan), folder, Record(folder.info_file), parts, display)
    display.report("dry run passed (scores are meaningless; temporary files removed)")


def _unprobed(plan: Plan) -> Request:
    """Return the request in fp32 where a CPU would benchmark formats, which takes longer than the steps themselves."""
    probed = plan.device.type == "cpu" and plan.request.precision == "auto"
    return replace(plan.request, precision="fp32") if probed else plan.request


def _try(plan: Plan, place: Path, display: Display) -> Run:
    """Try one network on two batches of everything."""
    model, recipe = build_model(plan)
    plan = replace(plan, recipe=recipe)
    describe_plan(plan, model, None, display)
    return rehearse(learns_from(two_batches(plan), display), model, place, display)


def _one_fold(plan: Plan, display: Display) -> Plan:
    """Assign the folds; return the plan of the first one that would be trained."""
    number = plan.request.only_fold or 1
    plan, fold_numbers = assigned(plan)
    display.report(f"dry run: {plan.recipe.folds} folds are assigned; trying fold {number}")
    return fold_plan(plan, fold_numbers, number)


def rehearse(plan: Plan, model: nn.Module, place: Path, display: Display) -> Run:
    """Carry out a small plan in a run folder below `place`: its stages, predictions and submission; of folds one."""
    folder = create_run(place, plan.name, "dry-run", datetime.now())
    fold = plan.request.only_fold or 1
    trained = folder.fold(fold) if plan.recipe.folds else folder
    record = Record(trained.info_file)
    record.update(status="running", competition=plan.name, plugin=plugin_name(plan.request.competition))
    trained.write_recipe(plan.recipe)
    context = prepare(plan, model, trained, record, display, time.perf_counter())
    for number in plan.stages:
        timed_stage(context, number)
    finalize(plan, context)
    if plan.recipe.folds:
        join_folds(plan, folder, Record(folder.info_file), [fold], display)
    return folder


def two_batches(plan: Plan, batch: int = BATCH) -> Plan:
    """Cut a plan down to two training steps a stage (more if a class would be missing) and two test batches.

    Args:
        plan: The plan of the real run.
        batch: Images in a batch of predictions.
    """
    stages = tuple(stage.model_copy(update={"cycles": 1, "cycle_len": 1}) for stage in plan.recipe.stages)
    n_train = 2 * max(stage.batch_size for stage in stages)
    table = plan.table
    table = table.assign(order=_turns(plan)).sort_values("order", kind="stable").drop(columns="order")
    train, valid, test = (table[table["split"] == split] for split in ("train", "valid", "test"))
    kept = pd.concat([train.head(max(n_train, len(plan.classes))), valid.head(batch), test.head(2 * batch)])
    limited = plan.recipe.model_copy(update={"stages": stages, "limit": plan.recipe.limit or len(kept)})
    return replace(plan, table=kept.reset_index(drop=True), recipe=limited)


def _turns(plan: Plan) -> pd.Series[int]:
    """Return the turn of each image: one of each class or label first, then the second of each, in each split."""
    table, strata = plan.table, strata_of(plan.table, plan.task)
    if strata.ndim == 1:
        return table.assign(stratum=strata).groupby(["split", "stratum"]).cumcount()
    has = pd.DataFrame(strata == 1, index=table.index)
    turns = has.groupby(table["split"].to_numpy()).cumsum().where(has).min(axis=1) - 1
    return turns.fillna(table.groupby("split").cumcount()).astype("int64")


def check_disk(plan: Plan, cache: Path) -> None:
    """Check that the decoded images fit on the disk of the cache folder, assuming images of 3:2.

    Test images need not fit: they are streamed if there is no room for them.

    Raises:
        UserError: They do not fit.
    """
    largest = copy_side(plan.recipe.sizes[-1])
    streams = plan.request.store in ("auto", "stream")
    n = int((plan.table["split"] != "test").sum()) if streams else len(plan.table)
    needed = n * largest**2 * 1.5 * 3
    there = next(parent for parent in (cache, *cache.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"the decoded images need about {amount(needed)}, but only {amount(free)} are free in {there}",
            "free some disk space, or set KAGGLEKIT_CACHE to a folder on a larger disk",
        )
