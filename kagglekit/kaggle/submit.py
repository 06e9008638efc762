"""A submission to Kaggle: uploaded and created once, whatever the network does, then followed until it has a score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kagglekit.kaggle.client import Facts, Kaggle, Limits, Submission
from kagglekit.kaggle.failures import explained, midnight, refusal
from kagglekit.kaggle.ledger import alone, find_open, new_entry, note
from kagglekit.kaggle.retry import RetryPolicy, fault
from kagglekit.kaggle.transport import network_errors, status
from kagglekit.kaggle.upload import AddressGone, upload
from kagglekit.runs.folder import Run
from kagglekit.system.console import Display, amount, duration
from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.signals import deferred_stop, stop_if_asked

LONGEST_WAIT = 3600  # s; scoring takes seconds to a few minutes
LONGEST_PAUSE = 30  # s between two questions for the score
LONGEST_MESSAGE = 400  # characters of a description
AGAIN = "nothing was submitted; try again later"

Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Sending:
    """What is to be submitted.

    Attributes:
        slug: The competition on Kaggle.
        file: The CSV.
        message: The description, without the token.
        record: Whose score.json is kept: the run's, or one for this file.
    """

    slug: str
    file: Path
    message: str
    record: Run


def open_competition(kaggle: Kaggle, slug: str, display: Display) -> Limits:
    """Check that a competition takes files from this account today; show its deadline and what is left.

    Raises:
        UserError: It does not.
    """
    facts = kaggle.competition(slug)
    display.report(f"{facts.title}: {_deadline(facts)}")
    for closed, meaning in ((facts.disabled, "disabled"), (facts.code_only, "code"), (not facts.entered, "rules")):
        if closed:
            raise refusal(meaning, slug)
    limits = kaggle.limits(slug)
    of = f" of {facts.daily}" if facts.daily else ""
    display.report(f"submissions left today: {limits.left}{of}; the day ends {midnight()}")
    if limits.left < 1:
        raise refusal("limit", slug)
    return limits


def agreed(record: Run | None, limits: Limits, ask: Ask | None) -> None:
    """Ask before what can't be taken back: a second upload of a run, the day's last submission.

    Args:
        record: Of what is to be submitted; None before there is anything.
        limits: Of today.
        ask: Asks the user; None where there is nobody to ask.

    Raises:
        UsageError: There is nobody to ask.
        UserError: The user says no.
    """
    sent = [str(each["ref"]) for each in (record.submissions() if record else []) if each["ref"]]
    reasons = [f"{record.name} was submitted before ({', '.join(sent)})"] if record and sent else []
    if limits.left == 1:
        reasons.append("this is the last submission of today")
    why = " and ".join(reasons)
    if why and ask is None:
        raise UsageError(f"{why}, and there is no terminal to ask on", "add --yes to submit all the same")
    if why and ask and not ask(f"{why}: submit?"):
        raise UserError("nothing was submitted")


def submit(sending: Sending, kaggle: Kaggle, ask: Ask | None, display: Display) -> Submission:
    """Upload a file and make it a submission, once; return it as Kaggle has it, scored or not.

    Raises:
        UserError: It was not submitted; or nobody knows, and the message says how to find out.
        UsageError: See `agreed`.
    """
    with alone(sending.record):
        if found := find_open(sending.record, sending.slug, kaggle):
            display.report(f"an earlier try had reached Kaggle: submission {found.ref}")
            return found
        agreed(sending.record, open_competition(kaggle, sending.slug, display), ask)
        blob = _send_bytes(sending, kaggle, display)
        entry = new_entry(sending.file, sending.message, uuid4().hex[:12])
        note(sending.record, entry)
        try:
            ref = _create(sending, kaggle, blob, entry["token"])
        except _Refused as error:
            note(sending.record, {**entry, "status": "error", "error": str(error)})
            raise error.reason from error
        note(sending.record, {**entry, "status": "pending", "ref": ref})
    display.report(f"submitted {sending.file.name} as {ref}: {sending.message}")
    return Submission(ref, sending.message, "pending", None, None, "", sending.file.name, entry["sent"])


def wait_for_score(ref: int, kaggle: Kaggle, display: Display) -> Submission:
    """Ask for a submission, at growing intervals, until it is scored or refused.

    Raises:
        UserError: Kaggle can't be asked, or takes more than an hour.
    """
    started, pause = time.monotonic(), 1.0
    with deferred_stop(), _live(display, f"waiting for the score of {ref}"):
        while True:
            found = kaggle.submission(ref)
            stop_if_asked()
            if found.status != "pending":
                return found
            if time.monotonic() - started > LONGEST_WAIT:
                raise UserError(f"Kaggle has no score for {ref} after {duration(LONGEST_WAIT)}")
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)


class _Refused(Exception):
    """Kaggle made no submission of the file, for certain."""

    def __init__(self, reason: UserError) -> None:
        super().__init__(reason.what)
        self.reason = reason


def _send_bytes(sending: Sending, kaggle: Kaggle, display: Display) -> str:
    """Upload the file; return the token that names it."""
    facts, patience = sending.file.stat(), kaggle.patience.fresh()
    while True:
        blob, address = kaggle.start_upload(sending.slug, sending.file.name, facts.st_size, int(facts.st_mtime))
        try:
            with _live(display, f"uploading {amount(facts.st_size)}"):
                upload(address, sending.file, patience)
        except AddressGone as error:
            if _paused(error, patience):
                raise UserError(f"the address that Kaggle gave for the upload is gone: {error}", AGAIN) from error
        except network_errors() as error:
            raise UserError(f"the upload failed: {fault(error)}", AGAIN) from error
        else:
            patience.recovered()
            return blob


def _create(sending: Sending, kaggle: Kaggle, blob: str, token: str) -> int:
    """Create the submission; after an answer that was lost, look for it before anything is sent again.

    Only a clear refusal is taken as one: whatever else goes wrong, the submission may have been made.
    """
    patience = kaggle.patience.fresh()
    description = f"[{token}] {sending.message}"[:LONGEST_MESSAGE]
    while True:
        try:
            ref, said = kaggle.create_submission(sending.slug, blob, description)
        except Exception as error:
            if 400 <= status(error) < 500 and status(error) not in (408, 429):
                raise _Refused(explained(error, sending.slug, lambda _: True)) from error
            last = _paused(error, patience)
            if found := _search(sending, kaggle, token):
                patience.recovered()
                return found.ref
            if last:
                raise _unknown(explained(last, sending.slug, lambda _: True)) from last
            continue
        patience.recovered()
        if ref:
            return ref
        raise _Refused(UserError(f"Kaggle made no submission of the file: {said}", AGAIN))


def _search(sending: Sending, kaggle: Kaggle, token: str) -> Submission | None:
    """Look for a submission again and again, a fifth of the patience long: Kaggle may still be at work on it."""
    until, pause = time.monotonic() + min(60.0, kaggle.patience.seconds / 5), kaggle.patience.seconds / 300
    while True:
        try:
            found = kaggle.find_submission(sending.slug, token)
        except UserError as error:
            raise _unknown(error) from error
        if found or time.monotonic() + pause > until:
            return found
        time.sleep(pause)
        pause *= 2


def _unknown(error: UserError) -> UserError:
    return UserError(
        f"nobody knows whether the file was submitted: Kaggle's answer was lost, and now: {error.what}",
        "give the same command again later: it looks for the submission before it sends anything",
    )


def _paused(error: Exception, patience: RetryPolicy) -> Exception | None:
    """Pause before the next try; return the error where there should be none."""
    try:
        patience.wait(error)
    except Exception as last:
        return last
    return None


@contextmanager
def _live(display: Display, text: str) -> Iterator[None]:
    """Show a moving line on a terminal, or one plain line elsewhere."""
    if display.console.is_terminal:
        with display.console.status(text):
            yield
    else:
        display.report(text)
        yield


def _deadline(facts: Facts) -> str:
    if facts.deadline is None:
        return "no deadline"
    when = f"deadline {facts.deadline:%Y-%m-%d %H:%M} UTC"
    return f"{when}, over: what is sent now is scored, but not ranked" if facts.over else when
