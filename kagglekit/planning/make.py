"""Make the plan from the request: data folder, image table, device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.location import check_given, data_place, demands_noted, existing_data
from kagglekit.data.packed_folder import is_packed_folder, see_through
from kagglekit.data.sample import asked_sample
from kagglekit.hooks.calls import Hooks
from kagglekit.planning.choose import check_request, choose
from kagglekit.planning.drop import check_known
from kagglekit.planning.plan import Choice, Plan
from kagglekit.planning.wrong_folder import check_not_above, pointing_elsewhere
from kagglekit.system.errors import NotForTask, UserError, listing
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions
from kagglekit.types.ensemble import Member
from kagglekit.types.image_table import data_key

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.planning.request import Request
    from kagglekit.system.display.console import Display
    from kagglekit.tasks.task import Task
    from kagglekit.types.recipe import Recipe

TRIED = ("tabular",)  # ensembles that need more than members: columns beside the images


def make_plan(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Choose the recipe, find the data, and check the image table, the device and the folders to write to.

    Args:
        request: The user's request.
        display: Shows downloads and warnings.
        downloads: Folder of a download; None for the usual one.

    Raises:
        UserError: Something does not fit; the message says what to change.
    """
    from kagglekit.compute.compile import check_compile
    from kagglekit.compute.device import choose_device
    from kagglekit.compute.precision import check_precision
    from kagglekit.compute.threads import threads_for
    from kagglekit.data.sample import sample_for
    from kagglekit.images.find_form import describe_form
    from kagglekit.images.placement import check_keep

    check_request(request)
    choice = choose(request, display.warn)
    if choice.base and not choice.base.run.final_weights.exists():
        raise UserError(f"{choice.base.run.folder} has no final weights", "start from a run that finished training")
    device = choose_device(request.device)
    check_precision(request.precision, device)
    check_keep(request.store, device)
    check_compile(request.compile, device)
    options = DownloadOptions(display, max_unpacked=request.max_unpacked)
    data = find_data(choice.hooks, choice.competition, choice.name, request.data, options, downloads)
    table, task, truth, warnings = image_table(choice.hooks, choice.competition, choice.recipe, data, choice.dropped)
    sample = sample_for(table, data, task.columns, request.sample)
    plan = Plan(**vars(choice), data=data, table=table, task=task, truth=truth, warnings=warnings, device=device)
    _try_ensemble(plan)
    threads = threads_for(request.threads, device, request.deterministic)
    plan = with_form(replace(plan, sample=sample, threads=threads))
    if line := describe_form(plan.form):
        display.report(line)
    return plan


def check_sample(choice: Choice, display: Display) -> None:
    """Refuse a sample submission that is not there, if the data are.

    Raises:
        UserError: There is no such file.
    """
    data = choice.request.data or existing_data(choice.competition, choice.name)
    if choice.request.sample and data:
        limit = choice.request.max_unpacked
        asked_sample(_opened(choice.hooks, data.absolute(), choice.name, display, limit), choice.request.sample)


def _try_ensemble(plan: Plan) -> None:
    """Refuse an ensemble for which the competition lacks something, before hours of training.

    Raises:
        NotForTask: It does not fit the competition.
    """
    if plan.recipe.ensemble not in TRIED:
        return
    member = Member("average", plan.task.empty(), plan.task.empty(), plan.name, "none", 1)
    try:
        plan.hooks.ensemble([member], plan.table["label"][:0], plan.recipe, plan.task, metadata=plan.metadata)
    except NotForTask:
        raise
    except UserError:  # it cannot be fitted to nothing
        return


def with_form(plan: Plan) -> Plan:
    """Return a plan with the form of its images, which some of them show.

    Raises:
        UserError: The recipe is for another number of channels, or augments images in a way that needs another one.
    """
    from kagglekit.images.find_form import find_form

    labelled = [Path(path) for path in plan.table.loc[plan.table["split"] != "test", "path"]]
    form = find_form(labelled, plan.hooks.read_values, plan.recipe, plan.competition.shown)
    recipe = _with_channels(plan.recipe, form.channels)
    plan.hooks.check_augmentations(recipe)
    return replace(plan, form=form, recipe=recipe)


def _with_channels(recipe: Recipe, channels: int) -> Recipe:
    """Return the recipe for images of so many channels.

    Raises:
        UserError: It is for another number.
    """
    if recipe.channels not in (0, channels):
        what = f"the recipe is for {recipe.channels} channels, and the images have {channels}"
        raise UserError(what, f"set channels={channels}, or omit it")
    return recipe if channels == 3 else recipe.model_copy(update={"channels": channels})


