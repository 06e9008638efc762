"""From what the user asked to what a run needs: competition, recipe, data folder, image table, device."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.base import check_split
from kagglekit.competition import Competition
from kagglekit.data_place import data_place, existing_data
from kagglekit.errors import UsageError, UserError, listing, unknown
from kagglekit.fetching import Fetching
from kagglekit.files import check_writable
from kagglekit.folds import check_folds
from kagglekit.hooks import PRESETS, Hooks
from kagglekit.manager import load
from kagglekit.overrides import apply_overrides, epochs_setting, size_settings
from kagglekit.recipe import Recipe
from kagglekit.run_folder import RUNS, Run, find_run

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from kagglekit.compiling import Compile
    from kagglekit.progress import Display
    from kagglekit.store_choice import Keep


MISSING = {
    "multi-label": "an image table with several labels an image, a sigmoid for each class, metrics over sets of "
    "labels, a split that balances them, and the CSV's form; kagglekit_loss and kagglekit_metric alone are not enough",
    "regression": "an image table with numbers as labels, a head without softmax, a loss and metrics for numbers, "
    "ensembles of numbers, and the CSV's form; kagglekit_loss and kagglekit_metric alone are not enough",
}
"""What training another task would need, and nobody has written."""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        competition: A competition's name or a plugin file.
        data: The data folder; None for the usual places, or a download.
        preset: ``auto`` or one of `kagglekit.hooks.PRESETS`.
        settings: ``KEY=VALUE`` overrides of the recipe, applied in order.
        epochs: Shorthand for the epochs of the last stage that is run.
        size: Shorthand for the largest image side, px.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16``.
        store: Where decoded images are kept: ``auto``, ``device``, ``ram``, ``map``; ``stream`` decodes the test images
            block by block.
        compile: Whether training steps are compiled: ``auto`` (on a CUDA GPU, in stages long enough), ``off``, ``on``.
        out: Folder of all runs.
        name: Label of the run's folder; empty for the architecture's name.
        from_run: A finished run whose weights, and recipe unless a preset is named, to start from.
        stages: Which stages to run: ``3``, ``2-3``, ``3-``; empty for all.
        full: A finished run to do again with all labelled images (see `kagglekit.full`).
        only_fold: The one fold to run; None for all of them.
        into: A run whose folds are to be completed.
        repeats: How often to run, each time with the next seed.
        skip_bad_images: Leave undecodable train images out instead of stopping.
        disable: Shared plugins to leave out.
        deterministic: Use torch's deterministic algorithms, and measure nothing.
        save_every: Time between two checkpoints in the middle of an epoch, minutes.
        recipe: A whole recipe, of a run that is resumed or done again, in the place of preset, settings and shorthands.
    """

    competition: str
    data: Path | None = None
    preset: str = "auto"
    settings: Sequence[str] = ()
    epochs: int | None = None
    size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    store: Keep = "auto"
    compile: Compile = "auto"
    out: Path = RUNS
    name: str = ""
    from_run: str = ""
    stages: str = ""
    full: str = ""
    only_fold: int | None = None
    into: str = ""
    repeats: int = 1
    skip_bad_images: bool = False
    disable: Sequence[str] = field(default_factory=tuple)
    deterministic: bool = False
    save_every: float = 10.0
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Choice:
    """What is decided without a look at the data.

    Attributes:
        request: What was asked.
        name: The competition's short name, which names its folder of runs.
        hooks: The loaded plugins.
        competition: Its facts.
        base: The run to start from, if any.
        preset: The resolved one; empty where the recipe is another run's.
        recipe: Overrides applied, names checked.
        stages: Numbers of the stages to run, from 1.
    """

    request: Request
    name: str
    hooks: Hooks
    competition: Competition
    base: Run | None
    preset: str
    recipe: Recipe
    stages: tuple[int, ...]


