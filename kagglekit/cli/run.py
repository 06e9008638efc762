"""``kagglekit run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import (
    chosen_jobs,
    data_option,
    job_options,
    json_option,
    max_unpacked_option,
    message_option,
    name_option,
    option,
    recipe_options,
    sample_option,
    shorthand_settings,
    store_option,
    submit_option,
    yes_option,
)
from kagglekit.cli.sections import DATA, FOLDS, MACHINE, OUTPUT, SectionCommand
from kagglekit.system.errors import UsageError
from kagglekit.system.process import process_began

if TYPE_CHECKING:
    from kagglekit.planning.request import Request


@click.command(cls=SectionCommand)
@data_option("Data folder, packed or not; default $KAGGLEKIT_DATA/NAME, then ./data/NAME, then a download.")
@recipe_options
@sample_option()
@max_unpacked_option()
@option(
    DATA,
    "--drop",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV of ids to leave out of training, such as RUN/label-errors.csv.",
)
@option(DATA, "--skip-bad-images", is_flag=True, help="Skip images that cannot be decoded instead of failing.")
@option(
    MACHINE,
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, fp32, bf16 or fp16; auto benchmarks a few steps of each.",
)
@store_option()
@option(
    MACHINE,
    "--compile",
    type=click.Choice(["auto", "off", "on"]),
    default="auto",
    show_default=True,
    metavar="WHEN",
    help="Compile training steps: auto (on a CUDA GPU, or recorded as graphs, by the time left), off or on.",
)
@option(MACHINE, "--deterministic", is_flag=True, help="Use deterministic algorithms only, and fp32 unless set.")
@option(FOLDS, "--only-fold", type=click.IntRange(1), metavar="I", help="Train only fold I of --folds K.")
@option(FOLDS, "--into", default="", metavar="RUN", help="Add the remaining folds to RUN.")
@option(
    FOLDS,
    "--repeats",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Train with N seeds and report how much the scores vary.",
)
@option(FOLDS, "--full", default="", metavar="RUN", help="Retrain RUN on all labelled images.")
@option(FOLDS, "--resume", is_flag=True, help="Resume the latest interrupted run with this recipe and data, if any.")
@option(
    FOLDS,
    "--save-every",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="MIN",
    help="Minutes between checkpoints within an epoch.",
)
@job_options
@name_option("Suffix of the run folder's name; default the model's name.")
@option(OUTPUT, "--no-submission", is_flag=True, help="Train and score even if the data lack test images.")
@option(OUTPUT, "--dry-run", is_flag=True, help="Try everything on two batches and leave nothing behind.")
@json_option()
@submit_option("Upload the submission at the end; checks limits first.")
@message_option("With --submit: the description of the submission.")
@yes_option("With --submit: do not ask before the day's last submission.")
def run(
    as_json: bool,
    dry_run: bool,
    resume: bool,
    submit: bool,
    message: str,
    yes: bool,
    **options: Any,
) -> None:
    """Train on COMPETITION's images and write a checked submission.

    COMPETITION is a name that `kagglekit competitions` lists, a plugin file (./cassava.py), or a data folder
    (./cassava/), whose layout is then recognised; --full needs none.
    """
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    if (message or yes) and not submit:
        raise UsageError("--message and --yes need --submit", "add --submit, or omit them")
    from kagglekit.cli.submit import confirmation
    from kagglekit.commands import run as command

    title = options["competition"] or options["full"] or "run"
    jobs, settings = chosen_jobs(options), shorthand_settings(options)

    def request() -> Request:
        from kagglekit.planning.request import Request

        return Request(settings=settings, jobs=jobs, **options)

    finished = command.run(
        request,
        title,
        display,
        process_began(),
        resume=resume,
        dry_run=dry_run,
        submission=command.Submission(message, confirmation(yes)) if submit else None,
    )
    result: dict[str, Any] = {"dry_run": "ok"}
    if finished:
        # a short run has no estimate
        result = {"run": str(finished.folder), "estimate_s": None, **finished.info().to_dict()}
    if as_json:
        click.echo(json.dumps(result))
