"""Check each part of a competition's plugin on its own, with a few images, on the CPU."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kagglekit.authoring.competition_source import ordinal_hint
from kagglekit.authoring.evidence import evidence
from kagglekit.authoring.findings import Finding, Report
from kagglekit.authoring.sample_images import draw_images
from kagglekit.data.expected import why_submission
from kagglekit.data.location import existing_data
from kagglekit.data.sample import sample_for
from kagglekit.data.scoring import for_csv, scorer_of
from kagglekit.data.splits import split_valid
from kagglekit.data.submission import check_submission
from kagglekit.data.table import read_table, strata_of
from kagglekit.hooks.calls import PRESETS, Hooks
from kagglekit.hooks.failures import defined_at
from kagglekit.hooks.manager import load
from kagglekit.hooks.plugin import Plugins
from kagglekit.planning.choose import choose
from kagglekit.planning.make import find_data, image_table, with_form
from kagglekit.planning.overrides import apply_overrides, size_settings
from kagglekit.planning.plan import Choice, Plan
from kagglekit.planning.request import Request
from kagglekit.system.display.console import Display
from kagglekit.system.errors import PluginError, UserError, listing
from kagglekit.system.paths import cache_in
from kagglekit.tasks.task import Task
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions
from kagglekit.types.metric import title_of
from kagglekit.types.predictions import load_predictions, make_predictions
from kagglekit.types.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

SIDE = 64  # px, of a trial's largest images: hooks do not see it, and 224 px are twelve times as many pixels
SMALL = ("pretrained=false", "weights=", "stage.*.batch_size=8", "tta=1")  # overrides for a trial


def examine(
    competition: str, data: Path | None = None, disable: Sequence[str] = (), plugins: Sequence[str] = ()
) -> list[Finding]:
    """Check a competition's plugin: see `examination`; return the findings, in order."""
    return [each for each in examination(competition, data, disable, plugins) if isinstance(each, Finding)]


