"""A submission to Kaggle: checked, uploaded once, followed until it has a score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from kagglekit.errors import UsageError, UserError
from kagglekit.online.client import Facts, Kaggle, Limits, Submission
from kagglekit.online.failures import explained, midnight, refusal
from kagglekit.online.patience import Patience, fault, passes
from kagglekit.online.upload import AddressGone, upload
from kagglekit.progress import Display, amount, duration
from kagglekit.run_folder import Run

LONGEST_WAIT = 3600  # s; scoring takes seconds to a few minutes
AGAIN = "nothing was submitted; try again later"
LONGEST_PAUSE = 30  # s between two questions for the score


@dataclass(frozen=True)
class Sending:
    """What is to be submitted.

    Attributes:
        slug: The competition on Kaggle.
        file: The CSV.
        message: The description, without the token.
        run: The run whose submission it is; None for a file from elsewhere.
    """

    slug: str
    file: Path
    message: str
    run: Run | None


Ask = Callable[[str], bool]


def open_competition(kaggle: Kaggle, slug: str, display: Display) -> Limits:
    """Check that a competition takes files from this account today; show its deadline and what is left.

    Raises:
        UserError: It does not.
    """
    facts = kaggle.competition(slug)
    display.say(f"{facts.title}: {_deadline(facts)}")
    for closed, meaning in ((facts.disabled, "disabled"), (facts.code_only, "code"), (not facts.entered, "rules")):
        if closed:
            raise refusal(meaning, slug)
    limits = kaggle.limits(slug)
    of = f" of {facts.daily}" if facts.daily else ""
    display.say(f"submissions left today: {limits.left}{of}; the day ends {midnight()}")
    if limits.left < 1:
        raise refusal("limit", slug)
    return limits


def agreed(sending: Sending | None, limits: Limits, ask: Ask | None) -> None:
    """Ask before what can't be taken back: a second upload of a run, the day's last submission.

    Args:
        sending: What is to be submitted; None before there is anything.
        limits: Of today.
        ask: Asks the user; None where there is nobody to ask.

    Raises:
        UsageError: There is nobody to ask.
        UserError: The user says no.
    """
    reasons = []
    if sending and sending.run and (sent := [each for each in sending.run.submissions() if each["ref"]]):
        reasons.append(f"{sending.run.name} was submitted before ({', '.join(str(each['ref']) for each in sent)})")
    if limits.left == 1:
        reasons.append("this is the last submission of today")
    if not reasons:
        return
    question = f"{' and '.join(reasons)}: submit?"
    if ask is None:
        raise UsageError(
            f"{' and '.join(reasons)}, and there is no terminal to ask on", "add --yes to submit all the same"
        )
    if not ask(question):
        raise UserError("nothing was submitted")


def submit(sending: Sending, kaggle: Kaggle, limits: Limits, ask: Ask | None, display: Display) -> Submission:
    """Upload a file and make it a submission, once; return it as Kaggle has it, scored or not.

    Raises:
        UserError: It was not submitted; or nobody knows, and the message says how to find out.
        UsageError: See `agreed`.
    """
    with _alone(sending.run):
        if found := _left_open(sending, kaggle):
            display.say(f"an earlier try had reached Kaggle: submission {found.ref}")
            return found
        agreed(sending, limits, ask)
        blob = _send_bytes(sending, kaggle, display)
        token = uuid4().hex[:12]
        entry = _entry(sending, token)
        _note(sending.run, entry)
        try:
            ref = _create(sending, kaggle, blob, token)
        except _Refused as error:
            _note(sending.run, {**entry, "status": "error", "error": str(error)})
            raise error.reason from error
        _note(sending.run, {**entry, "status": "pending", "ref": ref})
    display.say(f"submitted {sending.file.name} as {ref}: {entry['message']}")
    return Submission(ref, entry["message"], "pending", None, None, "", sending.file.name, entry["sent"])


def wait_for_score(ref: int, kaggle: Kaggle, display: Display) -> Submission:
    """Ask for a submission, at growing intervals, until it is scored or refused.

    Raises:
        UserError: Kaggle can't be asked, or takes more than an hour.
    """
    started, pause = time.monotonic(), 1.0
    with _live(display, f"waiting for the score of {ref}"):
        while True:
            found = kaggle.submission(ref)
            if found.status != "pending":
                return found
            if time.monotonic() - started > LONGEST_WAIT:
                raise UserError(f"Kaggle has no score for {ref} after {duration(LONGEST_WAIT)}")
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)


def keep_score(run: Run | None, found: Submission) -> None:
    """Write what Kaggle said of a submission into the run's score.json."""
    if run is None:
        return
    entries = run.submissions()
    for entry in entries:
        if entry["ref"] == found.ref:
            facts = asdict(found)
            entry.update({key: facts[key] for key in ("status", "public", "private", "error")})
    run.write_submissions(entries)


