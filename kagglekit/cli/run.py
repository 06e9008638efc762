"""``kagglekit run``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import recipe_options, shorthand_settings
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.planning.plan import Choice
    from kagglekit.runs.folder import Run
    from kagglekit.system.console import Display


@click.command()
@recipe_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The unpacked data; default $KAGGLEKIT_DATA/NAME, ./data/NAME, else a download.",
)
@click.option(
    "--sample",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The sample submission, if the data have several or none.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="auto measures a few steps of each.",
)
@click.option(
    "--store",
    type=click.Choice(["auto", "device", "ram", "map", "stream"]),
    default="auto",
    show_default=True,
    help="Where decoded images are kept; stream decodes the test images block by block.",
)
@click.option(
    "--compile",
    type=click.Choice(["auto", "off", "on"]),
    default="auto",
    show_default=True,
    help="Compile training steps; auto does on a CUDA GPU, in stages that take minutes.",
)
@click.option("--name", default="", metavar="TEXT", help="Label of the run's folder; default the model's name.")
@click.option("--full", default="", metavar="RUN", help="Do that finished run again, with all labelled images.")
@click.option("--only-fold", type=click.IntRange(1), metavar="I", help="Of --folds K only number I.")
@click.option("--into", default="", metavar="RUN", help="Complete that run's folds.")
@click.option(
    "--repeats", type=click.IntRange(1), default=1, metavar="N", help="Run with N seeds; say how far they scatter."
)
@click.option("--skip-bad-images", is_flag=True, help="Leave out images that cannot be decoded, instead of stopping.")
@click.option(
    "--resume", "go_on", is_flag=True, help="Go on with the newest stopped run of this recipe and data, if any."
)
@click.option(
    "--save-every",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="MIN",
    help="Minutes between two checkpoints in the middle of an epoch.",
)
@click.option(
    "--deterministic", is_flag=True, help="Only algorithms that give the same bytes every time; fp32 if auto."
)
@click.option("--dry-run", is_flag=True, help="Try everything on two batches and leave nothing behind.")
@click.option("--submit", "and_submit", is_flag=True, help="Upload the submission at the end; asks Kaggle beforehand.")
@click.option("-m", "--message", default="", metavar="TEXT", help="With --submit: its description.")
@click.option("--yes", is_flag=True, help="With --submit: do not ask before the last submission of the day.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; everything else goes to stderr.")
def run(as_json: bool, dry_run: bool, go_on: bool, and_submit: bool, message: str, yes: bool, **options: Any) -> None:
    """Train on COMPETITION's images and write a checked submission.

    COMPETITION is a name that `kagglekit competitions` lists, or a plugin file (./cassava.py); --full needs none.
    """
    from kagglekit.planning.choose import choose
    from kagglekit.planning.request import Request
    from kagglekit.system.console import for_people
    from kagglekit.workflows.full_data import full_request

    request = Request(settings=shorthand_settings(options), **options)
    request = full_request(request) if request.full else request
    display = for_people(as_json)
    if (message or yes) and not and_submit:
        raise UsageError("--message and --yes are for --submit", "add --submit, or leave them out")
    with display.console.status("loading torch and timm") if display.console.is_terminal else nullcontext():
        choice = choose(request)  # what was typed wrongly is told before anything slow is loaded
        from kagglekit.workflows import dry_run as dryrun
        from kagglekit.workflows.start import start
    if and_submit:
        _check_submit(choice, dry_run, yes, display)
    if dry_run:
        dryrun.dry_run(request, display)
        result: dict[str, Any] = {"dry_run": "ok"}
    else:
        finished = start(request, display, go_on)
        if and_submit:
            _submit(finished, message, display)
        # a short run has no estimate
        result = {"run": str(finished.folder), "estimate_s": None, **finished.info().to_dict()}
    if as_json:
        click.echo(json.dumps(result))


def _check_submit(choice: Choice, dry_run: bool, yes: bool, display: Display) -> None:
    """Ask Kaggle whether it would take a submission, before hours of training."""
    from kagglekit.cli.submit import confirmation

    if dry_run or choice.recipe.limit:
        what = "--dry-run" if dry_run else "--limit"
        raise UsageError(f"--submit and {what} do not go together", "a submission needs all test images")
    if choice.competition.slug:
        from kagglekit.kaggle.follow import TIMEOUT, connected
        from kagglekit.kaggle.submit import check_open, confirm

        limits = check_open(connected(TIMEOUT, display), choice.competition.slug, display)
        confirm(None, limits, confirmation(yes))


def _submit(finished: Run, message: str, display: Display) -> None:
    """Submit a run that was just finished; what there was to ask was asked before it began."""
    from kagglekit.cli.submit import confirmation
    from kagglekit.kaggle.follow import TIMEOUT, submit_target
    from kagglekit.kaggle.target import target_of

    try:
        submit_target(target_of(finished), None, message, True, confirmation(yes=True), TIMEOUT, display)
    except UserError as error:
        raise UserError(
            error.what, f"{error.hint}\nthe run is finished; to submit it: kagglekit submit {finished.folder}"
        ) from error
