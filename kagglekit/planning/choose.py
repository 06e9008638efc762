"""Choose plugins, preset, recipe and stages, before the data are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.compute.accelerators import check_device, check_on_cpu, may_have_gpu
from kagglekit.data.location import check_given
from kagglekit.hooks.calls import PRESETS, Hooks
from kagglekit.hooks.manager import load
from kagglekit.hooks.names import beside
from kagglekit.planning.drop import read_dropped
from kagglekit.planning.lineage import check_split
from kagglekit.planning.overrides import apply_overrides, epochs_setting, size_settings
from kagglekit.planning.plan import Choice
from kagglekit.planning.teacher import with_teacher
from kagglekit.planning.zoo import named, with_zoo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import find_run
from kagglekit.runs.sweep_folder import Sweep, all_sweeps, find_sweep
from kagglekit.system.errors import UsageError, UserError, listing, unknown
from kagglekit.system.files import check_writable
from kagglekit.system.limits import check_threads
from kagglekit.system.paths import cache_folder
from kagglekit.system.pixel_limit import max_pixels
from kagglekit.types.competition import Competition

if TYPE_CHECKING:
    from kagglekit.planning.request import Request
    from kagglekit.types.recipe import Recipe


def check_request(request: Request, resume_latest: bool = False) -> None:
    """Refuse what can be refused without the plugins: devices, folders to write to, options that exclude each other.

    Args:
        request: The user's request.
        resume_latest: Whether it asks for the latest interrupted run.

    Raises:
        UserError: One of them cannot be used.
    """
    check_device(request.device)
    check_threads(request.threads)
    if request.device == "cpu" or not may_have_gpu():
        check_on_cpu(request.precision, request.store)
    if resume_latest and request.repeats > 1:
        raise UsageError("--resume cannot be combined with --repeats", "resume one run: kagglekit resume RUN")
    if request.only_fold and (request.jobs.given or request.jobs.ranks > 1):
        raise UsageError("--only-fold trains one fold here, without --on, -n and --gpus")
    if request.jobs.on_kaggle and request.jobs.on in ("", "local", "ray"):
        raise UsageError("--accelerator, --hours and --yes-licence are for Kaggle's machines", "add --on kaggle")
    max_pixels()  # a variable that is no number is refused before anything is decoded
    check_writable(request.out, "choose another place with --out DIR")
    check_writable(cache_folder(), "set KAGGLEKIT_CACHE to a folder that can be written to")


def choose(request: Request, warn: Callable[[str], None] = lambda _: None) -> Choice:
    """Load the plugins and choose the recipe, in a fraction of a second.

    Only ``--preset auto`` needs torch, to look for a GPU, and only where there may be one.

    Args:
        request: The user's request.
        warn: Called with each warning.

    Raises:
        UserError: The request names something that does not exist, or does not fit.
    """
    check_device(request.device)
    if not request.competition:
        raise UsageError(
            "no competition given: `kagglekit competitions` lists them",
            "for your own images, give their folder: kagglekit run ./DIR",
        )
    plugins = load(request.competition, request.disable, request.plugins)
    for line in plugins.warnings:
        warn(line)
    hooks, name = Hooks(plugins, warn), plugins.competition
    if request.jobs.on:
        hooks.check_provided("executor", request.jobs.on.partition("://")[0])
    competition = hooks.competition()
    if request.data is not None:
        check_given(request.data, competition, name)  # before torch is loaded, which takes seconds
    dropped = read_dropped(Path(request.drop)) if request.drop else ()
    base = LoadedRun.read(find_run(request.from_run, request.out, name)) if request.from_run else None
    preset, recipe = choose_recipe(hooks, competition, request, base)
    stages = stage_numbers(request.stages, recipe)
    check_folds(request, recipe)
    if request.into:
        find_run(request.into, request.out, name)
    recipe = with_teacher(recipe, request, name, competition)
    _check_measured(request, recipe)
    if not request.recipe:  # that of a run has been built, and its checkpoint may have replaced the weights
        wanted = recipe.model_copy(update={"pretrained": False, "weights": ""}) if base else recipe
        for arch, weights in named(wanted):
            _check_model(hooks, wanted.model_copy(update={"arch": arch, "weights": weights}))
    return Choice(request, name, hooks, competition, base, preset, recipe, stages, dropped)


def _check_model(hooks: Hooks, recipe: Recipe) -> None:
    """Refuse a network that no plugin can build; point at a plugin file in the working folder that seems to have it."""
    try:
        hooks.check_model(recipe)
    except UserError as error:
        base, _, tag = recipe.arch.partition(".")
        unknown_name = any(repr(name) in error.what for name in (recipe.arch, base, tag) if name)
        hint = beside(recipe.arch) if unknown_name else ""  # a plugin file names its network, whatever else is wrong
        raise type(error)(error.what, hint or error.hint) from error


def choose_recipe(
    hooks: Hooks, competition: Competition, request: Request, base: LoadedRun | None
) -> tuple[str, Recipe]:
    """Return the preset's name and the recipe with every override applied and every name checked.

    Raises:
        UsageError: The preset is unknown, an override does not fit, or no plugin provides a name.
    """
    if request.recipe:
        preset, recipe = request.preset, request.recipe
    elif base and request.preset == "auto":
        preset, recipe = "", base.recipe
    else:
        preset = _auto_preset(request) if request.preset == "auto" else request.preset
        recipe = hooks.recipe(preset) if preset in PRESETS else _of_sweep(request)
    shorthands: list[str] = []  # before the settings, which take precedence
    if request.epochs is not None:
        shorthands += epochs_setting(stage_numbers(request.stages, recipe)[-1], request.epochs)
    if request.size is not None:
        shorthands += size_settings(recipe, request.size)
    recipe = apply_overrides(recipe, [*shorthands, *request.settings])
    recipe = with_zoo(hooks, recipe, request)
    if base:
        check_split(base, recipe)
    hooks.check_names(recipe, competition)
    hooks.check_augmentations(recipe)
    return preset, recipe


def _of_sweep(request: Request) -> Recipe:
    """Return the best recipe of the sweep that a preset names.

    Raises:
        UsageError: No sweep has that name either.
    """
    names = [sweep.name for sweep in all_sweeps(request.out)]
    if request.preset not in names and not Sweep(Path(request.preset)).info_file.exists():
        raise UsageError(unknown("preset", request.preset, ("auto", *PRESETS, *names[-5:])))
    return find_sweep(request.preset, request.out).best_recipe()


def _check_measured(request: Request, recipe: Recipe) -> None:
    """Refuse a batch size found by a benchmark in a deterministic run."""
    auto = [number for number, stage in enumerate(recipe.stages, 1) if stage.find_batch]
    if auto and request.deterministic:
        raise UsageError(
            f"--deterministic cannot be combined with batch_size=auto, which benchmarks (stage {listing(auto)})",
            f"set a number: --set stage.{auto[0]}.batch_size=64",
        )


def _auto_preset(request: Request) -> str:
    """Return the preset for the machine that trains."""
    if request.jobs.on == "kaggle":
        return "quick" if request.jobs.accelerator.lower() == "none" else "standard"
    return auto_preset(request.device)


def auto_preset(device: str) -> str:
    """Return ``standard`` where there is a GPU to compute on, else ``quick``."""
    if device == "cpu" or not may_have_gpu():
        return "quick"
    from kagglekit.compute.device import choose_device

    return "quick" if choose_device(device).type == "cpu" else "standard"


def stage_numbers(text: str, recipe: Recipe) -> tuple[int, ...]:
    """Read ``3``, ``2-3`` or ``3-`` as the numbers of the stages to run.

    Raises:
        UsageError: It has another form, or names stages that do not exist.
    """
    last = len(recipe.stages)
    if not text:
        return tuple(range(1, last + 1))
    form = re.fullmatch(r"(\d+)(-(\d*))?", text)
    if not form:
        raise UsageError(f"invalid --stages {text!r}: expected 3, 2-3 or 3-")
    start = int(form[1])
    end = start if form[2] is None else int(form[3] or last)
    if not 1 <= start <= end <= last:
        raise UsageError(f"invalid --stages {text!r}: the recipe has stages 1 to {last}")
    return tuple(range(start, end + 1))


def stage_to_test(recipe: Recipe, requested: int | None) -> int:
    """Return the number of the stage that a range test of learning rates tests; by default the first that has one.

    Raises:
        UsageError: There is no such stage, or it takes no gradient steps.
    """
    fitting = [number for number, stage in enumerate(recipe.stages, 1) if stage.by_gradient]
    if requested is None and fitting:
        return fitting[0]
    if requested not in fitting:
        reason = "finds its head by regression" if requested in range(1, len(recipe.stages) + 1) else "does not exist"
        raise UsageError(f"stage {requested} {reason}: stages with a learning rate are {listing(fitting) or 'none'}")
    return requested


def check_folds(request: Request, recipe: Recipe) -> None:
    """Refuse options of folds that do not fit together.

    Raises:
        UsageError: They do not.
    """
    if request.into and request.repeats > 1:
        raise UsageError("--into cannot be combined with --repeats: it completes one run")
    if (request.only_fold or request.into) and not recipe.folds:
        raise UsageError("--only-fold and --into need cross-validation: add --folds K")
    if request.only_fold and request.only_fold > recipe.folds:
        raise UsageError(f"invalid --only-fold {request.only_fold}: the folds are 1 to {recipe.folds}")
