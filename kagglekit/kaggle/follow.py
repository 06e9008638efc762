"""Submit a run or a file, follow the submission until it is scored, and show its scores."""

from __future__ import annotations

import re
from pathlib import Path

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.facts import Submission
from kagglekit.kaggle.ledger import keep_score, last_submission, run_of
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.kaggle.submit import Ask, submit
from kagglekit.kaggle.target import Target, check_target
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.runs.lookup import find_run
from kagglekit.system.display.console import Display, duration
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError
from kagglekit.system.signals import deferred_stop, stop_if_asked
from kagglekit.types.metric import title_of

TIMEOUT = 300.0  # s without a response
NO_SLUG = "give its name in Kaggle's addresses as slug= in the plugin, or write one: kagglekit new NAME --slug SLUG"
MAX_WAIT = 3600  # s; scoring takes seconds to a few minutes
MAX_PAUSE = 30  # s between two requests for the score


def submit_target(
    target: Target, data: Path | None, message: str, wait: bool, ask: Ask | None, timeout: float, display: Display
) -> None:
    """Check a file, upload it, wait for its scores and show them; of one that is not on Kaggle, show the local score.

    Args:
        target: The file and its competition.
        data: The folder with sample_submission.csv; None for the usual place.
        message: The description; empty for the run's name and valid score.
        wait: Wait for the score.
        ask: Asks the user; None without a terminal.
        timeout: Seconds without a response after which it gives up.
        display: Shows progress and scores.

    Raises:
        UserError: It was not submitted, or Kaggle found an error in it.
    """
    if target.slug is None:
        _report_local_score(target, display)
        return
    package = check_target(target, data, message, display)
    kaggle = connected(timeout, display)
    found = submit(package, kaggle, ask, display)
    keep_score(package.record, found)
    if wait:
        follow_submission(found.ref, package.record, target.run, target.info, kaggle, display)
    else:
        display.report(f"get its score later: {_status_command(target.run, found.ref)}")


def show_status(word: str, out: Path, wait: bool, timeout: float, display: Display) -> None:
    """Show the state of a submission.

    Args:
        word: A run, or Kaggle's number of the submission.
        out: Folder of all runs.
        wait: Wait for the score.
        timeout: Seconds without a response after which it gives up.
        display: Shows the state.

    Raises:
        UserError: There is no such submission, or Kaggle found an error in it.
    """
    run, ref = _run_or_ref(word, out)
    kaggle = connected(timeout, display)
    info = run.info() if run else RunInfo()
    if run:
        ref = last_submission(run, info.slug, kaggle)
    elif run := run_of(ref, out):
        info = run.info()
    follow_submission(ref, run, run, info, kaggle, display, wait)


def connected(timeout: float, display: Display) -> Kaggle:
    """Log in to Kaggle; report what is retried.

    Raises:
        UserError: See `connect`.
    """
    return connect(RetryPolicy(timeout, report=display.report))


def wait_for_score(ref: int, kaggle: Kaggle, display: Display) -> Submission:
    """Request a submission, at growing intervals, until it is scored or refused; the timeout does not limit this.

    Raises:
        UserError: A call to Kaggle fails, or scoring takes more than an hour.
    """
    clock, pause = kaggle.retry.clock, 1.0
    started = clock.now()
    with deferred_stop(), display.status(f"waiting for the score of {ref}"):
        while True:
            found = kaggle.submission(ref)
            stop_if_asked()
            if found.status != "pending":
                return found
            if clock.now() - started > MAX_WAIT:
                raise UserError(
                    f"Kaggle has no score for {ref} after {duration(MAX_WAIT)}",
                    f"look again later: kagglekit submit --status {ref}",
                )
            clock.sleep(pause)
            pause = min(MAX_PAUSE, pause * 1.5)


def _run_or_ref(word: str, out: Path) -> tuple[Run | None, int]:
    """Interpret a word as a run, else as Kaggle's number."""
    try:
        return find_run(word, out), 0
    except UserError:
        if not re.fullmatch("[0-9]{1,18}", word):
            raise
        return None, int(word)


def follow_submission(
    ref: int,
    record: Run | None,
    run: Run | None,
    info: RunInfo,
    kaggle: Kaggle,
    display: Display,
    wait: bool = True,
) -> None:
    """Show a submission once it is scored, or, without `wait`, as it is; keep its scores."""
    try:
        found = wait_for_score(ref, kaggle, display) if wait else kaggle.submission(ref)
    except (UserError, KeyboardInterrupt):
        if wait:
            display.report(f"Kaggle has the submission; get its score later: {_status_command(run, ref)}")
        raise
    keep_score(record, found)
    _show(found, info, display)


def _show(found: Submission, info: RunInfo, display: Display) -> None:
    if found.status == "error":
        raise UserError(
            f"Kaggle could not score submission {found.ref}: {found.error or 'no reason given'}",
            "fix the file and submit again; a failed submission usually does not count",
        )
    if found.status != "complete":
        display.report(f"submission {found.ref}: {found.status}")
        return
    scores = [
        f"{name} score {value:.5f}"
        for name, value in (("public", found.public), ("private", found.private))
        if value is not None
    ]
    display.report(f"submission {found.ref}: {', '.join(scores) or 'scored, but Kaggle does not show the score'}")
    valid = info.ensemble_scores.get(f"valid_{info.metric}")
    if valid and found.public is not None:
        gap = found.public - valid.value
        display.report(
            f"{title_of(f'valid_{info.metric}')} {valid.value:.5f} ± {valid.error:.5f}; public - valid {gap:+.5f}"
        )


def _status_command(run: Run | None, ref: int) -> str:
    return f"kagglekit submit --status {run.name if run else ref}"


def _report_local_score(target: Target, display: Display) -> None:
    """Show the local test score in place of an upload.

    Raises:
        UserError: There is none either: nothing was done.
    """
    scores = target.info.ensemble_scores if target.run else {}
    tests = [f"{title_of(key)} {score}" for key, score in scores.items() if key.startswith("test_")]
    if target.run is None or not tests:
        raise UserError(f"{printable(target.title)} is not on Kaggle: nothing was uploaded", NO_SLUG)
    display.report(f"{printable(target.title)} is not on Kaggle: nothing to upload")
    display.report(f"local score of {target.run.name}: {', '.join(tests)}")
