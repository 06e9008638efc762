"""``kagglekit run`` and `kagglekit.run`: check everything, train, and submit what is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.system.errors import UsageError
from kagglekit.system.process import process_place

if TYPE_CHECKING:
    from kagglekit.kaggle.submit import Ask
    from kagglekit.planning.request import Request
    from kagglekit.runs.folder import Run
    from kagglekit.system.display.console import Display


@dataclass(frozen=True)
class Submission:
    """That the run is to be submitted.

    Attributes:
        message: Its description.
        ask: Asks the user a question before the training; None where nobody can answer.
    """

    message: str
    ask: Ask | None


def run(
    request: Callable[[], Request],
    title: str,
    display: Display,
    began: float,
    *,
    resume: bool = False,
    dry_run: bool = False,
    submission: Submission | None = None,
) -> Run | None:
    """Carry out a request; all errors that can be foreseen are reported before anything slow.

    Args:
        request: Makes the request, whose competition may be a folder; called once something has been said.
        title: What was asked for, for the first line.
        display: Shows progress.
        began: When the run began, by time.perf_counter, s.
        resume: Resume the latest interrupted run with this recipe and data, if there is one.
        dry_run: Try everything on two batches and leave nothing behind.
        submission: Upload the submission at the end.

    Returns:
        The finished run; of repeats the last one; of a dry run None.

    Raises:
        UserError: The user can fix it.
    """
    with display.status(f"{title}: loading its plugin and recipe"):
        from kagglekit.authoring.from_folder import recognised
        from kagglekit.planning.choose import check_request, choose
        from kagglekit.planning.make import check_sample
        from kagglekit.workflows.full_data import full_request

        asked = request()
    asked = recognised(asked, display, resume)
    asked = full_request(asked) if asked.full else asked
    check_request(asked, resume)
    choice = choose(asked)
    check_sample(choice, display)
    if process_place().world > 1 and dry_run:
        raise UsageError("a dry run is done by one process, without torchrun")
    submission = submission if process_place().rank == 0 else None
    if submission:
        from kagglekit.workflows.submitting import check_submit

        check_submit(choice, dry_run, submission.ask, display)
    with display.status(f"{choice.name}: loading torch and timm"):
        from kagglekit.workflows.dry_run import dry_run as try_out
        from kagglekit.workflows.start import start
    if dry_run:
        try_out(asked, display)
        return None
    finished = start(asked, display, resume, began)
    if submission:
        from kagglekit.workflows.submitting import submit_run

        submit_run(finished, submission.message, display)
    return finished
