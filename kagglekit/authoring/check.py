"""The conformance check of a competition's plugin: every part of it, tried on its own, on a few images, on the CPU."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from kagglekit.authoring.findings import Finding, Report
from kagglekit.authoring.sample_images import draw_pictures
from kagglekit.data.location import existing_data
from kagglekit.data.splits import split_valid
from kagglekit.data.sample import find_sample, wanted_of
from kagglekit.data.submission import check_submission
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import PRESETS, Hooks
from kagglekit.hooks.failures import defined_at
from kagglekit.hooks.manager import load
from kagglekit.hooks.plugin import Plugins
from kagglekit.planning.choose import MISSING, choose
from kagglekit.planning.make import find_data, image_table
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.system.console import Display
from kagglekit.system.errors import PluginError, UserError, listing
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions
from kagglekit.types.image_table import classes_of
from kagglekit.types.predictions import load_predictions, make_predictions
from kagglekit.types.recipe import Recipe
from kagglekit.workflows.dry_run import cache_in, rehearse, two_batches
from kagglekit.workflows.setup import build_model

SMALL = ("pretrained=false", "weights=", "stage.*.batch_size=8", "tta=1")  # of a recipe that is only tried


def examine(competition: str, data: Path | None = None, disable: Sequence[str] = ()) -> list[Finding]:
    """Check a competition's plugin; nothing is downloaded, and nothing is left behind.

    Without a data folder (the one given, else $KAGGLEKIT_DATA/NAME or ./data/NAME), labels and submission can't be
    checked, and the training is tried on drawn pictures with made-up labels.

    Args:
        competition: Its name, or the path of a plugin file.
        data: The unpacked data.
        disable: Shared plugins to leave out.

    Returns:
        What each check found, in order; a check that others need ends them.
    """
    report = Report()
    loaded = report.tried("hooks", "", "", lambda: load(competition, disable))
    if loaded is None:
        return report.findings
    report.places |= _places(loaded)
    own = loaded.plugins[0].hooks
    report.add("hooks", "ok", f"{len(own)} hooks with known names and arguments: {listing(own, 30)}")
    hooks = Hooks(loaded)
    for line in loaded.warnings:
        report.add("hooks", "note", line)
    facts = _check_facts(report, hooks)
    if facts is None:
        return report.findings
    facts_fit = not report.problems()
    recipes_fit = _check_recipes(report, hooks, facts)
    with tempfile.TemporaryDirectory(prefix="kagglekit-check-") as place, cache_in(Path(place) / "cache"):
        folder = _data_folder(report, hooks, loaded.competition, data)
        table = _check_labels(report, hooks, folder) if folder else None
        if folder and facts_fit and table is not None:
            _check_submission(report, hooks, folder, table)
        if facts_fit and recipes_fit and (folder is None or table is not None):
            request = Request(
                competition, preset="quick", settings=SMALL, device="cpu", precision="fp32", disable=disable
            )
            _check_training(report, request, folder, Path(place))
    return report.findings


def _places(loaded: Plugins) -> dict[str, str]:
    """Where the competition's plugin has each of its hooks: ``FILE:LINE``."""
    found = {}
    for hook in loaded.plugins[0].hooks:
        for each in getattr(loaded.manager.hook, hook).get_hookimpls():
            if each.plugin_name == str(loaded.plugins[0]):
                found[hook] = defined_at(each.function).removeprefix(" at ")
    return found


def _check_facts(report: Report, hooks: Hooks) -> Competition | None:
    """Check what the competition says of itself; None where there is nothing to go on from."""
    hook = "kagglekit_competition"
    facts = report.tried("facts", hook, "answer it with a Competition(title=..., metric=...)", hooks.competition)
    if facts is None:
        return None
    if facts.task != "single-label":
        what = f"the task is {facts.task}; only single-label can be trained so far"
        report.add("facts", "problem", what, f"missing for {facts.task}: {MISSING[facts.task]}", hook)
    mend = "name one of kagglekit's metrics, or answer kagglekit_metric"
    metric = report.tried("facts", hook, mend, lambda: hooks.metric(facts))
    if not (facts.slug or facts.url):
        report.add("facts", "note", "neither slug nor url: nobody learns where the data come from", "add one", hook)
    if not facts.licence:
        report.add("facts", "note", "no licence: the terms the images come under", "add licence=...", hook)
    if not report.problems() and metric is not None:
        report.add("facts", "ok", f"{facts.title}, metric {facts.metric}", hook=hook)
    return facts


def _check_recipes(report: Report, hooks: Hooks, facts: Competition) -> bool:
    """Check the recipe of each preset: its names, and that its network can be built."""
    hook, found = "kagglekit_recipe", []
    before = len(report.problems())
    for preset in PRESETS:
        try:
            recipe = hooks.recipe(preset)
        except PluginError as error:
            report.add("recipe", "problem", f"preset {preset}: {error.what}", error.hint, hook)
            continue
        except UserError:  # a preset need not exist; lesson seldom does
            continue
        mend = f"mend the recipe of the preset {preset}"
        if report.tried("recipe", hook, mend, lambda r=recipe: _check_recipe(hooks, r, facts)):  # type: ignore[misc]
            found.append(f"{preset} {recipe.arch}")
    fits = len(report.problems()) == before
    if fits:
        report.add("recipe", "ok", f"names and networks exist: {', '.join(found)}", hook=hook)
    return fits


