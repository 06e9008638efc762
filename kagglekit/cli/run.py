"""``kagglekit run``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from kagglekit.cli.recipe_options import recipe_options, shorthand_settings


@click.command()
@recipe_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The unpacked data; default $KAGGLEKIT_DATA/NAME, ./data/NAME, else a download.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="auto measures a few steps of each.",
)
@click.option("--name", default="", metavar="TEXT", help="Label of the run's folder; default the model's name.")
@click.option("--full", default="", metavar="RUN", help="Do that finished run again, with all labelled images.")
@click.option("--only-fold", type=click.IntRange(1), metavar="I", help="Of --folds K only number I.")
@click.option("--into", default="", metavar="RUN", help="Complete that run's folds.")
@click.option(
    "--repeats", type=click.IntRange(1), default=1, metavar="N", help="Run with N seeds; say how far they scatter."
)
@click.option("--skip-bad-images", is_flag=True, help="Leave out images that cannot be decoded, instead of stopping.")
@click.option("--dry-run", is_flag=True, help="Try everything on two batches and leave nothing behind.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; everything else goes to stderr.")
def run(as_json: bool, dry_run: bool, **options: Any) -> None:
    """Train on COMPETITION's images and write a checked submission.

    COMPETITION is a name that `kagglekit competitions` lists, or a plugin file (./cassava.py); --full needs none.
    """
    from kagglekit.full import full_request
    from kagglekit.plan import Request, choose
    from kagglekit.progress import for_people

    request = Request(settings=shorthand_settings(options), **options)
    request = full_request(request) if request.full else request
    display = for_people(as_json)
    with display.console.status("loading torch and timm") if display.console.is_terminal else nullcontext():
        choose(request)  # what was typed wrongly is told before anything slow is loaded
        from kagglekit import dryrun
        from kagglekit.start import start
    if dry_run:
        dryrun.dry_run(request, display)
        result: dict[str, Any] = {"dry_run": "ok"}
    else:
        finished = start(request, display)
        result = {"run": str(finished.folder), "estimate_s": None, **finished.info()}  # no estimate of a short run
    if as_json:
        click.echo(json.dumps(result))