@dataclass(frozen=True)
class Plan(Choice):
    """Everything that is decided before a network or an image is loaded.

    Attributes:
        data: The data folder.
        table: The checked image table, with its valid split.
        classes: Class names in their fixed order.
        truth: Known test labels by id, only ever used to score finished predictions; None if unknown.
        warnings: What is odd about the data, but no reason to stop.
        device: Where to compute.
        fitted_on: The finished run whose valid images are trained on here: the ensemble is fitted to that run's valid
            predictions, and nothing says how good this one is.
    """

    data: Path
    table: pd.DataFrame
    classes: tuple[str, ...]
    truth: pd.Series[str] | None
    warnings: tuple[str, ...]
    device: torch.device
    fitted_on: Run | None = None


def choose(request: Request, warn: Callable[[str], None] = lambda _: None) -> Choice:
    """Load the plugins and choose the recipe, in a fraction of a second.

    Only ``--preset auto`` needs torch, to look for a GPU.

    Args:
        request: What was asked.
        warn: Gets what goes wrong without being a reason to stop.

    Raises:
        UserError: Something was asked for that is not there, or does not fit.
    """
    if not request.competition:
        raise UsageError("no competition is named: `kagglekit competitions` lists them")
    plugins = load(request.competition, request.disable)
    for line in plugins.warnings:
        warn(line)
    hooks, name = Hooks(plugins, warn), plugins.competition
    competition = hooks.competition()
    base = find_run(request.from_run, request.out, name) if request.from_run else None
    preset, recipe = choose_recipe(hooks, competition, request, base)
    stages = stage_numbers(request.stages, recipe)
    check_folds(request, recipe)
    _check_measured(request, recipe)
    return Choice(request, name, hooks, competition, base, preset, recipe, stages)


def make_plan(request: Request, display: Display, downloads: Path | None = None) -> Plan:
    """Choose, find the data, and check the image table, the device and the places to write to.

    Args:
        request: What was asked.
        display: Shows a download, and what goes wrong without being a reason to stop.
        downloads: Where a download goes; None for the usual place.

    Raises:
        UserError: Something does not fit; the message says what to change.
    """
    from kagglekit.compiling import check_compile
    from kagglekit.device import check_precision, choose_device
    from kagglekit.store import cache_folder
    from kagglekit.store_choice import check_keep

    choice = choose(request, display.warn)
    if choice.base and not choice.base.final_weights.exists():
        raise UserError(f"{choice.base.folder} has no final weights", "start from a run that finished its training")
    device = choose_device(request.device)
    check_precision(request.precision, device)
    check_keep(request.store, device)
    check_compile(request.compile, device)
    check_writable(request.out, "choose another place with --out DIR")
    check_writable(cache_folder(), "set KAGGLEKIT_CACHE to a folder that can be written to")
    fetching = Fetching(display)
    data = find_data(choice.hooks, choice.competition, choice.name, request.data, fetching, downloads)
    table, classes, truth, warnings = image_table(choice.hooks, choice.competition, choice.recipe, data)
    return Plan(**vars(choice), data=data, table=table, classes=classes, truth=truth, warnings=warnings, device=device)


def choose_recipe(hooks: Hooks, competition: Competition, request: Request, base: Run | None) -> tuple[str, Recipe]:
    """Return the preset's name and the recipe with every override applied and every name checked.

    Raises:
        UsageError: An unknown preset, an override that does not fit, a name that no plugin provides.
        UserError: The task can't be trained yet.
    """
    if competition.task != "single-label":
        raise UserError(
            f"{competition.title} is a {competition.task} task; only single-label can be trained so far",
            f"missing for {competition.task}: {MISSING[competition.task]}",
        )
    presets = ("auto", *PRESETS)
    if request.preset not in presets:
        raise UsageError(unknown("preset", request.preset, presets))
    if request.recipe:
        preset, recipe = request.preset, request.recipe
    elif base and request.preset == "auto":
        preset, recipe = "", base.recipe()
    else:
        preset = auto_preset(request.device) if request.preset == "auto" else request.preset
        recipe = hooks.recipe(preset)
    shorthands: list[str] = []  # before the settings, which may say more
    if request.epochs is not None:
        shorthands += epochs_setting(stage_numbers(request.stages, recipe)[-1], request.epochs)
    if request.size is not None:
        shorthands += size_settings(recipe, request.size)
    recipe = apply_overrides(recipe, [*shorthands, *request.settings])
    if base:
        check_split(base, recipe)
    hooks.check_names(recipe, competition)
    return preset, recipe


