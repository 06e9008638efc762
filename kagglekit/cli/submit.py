"""`kagglekit submit`: upload a run's submission, or any CSV, and wait for its score."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import data_option, message_option, out_option, timeout_option, yes_option
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.kaggle.client import Kaggle, Submission
    from kagglekit.kaggle.submit import Ask
    from kagglekit.kaggle.target import Target
    from kagglekit.runs.folder import Run
    from kagglekit.system.console import Display


@click.command()
@click.argument("what", nargs=-1, metavar="[COMPETITION] [RUN | FILE.csv]")
@message_option("Description; default the run's name and score.")
@click.option("--wait/--no-wait", default=None, help="Wait for the score (the default), or say how to ask later.")
@yes_option("Do not ask before a second upload of a run, or the day's last submission.")
@click.option("--status", is_flag=True, help="Ask what became of a RUN's submission, or of Kaggle's number REF.")
@data_option("Folder of sample_submission.csv.")
@out_option()
@timeout_option("a response")
def submit(
    what: tuple[str, ...],
    message: str,
    wait: bool | None,
    yes: bool,
    status: bool,
    data: Path | None,
    out: Path,
    timeout: float,
) -> None:
    """Submit to Kaggle: check the file, upload it once, wait for its score.

    Without RUN or FILE the latest finished run is taken; a FILE needs its COMPETITION. Scores are kept in the
    run's score.json.
    """
    from kagglekit.kaggle.target import find_target
    from kagglekit.system.console import for_people

    display = for_people(False)
    if len(what) > (1 if status else 2):
        form = "--status [RUN | REF]" if status else "[COMPETITION] [RUN | FILE.csv]"
        raise UsageError(f"too many arguments: {' '.join(what)}", f"kagglekit submit {form}")
    if status:
        show_status(what[0] if what else "latest", out, bool(wait), timeout, display)
    else:
        submit_target(find_target(what, out), data, message, wait is not False, asker(yes), timeout, display)


def asker(yes: bool) -> Ask | None:
    """Return how to ask the user; None where there is no terminal."""
    if yes:
        return lambda _: True
    return click.confirm if sys.stdin.isatty() else None


def submit_target(
    target: Target, data: Path | None, message: str, wait: bool, ask: Ask | None, timeout: float, display: Display
) -> None:
    """Check, upload, wait and show the scores; or say why there is nothing to upload to.

    Raises:
        UserError: It was not submitted, or Kaggle found an error in it.
    """
    if target.slug is None:
        _say_not_on_kaggle(target, display)
        return
    from kagglekit.kaggle.ledger import keep_score
    from kagglekit.kaggle.submit import submit
    from kagglekit.kaggle.target import checked

    sending = checked(target, data, message, display)
    kaggle = connected(timeout, display)
    found = submit(sending, kaggle, ask, display)
    keep_score(sending.record, found)
    if wait:
        _follow(found.ref, sending.record, target.run, kaggle, display)
    else:
        display.report(f"ask for its score later: {_later(target.run, found.ref)}")


def show_status(word: str, out: Path, wait: bool, timeout: float, display: Display) -> None:
    """Ask Kaggle what became of a submission.

    Args:
        word: A run, or Kaggle's number of the submission.
        out: Folder of all runs.
        wait: Wait for the score.
        timeout: Seconds without an answer until it gives up.
        display: Shows it.

    Raises:
        UserError: There is none, or Kaggle found an error in it.
    """
    from kagglekit.kaggle.ledger import last_submission, run_of

    run, ref = _run_or_ref(word, out)
    kaggle = connected(timeout, display)
    if run:
        ref = last_submission(run, kaggle)
    else:
        run = run_of(ref, out)
    _follow(ref, run, run, kaggle, display, wait)


def _run_or_ref(word: str, out: Path) -> tuple[Run | None, int]:
    """Read a word as a run, else as Kaggle's number."""
    from kagglekit.runs.lookup import find_run

    try:
        return find_run(word, out), 0
    except UserError:
        if not re.fullmatch("[0-9]{1,18}", word):
            raise
        return None, int(word)


def _follow(ref: int, record: Run | None, run: Run | None, kaggle: Kaggle, display: Display, wait: bool = True) -> None:
    """Show a submission once it is scored, or, without `wait`, as it is; keep its scores."""
    from kagglekit.kaggle.ledger import keep_score
    from kagglekit.kaggle.submit import wait_for_score

    try:
        found = wait_for_score(ref, kaggle, display) if wait else kaggle.submission(ref)
    except (UserError, KeyboardInterrupt):
        if wait:
            display.report(f"it is at Kaggle; ask for its score later: {_later(run, ref)}")
        raise
    keep_score(record, found)
    _show(found, run, display)


def _show(found: Submission, run: Run | None, display: Display) -> None:
    if found.status == "error":
        raise UserError(
            f"Kaggle could not score submission {found.ref}: {found.error or 'it gives no reason'}",
            "it usually does not count; mend the file and submit again",
        )
    if found.status != "complete":
        display.report(f"submission {found.ref}: {found.status}")
        return
    scores = [
        f"{name} score {value:.5f}"
        for name, value in (("public", found.public), ("private", found.private))
        if value is not None
    ]
    display.report(f"submission {found.ref}: {', '.join(scores) or 'scored; Kaggle does not show the score'}")
    info = run.info() if run else {}
    valid = (info.get("scores") or [{}])[-1].get(f"valid_{info.get('metric')}")
    if valid and found.public is not None:
        display.report(
            f"valid {info['metric']} {valid[0]:.5f} ± {valid[1]:.5f}; public - valid {found.public - valid[0]:+.5f}"
        )


def connected(timeout: float, display: Display) -> Kaggle:
    """Log in to Kaggle."""
    from kagglekit.kaggle.login import connect
    from kagglekit.kaggle.retry import RetryPolicy

    return connect(RetryPolicy(timeout, report=display.report))


def _later(run: Run | None, ref: int) -> str:
    return f"kagglekit submit --status {run.name if run else ref}"


def _say_not_on_kaggle(target: Target, display: Display) -> None:
    """Show the local test score in the place of an upload."""
    display.report(f"{target.title} is not on Kaggle: there is nothing to upload to")
    if target.run is None:
        display.report(f"{target.file} is not scored: only a run is, at its end")
        return
    scores = target.run.info()["scores"][-1]
    found = [(key.removeprefix("test_"), score) for key, score in scores.items() if key.startswith("test_")]
    tests = [f"{key} {value:.4f} ± {error:.4f}" for key, (value, error) in found]
    display.report(f"scored here, {target.run.name}: test {', '.join(tests) or 'labels are not known'}")
