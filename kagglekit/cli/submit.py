"""`kagglekit submit`: upload a run's submission, or any CSV, and wait for its score."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import data_option, message_option, out_option, sample_option, timeout_option, yes_option
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.kaggle.submit import Ask


@click.command()
@click.argument("what", nargs=-1, metavar="[COMPETITION] [RUN | FILE.csv]")
@message_option("Description; default the run's name and score.")
@click.option("--wait/--no-wait", default=None, help="Wait for the score (default), or exit after the upload.")
@yes_option("Do not ask before a run's second upload, or the day's last submission.")
@click.option("--status", is_flag=True, help="Show the state of a RUN's submission, or of Kaggle's number REF.")
@data_option("Folder with the sample submission.")
@sample_option()
@out_option()
@timeout_option("a response; does not limit the scoring, which may take an hour")
def submit(
    what: tuple[str, ...],
    message: str,
    wait: bool | None,
    yes: bool,
    status: bool,
    data: Path | None,
    sample: Path | None,
    out: Path,
    timeout: float,
) -> None:
    """Submit to Kaggle: check the file, upload it once, wait for its score.

    Without RUN or FILE, submits the latest finished run. A FILE needs its COMPETITION. Scores are kept in the
    run's score.json.
    """
    from kagglekit.kaggle.follow import show_status, submit_target
    from kagglekit.kaggle.target import find_target
    from kagglekit.system.display.console import for_people

    display = for_people(False)
    if len(what) > (1 if status else 2):
        form = "--status [RUN | REF]" if status else "[COMPETITION] [RUN | FILE.csv]"
        raise UsageError(f"too many arguments: {' '.join(what)}", f"kagglekit submit {form}")
    if status:
        show_status(what[0] if what else "latest", out, bool(wait), timeout, display)
    else:
        target = find_target(what, out)
        target = replace(target, sample=sample) if sample else target
        submit_target(target, data, message, wait is not False, confirmation(yes), timeout, display)


def confirmation(yes: bool) -> Ask | None:
    """Return a function that asks the user a question; None without a terminal."""
    if yes:
        return lambda _: True
    return (lambda question: click.confirm(printable(question))) if sys.stdin.isatty() else None