def _check_measured(request: Request, recipe: Recipe) -> None:
    """Refuse a batch size that depends on how fast the machine happens to be where nothing may."""
    auto = [number for number, stage in enumerate(recipe.stages, 1) if stage.find_batch]
    if auto and request.deterministic:
        raise UsageError(
            f"--deterministic measures nothing, and batch_size=auto would (stage {listing(auto)})",
            f"name a number: --set stage.{auto[0]}.batch_size=64",
        )


def auto_preset(device: str) -> str:
    """Return ``standard`` where there is a GPU to compute on, else ``quick``."""
    if device == "cpu":
        return "quick"
    from kagglekit.device import choose_device

    return "quick" if choose_device(device).type == "cpu" else "standard"


def stage_numbers(text: str, recipe: Recipe) -> tuple[int, ...]:
    """Read ``3``, ``2-3`` or ``3-`` as the numbers of the stages to run.

    Raises:
        UsageError: It is none of these, or there are no such stages.
    """
    last = len(recipe.stages)
    if not text:
        return tuple(range(1, last + 1))
    form = re.fullmatch(r"(\d+)(-(\d*))?", text)
    if not form:
        raise UsageError(f"--stages {text!r}: write 3, 2-3 or 3-")
    start = int(form[1])
    end = start if form[2] is None else int(form[3] or last)
    if not 1 <= start <= end <= last:
        raise UsageError(f"--stages {text!r}: the recipe has stages 1 to {last}")
    return tuple(range(start, end + 1))


def find_data(
    hooks: Hooks,
    competition: Competition,
    name: str,
    asked: Path | None,
    fetching: Fetching,
    downloads: Path | None = None,
) -> Path:
    """Return the data folder: the one asked for, else the one that is there (`existing_data`), else a download.

    A download goes to $KAGGLEKIT_DATA/NAME or ./data/NAME, or, in a dry run, to `downloads`.

    Raises:
        UserError: There is none, and none can be fetched.
    """
    if asked is not None:
        if not asked.is_dir():
            what = "is a file, not a folder" if asked.exists() else "does not exist"
            raise UserError(
                f"the data folder {asked} {what}",
                f"--data names the folder of the unpacked download; kagglekit download {name} --data DIR fetches it",
            )
        return asked.absolute()
    if there := existing_data(competition, name):
        return there
    if downloads and (competition.slug or competition.files):
        raise UserError(
            f"there are no data in {data_place(name)}, and a dry run leaves nothing behind",
            f"fetch them first: kagglekit download {name}, or name their folder with --data DIR",
        )
    return hooks.download(competition, downloads or data_place(name), fetching)


def image_table(
    hooks: Hooks, competition: Competition, recipe: Recipe, data: Path
) -> tuple[pd.DataFrame, tuple[str, ...], pd.Series[str] | None, tuple[str, ...]]:
    """Return the checked image table without test labels, the classes, the known test labels and warnings.

    Raises:
        UserError: See `kagglekit.table.check_table`.
    """
    from kagglekit.groups import group_duplicates
    from kagglekit.table import check_table, classes_of, limit_images, split_valid

    table, warnings = check_table(hooks.labels(data), data)
    test = table["split"] == "test"
    known = table[test & table["label"].notna()]
    truth = known.set_index("id")["label"] if len(known) and competition.known_test_labels else None
    if truth is not None and len(known) < test.sum():
        warnings.append(f"only {len(known):,} of {test.sum():,} test images have a label: the test is not scored")
        truth = None
    table["label"] = table["label"].where(~test, None)
    if recipe.limit:
        table = limit_images(table, recipe.limit, recipe.split_by)
    if recipe.group_duplicates:
        table, found = group_duplicates(table, hooks)
        warnings.append(found)
    table = split_valid(table, recipe.valid, recipe.split_by)
    if truth is not None:
        truth = truth.loc[table.loc[table["split"] == "test", "id"]]
    return table, classes_of(table), truth, tuple(warnings)
