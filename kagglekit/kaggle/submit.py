"""Submit a file to Kaggle exactly once, in spite of network errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.facts import Facts, KernelVersion, Limits, Submission
from kagglekit.kaggle.failures import explain, midnight, refusal, server_message
from kagglekit.kaggle.ledger import find_open, locked, new_entry, search, unknown_outcome, write_entry
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.kaggle.transport import status
from kagglekit.kaggle.upload import NOT_SENT, send_file
from kagglekit.runs.folder import Run
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError

MAX_MESSAGE = 400  # characters of a description

Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Package:
    """A checked file, ready to submit.

    Attributes:
        slug: The competition on Kaggle.
        file: The CSV.
        message: The description, without the token.
        record: The folder of its score.json: the run's, or one for this file.
        kernel: The version of a kernel that has written the file, in a code competition; None to upload the file.
    """

    slug: str
    file: Path
    message: str
    record: Run
    kernel: KernelVersion | None = None


def check_open(kaggle: Kaggle, slug: str, display: Display, by_kernel: bool = False) -> Limits:
    """Check that a competition accepts files from this account today; show its deadline and the submissions left.

    Args:
        kaggle: The login.
        slug: The competition.
        display: Shows the deadline and the limits.
        by_kernel: Check that it accepts the output of kernels instead.

    Raises:
        UserError: It does not.
    """
    facts = kaggle.competition(slug)
    display.report(f"{facts.title}: {_deadline(facts)}")
    wrong = (not facts.code_only, "file") if by_kernel else (facts.code_only, "code")
    for closed, meaning in ((facts.disabled, "disabled"), wrong, (not facts.entered, "rules")):
        if closed:
            raise refusal(meaning, slug)
    limits = kaggle.limits(slug)
    of = f" of {facts.daily}" if facts.daily else ""
    display.report(f"submissions left today: {limits.left}{of}; the day ends {midnight()}")
    if limits.left < 1:
        raise refusal("limit", slug)
    return limits


def confirm(record: Run | None, limits: Limits, ask: Ask | None) -> None:
    """Ask before a second upload of a run and before the day's last submission: neither can be undone.

    Args:
        record: The record of the file; None before there is a file.
        limits: Today's limits.
        ask: Asks the user; None without a terminal.

    Raises:
        UsageError: A question is due, and there is no terminal.
        UserError: The user says no.
    """
    sent = [str(each["ref"]) for each in (record.submissions() if record else []) if each["ref"]]
    reasons = [f"{record.name} was submitted before ({', '.join(sent)})"] if record and sent else []
    if limits.left == 1:
        reasons.append("this is today's last submission")
    why = " and ".join(reasons)
    if why and ask is None:
        raise UsageError(f"{why}, and there is no terminal to confirm it", "to submit anyway, add --yes")
    if why and ask and not ask(f"{why}: submit?"):
        raise UserError("nothing was submitted", "to submit, answer y or add --yes")


def submit(package: Package, kaggle: Kaggle, ask: Ask | None, display: Display) -> Submission:
    """Upload a file and create exactly one submission; return it, scored or not.

    Raises:
        UserError: It was not submitted; or that is unknown, and the message says how to find out.
        UsageError: See `confirm`.
    """
    with locked(package.record):
        if found := find_open(package.record, package.slug, kaggle):
            display.report(f"an earlier attempt had reached Kaggle: submission {found.ref}")
            return found
        by_kernel = package.kernel is not None
        confirm(package.record, check_open(kaggle, package.slug, display, by_kernel=by_kernel), ask)
        make = _maker(package, kaggle, display)
        entry = new_entry(package.file, package.message, uuid4().hex[:12], kaggle.retry.clock.utc())
        try:
            ref = _create(package, kaggle, make, entry)
        except _Refused as error:
            write_entry(package.record, {**entry, "status": "error", "error": str(error)})
            raise error.reason from error
        except KeyboardInterrupt:
            display.report("it may have been submitted; run the same command again: it checks before sending")
            raise
        write_entry(package.record, {**entry, "status": "pending", "ref": ref})
    display.report(f"submitted {package.file.name} as {ref}: {package.message}")
    return Submission(ref, package.message, "pending", None, None, "", package.file.name, entry["sent"])


class _Refused(Exception):
    """Kaggle certainly created no submission."""

    def __init__(self, reason: UserError) -> None:
        super().__init__(reason.what)
        self.reason = reason


def _maker(package: Package, kaggle: Kaggle, display: Display) -> Callable[[str], tuple[int, str]]:
    """Return what creates the submission, in one attempt, from its description; a file is uploaded before."""
    slug, file = package.slug, package.file
    if kernel := package.kernel:
        return lambda text: kaggle.create_code_submission(slug, kernel, file.name, text)
    facts = file.stat()
    blob = send_file(
        lambda: kaggle.start_upload(slug, file.name, facts.st_size, int(facts.st_mtime)), file, kaggle.retry, display
    )
    return lambda text: kaggle.create_submission(slug, blob, text)


def _create(package: Package, kaggle: Kaggle, make: Callable[[str], tuple[int, str]], entry: dict[str, Any]) -> int:
    """Create the submission; if Kaggle's response is lost, look for it before sending anything again.

    Only a clear refusal counts as one: after any other error the submission may exist. The entry is written before
    each attempt, so that the next command knows about it even after a kill.
    """
    retry = kaggle.retry.fresh()
    description = f"[{entry['token']}] {package.message}"[:MAX_MESSAGE]
    while True:
        entry["sent"] = retry.clock.utc().isoformat(timespec="seconds")
        write_entry(package.record, entry)
        try:
            ref, said = make(description)
        except Exception as error:
            if 400 <= status(error) < 500 and status(error) not in (408, 429):
                raise _Refused(_reason(error, package)) from error
            last = _pause(error, retry)
            if found := search(kaggle, package.slug, entry["token"]):
                retry.recovered()
                return found.ref
            if last:
                raise unknown_outcome(explain(last, package.slug, lambda _: True)) from last
            continue
        retry.recovered()
        if ref:
            return ref
        raise _Refused(UserError(f"Kaggle created no submission: {said}", NOT_SENT))


def _reason(error: Exception, package: Package) -> UserError:
    if package.kernel and status(error) in (400, 404):
        what = f"Kaggle refused version {package.kernel.number} of {package.kernel.ref}: {server_message(error)}"
        return UserError(what, f"see its output: https://www.kaggle.com/code/{package.kernel.ref}")
    return explain(error, package.slug, lambda _: True)


def _pause(error: Exception, retry: RetryPolicy) -> Exception | None:
    """Pause before the next attempt; return the error if there should be none."""
    try:
        retry.wait(error)
    except Exception as last:
        return last
    return None


def _deadline(facts: Facts) -> str:
    if facts.deadline is None:
        return "no deadline"
    when = f"deadline {facts.deadline:%Y-%m-%d %H:%M} UTC"
    return f"{when}, passed: late submissions are scored but not ranked" if facts.over else when