def _check_recipe(hooks: Hooks, recipe: Recipe, facts: Competition) -> bool:
    hooks.check_names(recipe, facts.model_copy(update={"metric": "log_loss"}))  # the metric was checked before
    bare = recipe.model_copy(update={"pretrained": False, "weights": ""})
    try:
        with torch.device("meta"):  # no memory, no time: only whether there is such a network
            hooks.model(bare, 2)
    except PluginError:  # its constructor computes something
        hooks.model(bare, 2)
    return True


def _data_folder(report: Report, hooks: Hooks, name: str, data: Path | None) -> Path | None:
    """Return the data folder; without one, labels and submission are not checked."""
    facts = hooks.competition()
    if data is None and not existing_data(facts, name):
        for check in ("labels", "submission"):
            report.add(check, "not checked", "there are no data to check it on", "name them: --data DIR")
        return None
    silent = DownloadOptions(Display(Console(file=io.StringIO())))  # nothing is fetched: they are there
    return report.tried("labels", "", "", lambda: find_data(hooks, facts, name, data, silent))


def _check_labels(report: Report, hooks: Hooks, data: Path) -> pd.DataFrame | None:
    """Check the image table, and that the hook answers the same twice."""
    hook = "kagglekit_labels"
    checked = report.tried("labels", hook, "", lambda: check_table(hooks.labels(data), data))
    if checked is None:
        return None
    table, warnings = checked
    classes = report.tried("labels", hook, "", lambda: classes_of(table))
    if classes is None:
        return None
    for warning in warnings:
        report.add("labels", "note", warning, hook=hook)
    if not check_table(hooks.labels(data), data)[0].equals(table):
        mend = "sort what a folder lists, and draw nothing without a fixed seed"
        report.add("determinism", "problem", "the labels hook answers another table the second time", mend, hook)
        return None
    _note_test_labels(report, hooks, table)
    n = table["split"].value_counts()
    splits = ", ".join(f"{n[split]:,} {split}" for split in ("train", "valid", "test") if split in n)
    report.add("labels", "ok", f"{splits}; {len(classes)} classes ({listing(classes)}); the same twice", hook=hook)
    return table


def _note_test_labels(report: Report, hooks: Hooks, table: pd.DataFrame) -> None:
    known = bool(table.loc[table["split"] == "test", "label"].notna().any())
    if known != hooks.competition().known_test_labels:
        what = (
            "test images have labels, and known_test_labels is not set: they are dropped"
            if known
            else ("known_test_labels is set, and no test image has a label")
        )
        report.add("labels", "note", what, "set known_test_labels in Competition as it is", "kagglekit_competition")


def _check_submission(report: Report, hooks: Hooks, data: Path, table: pd.DataFrame) -> None:
    """Check the rows for all test images, made of random probabilities, against sample_submission.csv."""
    hook = "kagglekit_submission"
    ids, classes = table.loc[table["split"] == "test", "id"].tolist(), classes_of(table)
    if not ids:
        report.add("submission", "not checked", "there are no test images", "give the labels hook the test images")
        return

    def rows() -> str:
        found = find_sample(data, wanted_of(table, data, classes))
        sample = found.rows if found else None
        drawn = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(ids))
        predictions = make_predictions(ids, classes, drawn)
        answered = hooks.submission(hooks.competition(), predictions, sample)
        check_submission(answered, sample, predictions, hooks.competition())
        like = f"as in {found.file.name}" if found else "there is no sample_submission.csv"
        return f"{len(answered):,} rows, columns {listing(list(answered.columns))}; {like}"

    mend = "mend the ids or class names in kagglekit_labels, or answer kagglekit_submission"
    if said := report.tried("submission", hook, mend, rows):
        report.add("submission", "ok", said, hook=hook)


def _check_training(report: Report, request: Request, data: Path | None, place: Path) -> None:
    """Train two steps a stage and predict, twice, and compare the predictions."""
    hook = "kagglekit_recipe"
    plan = report.tried("training", hook, "", lambda: _small_plan(request, data, place))
    if plan is None:
        return
    tables = []
    for number in (1, 2):
        found = report.tried("training", hook, "", lambda n=number: _predictions(plan, place / str(n)))  # type: ignore[misc]
        if found is None:
            return
        tables.append(found)
    on = f"{len(plan.table):,} images" if data else "drawn pictures with made-up labels"
    report.add("training", "ok", f"two steps a stage of {len(plan.stages)} stages, random weights, on {on}", hook=hook)
    if all(first.equals(second) for first, second in zip(*tables, strict=True)):
        report.add("determinism", "ok", "the same predictions twice")
    else:
        report.add(
            "determinism",
            "problem",
            "a second training with the same seed predicts otherwise",
            "in the plugin's own hooks, draw from recipe.seed or uniforms(keys, pass_number, n) only",
        )


def _small_plan(request: Request, data: Path | None, place: Path) -> Plan:
    """Plan a run with a few images, without fetching anything."""
    choice = choose(request)
    recipe = choice.recipe
    if data is None:
        table = split_valid(draw_pictures(place / "drawn"), recipe.valid, recipe.seed)
    else:
        table = image_table(choice.hooks, choice.competition, recipe, data)[0]
    device = torch.device("cpu")
    plan = Plan(
        **vars(choice),
        data=data or place,
        table=table,
        classes=classes_of(table),
        truth=None,
        warnings=(),
        device=device,
    )
    return two_batches(plan, batch=8)


def _predictions(plan: Plan, place: Path) -> list[pd.DataFrame]:
    display = Display(Console(file=io.StringIO()))
    model, recipe = build_model(plan)
    run = rehearse(replace(plan, recipe=recipe), model, place, display)
    return [load_predictions(run.predictions("ensemble", split)) for split in ("valid", "test")]