def last_submission(run: Run, kaggle: Kaggle) -> int:
    """Return the number of a run's latest submission, looked up by its token where the answer was lost.

    Raises:
        UserError: There is none.
    """
    entry = next(iter(reversed(run.submissions())), None)
    if entry and entry["ref"]:
        return int(entry["ref"])
    found = kaggle.find_submission(run.info()["slug"], entry["token"]) if entry and run.info().get("slug") else None
    if found is None:
        raise UserError(f"{run.name} was not submitted to Kaggle", f"submit it: kagglekit submit {run.name}")
    _note(run, {**(entry or {}), "ref": found.ref, "status": found.status})
    return found.ref


def run_of(ref: int, out: Path) -> Run | None:
    """Return the run that a submission belongs to; None if none here says so."""
    runs = (Run(file.parent) for file in out.glob("*/*/score.json"))
    return next((run for run in runs if any(each["ref"] == ref for each in run.submissions())), None)


class _Refused(Exception):
    """Kaggle made no submission of the file, for certain."""

    def __init__(self, reason: UserError) -> None:
        super().__init__(reason.what)
        self.reason = reason


def _left_open(sending: Sending, kaggle: Kaggle) -> Submission | None:
    """Return the submission of an earlier call that was stopped before it had heard Kaggle's answer."""
    if sending.run is None:
        return None
    digest = _digest(sending.file)
    for entry in sending.run.submissions():
        if entry["status"] == "sending" and entry["sha256"] == digest:
            found = kaggle.find_submission(sending.slug, entry["token"])
            status = (
                {"status": found.status, "ref": found.ref} if found else {"status": "error", "error": "never arrived"}
            )
            _note(sending.run, {**entry, **status})
            if found:
                return found
    return None


def _send_bytes(sending: Sending, kaggle: Kaggle, display: Display) -> str:
    """Upload the file; return the token that names it."""
    from requests import RequestException

    facts, patience = sending.file.stat(), kaggle.patience.fresh()
    while True:
        blob, address = kaggle.start_upload(sending.slug, sending.file.name, facts.st_size, int(facts.st_mtime))
        try:
            with _live(display, f"uploading {amount(facts.st_size)}"):
                upload(address, sending.file, patience)
            return blob
        except AddressGone as error:
            if _paused(error, patience):
                raise UserError(f"the address that Kaggle gave for the upload is gone: {error}", AGAIN) from error
        except RequestException as error:
            raise UserError(f"the upload failed: {fault(error)}", AGAIN) from error


def _create(sending: Sending, kaggle: Kaggle, blob: str, token: str) -> int:
    """Create the submission; after an answer that was lost, look for it before anything is sent again."""
    patience = kaggle.patience.fresh()
    while True:
        try:
            ref, said = kaggle.create_submission(sending.slug, blob, f"{sending.message} [{token}]")
        except Exception as error:
            last = _paused(error, patience)
            if passes(error) and (found := _looked_up(sending, kaggle, token)):
                return found.ref
            if last:
                raise _Refused(explained(last, sending.slug, lambda _: True)) from last
            continue
        patience.recovered()
        if ref:
            return ref
        raise _Refused(UserError(f"Kaggle made no submission of the file: {said}", AGAIN))


def _looked_up(sending: Sending, kaggle: Kaggle, token: str) -> Submission | None:
    try:
        return kaggle.find_submission(sending.slug, token)
    except UserError as error:
        raise UserError(
            f"nobody knows whether the file was submitted: Kaggle's answer was lost, and now: {error.what}",
            "do not send it again: the same command looks for it first",
        ) from error


def _paused(error: Exception, patience: Patience) -> Exception | None:
    """Pause before the next try; return the error where there should be none."""
    try:
        patience.wait(error)
    except Exception as last:
        return last
    return None


def _entry(sending: Sending, token: str) -> dict[str, Any]:
    """Return what score.json says of a submission before Kaggle has answered."""
    return {
        "token": token,
        "ref": None,
        "sent": datetime.now(UTC).isoformat(timespec="seconds"),
        "message": sending.message,
        "status": "sending",
        "public": None,
        "private": None,
        "error": "",
        "sha256": _digest(sending.file),
    }


def _note(run: Run | None, entry: Mapping[str, Any]) -> None:
    """Write an entry into score.json, in the place of the one with its token."""
    if run:
        run.write_submissions([*(each for each in run.submissions() if each["token"] != entry["token"]), entry])


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


@contextmanager
def _alone(run: Run | None) -> Iterator[None]:
    """Refuse a second `submit` of the same run at the same time."""
    if run is None:
        yield
        return
    from filelock import FileLock, Timeout

    try:
        with FileLock(run.folder / ".submit.lock", timeout=0):
            yield
    except Timeout:
        raise UserError(f"{run.name} is being submitted by another process", "wait for it") from None


@contextmanager
def _live(display: Display, text: str) -> Iterator[None]:
    """Show a moving line on a terminal, or one plain line elsewhere."""
    if display.console.is_terminal:
        with display.console.status(text):
            yield
    else:
        display.say(text)
        yield


def _deadline(facts: Facts) -> str:
    if facts.deadline is None:
        return "no deadline"
    when = f"deadline {facts.deadline:%Y-%m-%d %H:%M} UTC"
    return f"{when}, over: what is sent now is scored, but not ranked" if facts.over else when
