"""``kagglekit blend``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option(
    "--ensemble",
    default="hill-climbing",
    show_default=True,
    metavar="NAME",
    help="How to combine them: a recipe's value.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DIR", help="The data; default those of the first run."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("submissions"),
    show_default=True,
    metavar="DIR",
    help="Folder of all runs.",
)
@click.option("--name", default="blend", show_default=True, metavar="TEXT", help="Label of the new run's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; everything else goes to stderr.")
def blend(as_json: bool, **options: Any) -> None:
    """Make a new run, with its own submission, out of the members of finished RUNs.

    The runs must have held out the same images. Every ensemble's score on them is shown beside the chosen one's;
    whatever an ensemble fits, it is scored on images that were not used for the fit.
    """
    from kagglekit.system.console import for_people
    from kagglekit.workflows.blend import BlendRequest
    from kagglekit.workflows.blend import blend as make

    run = make(BlendRequest(**options), for_people(as_json))
    if as_json:
        click.echo(json.dumps({"run": str(run.folder), **run.info().to_dict()}))