def find_data(
    hooks: Hooks,
    competition: Competition,
    name: str,
    requested: Path | None,
    options: DownloadOptions,
    downloads: Path | None = None,
) -> Path:
    """Return the data folder: the requested one, else an existing one (`existing_data`), else a download.

    Of a folder with archives, it is a folder in the cache that shows it unpacked: see `see_through`.
    A download goes to $KAGGLEKIT_DATA/NAME or ./data/NAME, or, in a dry run, to `downloads`.

    Raises:
        UserError: There is none, and none can be downloaded.
    """
    if requested is not None:
        check_given(requested, competition, name)
    if there := requested.absolute() if requested else existing_data(competition, name):
        for line in demands_noted(there):
            options.display.report(line)
        return _opened(hooks, there, name, options.display, options.max_unpacked)
    if downloads and (competition.slug or competition.files):
        raise UserError(
            f"no data in {data_place(name)}; a dry run does not download them",
            f"download them first: kagglekit download {name}, or pass their folder with --data DIR",
        )
    return hooks.download(competition, downloads or data_place(name), options)


def _opened(hooks: Hooks, data: Path, name: str, display: Display, limit: int | None) -> Path:
    """Return a data folder as it is once its archives are unpacked, which those of other data sets never are."""
    if is_packed_folder(data):
        check_not_above(hooks, data, name)
    return see_through(data, display, limit)


def image_table(
    hooks: Hooks, competition: Competition, recipe: Recipe, data: Path, dropped: Sequence[str] = ()
) -> tuple[pd.DataFrame, Task, pd.Series[str] | None, tuple[str, ...]]:
    """Return the checked image table without test labels, what is predicted, the known test labels and warnings.

    Raises:
        UserError: See `kagglekit.data.table.read_table`, or one of the ids in `dropped` is no labelled image's.
    """
    from kagglekit.data.groups import group_duplicates
    from kagglekit.data.splits import limit_images, split_valid
    from kagglekit.data.table import read_table, strata_of

    with pointing_elsewhere(hooks, data):
        table, task, warnings = read_table(hooks, competition, data)
    check_known(table, dropped, data)
    task = task.for_loss(recipe.loss)
    test = table["split"] == "test"
    known = table[test & table["label"].notna()]
    truth = known.set_index("id")["label"] if len(known) and competition.known_test_labels else None
    if truth is not None and len(known) < test.sum():
        warnings.append(f"only {len(known):,} of {test.sum():,} test images have a label: the test is not scored")
        truth = None
    if truth is not None:
        _check_truth(task, truth)
    table["label"] = table["label"].where(~test, None)
    if recipe.limit:
        table = limit_images(table, recipe.limit, recipe.split_by, strata_of(table, task))
    if recipe.group_duplicates:
        table, found = group_duplicates(table, hooks)
        warnings.append(found)
    own_split = bool((table["split"] == "valid").any())
    table = split_valid(table, recipe.valid, recipe.split_by, strata_of(table, task))
    held = float((table["split"] == "valid").sum() / max(1, (table["split"] != "test").sum()))
    if not own_split and abs(held - recipe.valid) > recipe.valid / 2 and "group" in table:
        warnings.append(f"groups are large: {held:.0%} of the labelled images are held out, not {recipe.valid:.0%}")
    if truth is not None:
        truth = truth.loc[table.loc[table["split"] == "test", "id"]]
    return table, task, truth, tuple(warnings)


def _check_truth(task: Task, truth: pd.Series[str]) -> None:
    """Refuse known test labels that no training image has: the finished predictions could not be scored."""
    strange = []
    for label in dict.fromkeys(truth):
        try:
            task.encode([label])
        except UserError:
            strange.append(label)
    if strange:
        raise UserError(
            f"classes in test but not in train: {listing(sorted(strange))}",
            "add training images, or remove the test images; known_test_labels=False in the plugin ignores test labels",
        )


def check_base_data(plan: Plan) -> None:
    """Refuse to start from a run that was trained on other data: its training images could be among the valid ones.

    Raises:
        UserError: They differ.
    """
    if not plan.base or plan.fitted_on:
        return
    if plan.base.info.classes != plan.classes:
        return  # reported when its weights are read
    if plan.base.info.data_key != data_key(plan.table, plan.data, plan.classes):
        raise UserError(
            f"{plan.base.run.folder} was trained on images, labels or splits that differ from those in {plan.data}",
            "pass its data with --data DIR, or leave out --from: its valid images must stay out of training",
        )