def examination(
    competition: str, data: Path | None = None, disable: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Iterator[Finding | str]:
    """Check a competition's plugin, without a download; leave no files behind.

    The data folder is the one given, else $KAGGLEKIT_DATA/NAME or ./data/NAME. Without one, labels and submission
    are not checked, and the training runs on generated images with generated labels.

    Args:
        competition: Its name, or the path of a plugin file.
        data: The unpacked data.
        disable: Shared plugins to leave out.
        plugins: Further plugin files to load.

    Yields:
        The findings, in order, and before each slow part what it does. If a check fails that the following ones need,
        those are left out.
    """
    report = Report()
    loaded = report.attempt("hooks", "", "", lambda: load(competition, disable, plugins))
    yield from report.news()
    if loaded is None:
        return
    report.places |= _places(loaded)
    own = loaded.plugins[0].hooks
    report.add("hooks", "ok", f"{len(own)} hooks with known names and arguments: {listing(own, 30)}")
    hooks = Hooks(loaded)
    for line in loaded.warnings:
        report.add("hooks", "note", line)
    facts = _check_facts(report, hooks)
    yield from report.news()
    if facts is None:
        return
    facts_fit = not report.problems()
    yield "loading torch and timm, building each preset's network"
    recipes_fit = _check_recipes(report, hooks, facts)
    yield from report.news()
    if data or existing_data(facts, loaded.competition):
        yield "reading the labels"
    folder = _data_folder(report, hooks, loaded.competition, data)  # archives in it stay unpacked in the user's cache
    with tempfile.TemporaryDirectory(prefix="kagglekit-check-") as place, cache_in(Path(place) / "cache"):
        read = _check_labels(report, hooks, folder) if folder else None
        yield from report.news()
        if folder and facts_fit and read:
            yield "comparing them with the sample submission and the files"
        if folder and facts_fit and recipes_fit and read:  # a recipe says how predictions become those of the CSV
            _check_submission(report, hooks, folder, *read)
        if folder and facts_fit and read:
            _check_evidence(report, folder, *read, "kagglekit_submission" in own)
        yield from report.news()
        if facts_fit and recipes_fit and (folder is None or read):
            yield "training two steps of each stage, twice"
            request = Request(
                competition,
                preset="quick",
                settings=SMALL,
                device="cpu",
                precision="fp32",
                disable=disable,
                plugins=plugins,
            )
            _check_training(report, request, folder, Path(place))
    yield from report.news()


def _places(loaded: Plugins) -> dict[str, str]:
    """Return ``FILE:LINE`` of each hook of the competition's plugin."""
    found = {}
    for hook in loaded.plugins[0].hooks:
        for each in getattr(loaded.manager.hook, hook).get_hookimpls():
            if each.plugin_name == str(loaded.plugins[0]):
                found[hook] = defined_at(each.function).removeprefix(" at ")
    return found


def _check_facts(report: Report, hooks: Hooks) -> Competition | None:
    """Check the competition's facts and return them; None if the hook fails."""
    hook = "kagglekit_competition"
    facts = report.attempt("facts", hook, "return Competition(title=..., metric=...)", hooks.competition)
    if facts is None:
        return None
    report.attempt(
        "facts", hook, "name one of kagglekit's tasks, or implement kagglekit_task", lambda: hooks.task(facts.task)
    )
    fix = "name one of kagglekit's metrics, or implement kagglekit_metric"
    metric = report.attempt("facts", hook, fix, lambda: hooks.metric(facts))
    if not (facts.slug or facts.url):
        report.add("facts", "note", "no slug or url: users cannot find the data", "add slug=... or url=...", hook)
    if not facts.licence:
        report.add("facts", "note", "no licence: users cannot see the terms of the data", "add licence=...", hook)
    if not report.problems() and metric is not None:
        report.add("facts", "ok", f"{facts.title}, metric {title_of(facts.metric)}", hook=hook)
    return facts


def _check_recipes(report: Report, hooks: Hooks, facts: Competition) -> bool:
    """Check each preset's recipe: its names, and that its network can be built."""
    hook, found = "kagglekit_recipe", []
    before = len(report.problems())
    for preset in PRESETS:
        try:
            recipe = hooks.recipe(preset)
        except PluginError as error:
            report.add("recipe", "problem", f"preset {preset}: {error.what}", error.hint, hook)
            continue
        except UserError:  # presets are optional; most plugins have no lesson
            continue
        fix = f"fix the recipe of the preset {preset}"
        if report.attempt("recipe", hook, fix, lambda r=recipe: _check_recipe(hooks, r, facts)):  # type: ignore[misc]
            found.append(f"{preset} {recipe.arch}")
    fits = len(report.problems()) == before
    if fits:
        report.add("recipe", "ok", f"names and networks exist: {', '.join(found)}", hook=hook)
    return fits


def _check_recipe(hooks: Hooks, recipe: Recipe, facts: Competition) -> bool:
    hooks.check_names(recipe, facts.model_copy(update={"metric": "log_loss"}))  # the metric was checked before
    import torch

    bare = recipe.model_copy(update={"pretrained": False, "weights": ""})
    try:
        with torch.device("meta"):  # shapes only: no memory, no time
            hooks.model(bare, 2)
    except PluginError:  # a constructor that computes with values cannot run on meta tensors
        hooks.model(bare, 2)
    return True


def _data_folder(report: Report, hooks: Hooks, name: str, data: Path | None) -> Path | None:
    """Return the data folder; if there is none, note that labels and submission are not checked."""
    facts = hooks.competition()
    if data is None and not existing_data(facts, name):
        for check in ("labels", "submission"):
            report.add(check, "not checked", "no data folder found", "name it: --data DIR")
        return None
    silent = DownloadOptions(Display(Console(file=io.StringIO())))  # downloads nothing: the data exist
    return report.attempt("labels", "", "", lambda: find_data(hooks, facts, name, data, silent))


def _check_labels(report: Report, hooks: Hooks, data: Path) -> tuple[pd.DataFrame, Task] | None:
    """Check the image table, and that the hook returns the same table twice; return it and what is predicted."""
    hook = "kagglekit_labels"
    checked = report.attempt("labels", hook, "", lambda: read_table(hooks, hooks.competition(), data))
    if checked is None:
        return None
    table, task, warnings = checked
    if task.kind == "single-label" and hooks.competition().metric == "quadratic_kappa":
        warnings += filter(None, [ordinal_hint(task.columns)])
    for warning in warnings:
        report.add("labels", "note", warning, hook=hook)
    if not read_table(hooks, hooks.competition(), data)[0].equals(table):
        fix = "sort folder listings, and use a fixed seed for random choices"
        report.add("determinism", "problem", "the labels hook returns another table the second time", fix, hook)
        return None
    _note_test_labels(report, hooks, table)
    n = table["split"].value_counts()
    splits = ", ".join(f"{n[split]:,} {split}" for split in ("train", "valid", "test") if split in n)
    report.add("labels", "ok", f"{splits}; {task.describe()} ({listing(task.columns)}); deterministic", hook=hook)
    return table, task


def _note_test_labels(report: Report, hooks: Hooks, table: pd.DataFrame) -> None:
    known = bool(table.loc[table["split"] == "test", "label"].notna().any())
    if known != hooks.competition().known_test_labels:
        what = (
            "test images have labels, but known_test_labels is not set: these labels are ignored"
            if known
            else "known_test_labels is set, but no test image has a label"
        )
        fix = f"set known_test_labels={known} in Competition"
        report.add("labels", "note", what, fix, "kagglekit_competition")


def _check_submission(report: Report, hooks: Hooks, data: Path, table: pd.DataFrame, task: Task) -> None:
    """Check a submission of placeholders for all test images against sample_submission.csv."""
    hook, images = "kagglekit_submission", table[table["split"] == "test"]
    if images.empty:
        fix = "return rows of split 'test' from kagglekit_labels"
        if why := why_submission(data, hooks.competition()):
            report.add("submission", "problem", f"no test images, but {why}", fix, "kagglekit_labels")
        else:
            report.add("submission", "not checked", "no test images", fix)
        return

    def rows() -> str:
        facts, found = hooks.competition(), sample_for(table, data, task.columns)
        sample = found.rows if found else None
        blank = make_predictions(images["id"].tolist(), task.columns, task.placeholder(len(images)))
        predictions = for_csv(scorer_of(hooks, facts, hooks.recipe("quick"), task), blank, images)
        written = hooks.submission(facts, predictions, sample, task)
        check_submission(written, sample, predictions, facts, task, found.file.name if found else "")
        like = f"matches {found.file.name}" if found else "no sample_submission.csv to compare with"
        return f"{len(written):,} rows, columns {listing(list(written.columns))}; {like}"

    fix = "fix the ids or class names in kagglekit_labels, or implement kagglekit_submission"
    if what := report.attempt("submission", hook, fix, rows):
        report.add("submission", "ok", what, hook=hook)


def _check_evidence(report: Report, data: Path, table: pd.DataFrame, task: Task, own_form: bool) -> None:
    """Compare the table with the sample submission, with files that list images, and with the images that exist."""
    hook = "kagglekit_labels"
    sample = report.attempt("evidence", hook, "", lambda: [sample_for(table, data, task.columns)])
    for fact in evidence(table, data, sample[0], task, own_form) if sample else ():
        report.add("evidence", fact.status, fact.what, fact.fix, hook)


def _check_training(report: Report, request: Request, data: Path | None, place: Path) -> None:
    """Train two steps a stage and predict, twice, and compare the predictions."""
    hook = "kagglekit_recipe"
    plan = report.attempt("training", hook, "", lambda: _small_plan(request, data, place))
    if plan is None:
        return
    tables = []
    if plan.recipe.sizes[-1] > SIDE:
        small = replace(plan, recipe=apply_overrides(plan.recipe, size_settings(plan.recipe, SIDE)))
        with suppress(Exception):  # a network may be made for its own size alone
            tables.append(_predictions(small, place / "small"))
            plan = small
    while len(tables) < 2:
        found = report.attempt("training", hook, "", lambda: _predictions(plan, place / str(len(tables))))
        if found is None:
            return
        tables.append(found)
    on = f"{len(plan.table):,} images" if data else "generated images with generated labels"
    what = f"two steps in each of {len(plan.stages)} stages, random weights, on {on}"
    report.add("training", "ok", what, hook=hook)
    if all(first.equals(second) for first, second in zip(*tables, strict=True)):
        report.add("determinism", "ok", "two trainings with one seed give the same predictions")
    else:
        report.add(
            "determinism",
            "problem",
            "two trainings with one seed give different predictions",
            "in the plugin's hooks, take random numbers from recipe.seed or uniforms(keys, pass_number, n) only",
        )


def _small_plan(request: Request, data: Path | None, place: Path) -> Plan:
    """Plan a run with a few images, without a download."""
    import torch

    from kagglekit.workflows.dry_run import two_batches

    choice = choose(request)
    recipe = choice.recipe
    if data is None:
        table, task = _generated(choice, place / "images")
    else:
        table, task = image_table(choice.hooks, choice.competition, recipe, data)[:2]
    device = torch.device("cpu")
    plan = Plan(
        **vars(choice),
        data=data or place,
        table=table,
        task=task,
        truth=None,
        warnings=(),
        device=device,
    )
    return two_batches(with_form(plan), batch=8)


def _generated(choice: Choice, place: Path) -> tuple[pd.DataFrame, Task]:
    """Return the table of generated images with generated labels, and what is predicted."""
    kind, table = choice.hooks.task(choice.competition.task), draw_images(place)
    table["label"] = kind.examples(len(table), choice.competition)
    task = kind.fit(table["label"].tolist(), choice.competition)
    return split_valid(table, choice.recipe.valid, choice.recipe.seed, strata_of(table, task)), task


def _predictions(plan: Plan, place: Path) -> list[pd.DataFrame]:
    from kagglekit.workflows.dry_run import rehearse
    from kagglekit.workflows.setup import build_model

    display = Display(Console(file=io.StringIO()))
    model, recipe = build_model(plan)
    run = rehearse(replace(plan, recipe=recipe), model, place, display)
    return [load_predictions(run.predictions("ensemble", split)) for split in ("valid", "test")]
