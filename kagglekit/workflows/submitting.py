"""Submit a run right after it has finished: all that can be asked or refused is, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.kaggle.submit import Ask
    from kagglekit.planning.plan import Choice
    from kagglekit.runs.folder import Run
    from kagglekit.system.display.console import Display


def check_submit(choice: Choice, dry_run: bool, ask: Ask | None, display: Display) -> None:
    """Check that Kaggle would accept a submission, before hours of training.

    Args:
        choice: What will run.
        dry_run: Whether nothing will be left of it.
        ask: Asks the user a question; None where nobody can answer.
        display: Shows the limits.

    Raises:
        UserError: Kaggle would refuse it, or the user does.
    """
    if dry_run or choice.recipe.limit:
        what = "--dry-run" if dry_run else "--limit"
        raise UsageError(
            f"--submit cannot be combined with {what}", "a submission needs predictions for all test images"
        )
    if not choice.competition.slug and not choice.competition.known_test_labels:
        from kagglekit.kaggle.follow import NO_SLUG

        raise UsageError(f"--submit: {choice.competition.title} is not on Kaggle, as its plugin has no slug", NO_SLUG)
    if choice.competition.slug:
        from kagglekit.kaggle.follow import TIMEOUT, connected
        from kagglekit.kaggle.submit import check_open, confirm

        limits = check_open(connected(TIMEOUT, display), choice.competition.slug, display)
        confirm(None, limits, ask)


def submit_run(finished: Run, message: str, display: Display) -> None:
    """Submit a run that has just finished; `check_submit` asked all questions before it started."""
    from kagglekit.kaggle.follow import TIMEOUT, submit_target
    from kagglekit.kaggle.target import target_of

    try:
        submit_target(target_of(finished), None, message, True, lambda _: True, TIMEOUT, display)
    except UserError as error:
        raise UserError(
            error.what, f"{error.hint}\nthe run has finished; submit it with: kagglekit submit {finished.folder}"
        ) from error
