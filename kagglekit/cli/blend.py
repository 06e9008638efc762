"""``kagglekit blend``."""

from __future__ import annotations

import json
from typing import Any

import click
from click.core import ParameterSource

from kagglekit.cli.options import data_option, json_option, name_option, out_option, plugin_option, threads_option
from kagglekit.system.errors import UsageError


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option(
    "--ensemble",
    default="hill-climbing",
    show_default=True,
    metavar="NAME",
    help="How to combine the members: any `ensemble` of a recipe.",
)
@click.option(
    "--soup",
    is_flag=True,
    help="Average the weights of runs of one network instead, best run first, as long as the valid loss falls.",
)
@data_option("Data folder; default that of the first run.")
@plugin_option()
@threads_option()
@out_option()
@name_option("Suffix of the new run folder's name.", default="blend")
@json_option()
def blend(as_json: bool, soup: bool, plugin: tuple[str, ...], **options: Any) -> None:
    """Combine the members of finished RUNs into a new run with its own submission.

    The runs must have held out the same images. The score of every ensemble on them is shown beside that of the
    chosen one. A fitted ensemble is scored on images that it was not fitted on. With --soup, one network predicts: it
    takes no longer than one run, but its valid score is slightly optimistic, since the valid images chose the runs.
    """
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.planning.blends import check_blend
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    if soup:
        given = click.get_current_context().get_parameter_source
        if given("ensemble") is not ParameterSource.DEFAULT:
            raise UsageError("--soup averages weights, and --ensemble combines predictions", "remove one of them")
        if given("name") is ParameterSource.DEFAULT:
            options["name"] = "soup"
    with plugins_named(plugin):
        check_blend(options["runs"], options["ensemble"], options["data"], options["out"])
        with display.status(f"blending {len(options['runs'])} runs: loading torch"):
            from kagglekit.workflows.blend import BlendRequest
            from kagglekit.workflows.blend import blend as make
            from kagglekit.workflows.soup import make_soup
        run = (make_soup if soup else make)(BlendRequest(**options), display)
    if as_json:
        click.echo(json.dumps({"run": str(run.folder), **run.info().to_dict()}))
