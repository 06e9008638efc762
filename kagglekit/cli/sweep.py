"""``kagglekit sweep``: search over recipes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import (
    chosen_jobs,
    data_option,
    job_options,
    json_option,
    name_option,
    option,
    out_option,
    plugin_option,
    recipe_options,
    sample_option,
    shorthand_settings,
)
from kagglekit.cli.sections import SWEEP, SectionCommand

if TYPE_CHECKING:
    from kagglekit.planning.plan import Plan
    from kagglekit.runs.sweep_folder import Sweep
    from kagglekit.system.display.console import Display

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|m|h|d)", text)
    if not found or not float(found[1]):
        raise click.BadParameter(f"{text!r} is not a time: write 90s, 45min, 2h or 1d", context, parameter)
    return float(found[1]) * _UNITS[found[2]]


def _time_option(function: Any) -> Any:
    text = "Begin no more trials after this time: 45min, 2h."
    return option(SWEEP, "--time", "seconds", callback=_seconds, metavar="TIME", help=text)(function)


@click.group()
def sweep() -> None:
    """Search over recipes: each trial is a run, stopped early if it is hopeless.

    The winner is scored again on other folds, since the best of many is partly the luckiest.
    """


@sweep.command(cls=SectionCommand)
@recipe_options
@data_option("Data folder, packed or not; default $KAGGLEKIT_DATA/NAME, then ./data/NAME, then a download.")
@sample_option()
@option(
    SWEEP,
    "--try",
    "tries",
    multiple=True,
    metavar="KEY=VALUES",
    help="Vary a recipe field: 'stage.*.lr=1e-4..1e-2:log', arch=A,B. Repeatable.",
)
@option(SWEEP, "--trials", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many trials.")
@_time_option
@option(SWEEP, "--sampler", default="tpe", show_default=True, metavar="NAME", help="What proposes trials: tpe, random.")
@option(
    SWEEP,
    "--pruner",
    type=click.Choice(["median", "asha", "none"]),
    default="median",
    show_default=True,
    metavar="NAME",
    help="When to stop a trial early: median, asha (behind most others at an epoch's end) or none.",
)
@job_options
@name_option("Suffix of the sweep folder's name.", default="sweep")
@json_option()
def run(as_json: bool, tries: tuple[str, ...], trials: int, seconds: float | None, **options: Any) -> None:
    """Search for a better recipe for COMPETITION; the same command resumes what was interrupted."""
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    with display.status(f"{options['competition'] or 'sweep'}: loading its plugin and recipe"):
        from kagglekit.authoring.from_folder import recognised
        from kagglekit.planning.choose import check_request, choose
        from kagglekit.planning.request import Request
        from kagglekit.sweep.space import check_space, parse_space
    sampler, pruner = options.pop("sampler"), options.pop("pruner")
    space = parse_space(tries)
    jobs = chosen_jobs(options)
    request = Request(settings=shorthand_settings(options), jobs=jobs, **options)
    request = recognised(request, display)
    check_request(request)
    choice = choose(request)
    check_space(choice, space)
    choice.hooks.check_provided("sampler", sampler)
    with display.status(f"{choice.name}: loading torch and timm"):
        from kagglekit.sweep.search import Wanted, begin_sweep
        from kagglekit.workflows.setup import planned
    plan = planned(request, display)
    folder = begin_sweep(plan, Wanted(space, trials, sampler, pruner))
    _go_on(plan, folder, seconds, display, as_json)


@sweep.command(cls=SectionCommand)
@click.argument("which", metavar="SWEEP", default="latest")
@_time_option
@data_option("Data folder, if it was moved.")
@plugin_option()
@job_options
@out_option()
@json_option()
def resume(
    which: str,
    seconds: float | None,
    data: Path | None,
    plugin: tuple[str, ...],
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Do what is left of SWEEP: interrupted trials are resumed. SWEEP is a path, a name, a prefix of it, or latest."""
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.runs.sweep_folder import find_sweep
    from kagglekit.system.display.console import for_people

    display, folder = for_people(as_json), find_sweep(which, out)
    with plugins_named(plugin):
        with display.status(f"resuming {folder.name}: loading torch and timm"):
            from kagglekit.sweep.search import request_of_sweep
            from kagglekit.workflows.setup import planned
        plan = planned(request_of_sweep(folder, data, chosen_jobs(options)), display)
        _go_on(plan, folder, seconds, display, as_json)


def _go_on(plan: Plan, folder: Sweep, seconds: float | None, display: Display, as_json: bool) -> None:
    """Do what is left of a sweep, and show it, even if some trials failed."""
    from kagglekit.sweep.search import run_sweep
    from kagglekit.system.signals import stoppable

    display.report(f"sweep: {folder.folder}")
    try:
        with stoppable():
            run_sweep(plan, folder, display, seconds)
    except KeyboardInterrupt:
        display.report(f"hint: to resume: kagglekit sweep resume {folder.folder}")
        raise
    finally:
        _show(folder, display)
    if as_json:
        click.echo(json.dumps({"sweep": str(folder.folder), **folder.info().model_dump(mode="json")}))


@sweep.command()
@click.argument("which", metavar="SWEEP", default="latest")
@out_option()
@json_option()
def show(which: str, out: Path, as_json: bool) -> None:
    """Show SWEEP: its trials, what mattered, the best recipe, and how much of its gain was luck."""
    from kagglekit.runs.sweep_folder import find_sweep
    from kagglekit.system.display.console import for_people

    folder = find_sweep(which, out)
    if as_json:
        click.echo(json.dumps({"sweep": str(folder.folder), **folder.info().model_dump(mode="json")}))
    else:
        _show(folder, for_people(False))


def _show(folder: Sweep, display: Display) -> None:
    from kagglekit.sweep.describe import describe_sweep, draw_sweep

    info = folder.info()
    describe_sweep(folder, info, display)
    if file := draw_sweep(folder, info):
        display.report(f"plots: {file}")
