"""The record of submissions: score.json in a run's folder, or in the cache for a file that no run wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.facts import Submission
from kagglekit.kaggle.retry import is_temporary
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import submitted_runs
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.paths import cache_folder

SEARCH = 60.0  # s for which Kaggle may still process a submission before its lists show it
RECENT = timedelta(minutes=10)  # after which a submission that is not listed does not exist
FIRST_PAUSE, MAX_PAUSE = 0.5, 5.0  # s between two looks


def record_of_file(slug: str, file: Path) -> Run:
    """Return the folder of the record for a file that no run wrote; its name follows from the file's content."""
    return Run(cache_folder() / "submitted" / f"{slug}-{digest(file)[:16]}")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return sha256(file.read_bytes()).hexdigest()


def new_entry(file: Path, message: str, token: str, sent: datetime) -> dict[str, Any]:
    """Return the entry of a submission before Kaggle has responded."""
    return {
        "token": token,
        "ref": None,
        "sent": sent.isoformat(timespec="seconds"),
        "message": message,
        "status": "sending",
        "public": None,
        "private": None,
        "error": "",
        "sha256": digest(file),
    }


def write_entry(record: Run, entry: Mapping[str, Any]) -> None:
    """Write an entry to score.json: replace the one with the same token, else append it."""
    entries = record.submissions()
    tokens = [each["token"] for each in entries]
    place = tokens.index(entry["token"]) if entry["token"] in tokens else len(entries)
    record.write_submissions([*entries[:place], entry, *entries[place + 1 :]])


def keep_score(record: Run | None, found: Submission) -> None:
    """Write the state and the scores of a submission to the entry with its number, if there is one."""
    if record is None:
        return
    facts = asdict(found)
    with locked(record, wait=True):
        for entry in record.submissions():
            if entry["ref"] == found.ref:
                write_entry(record, {**entry, **{key: facts[key] for key in ("status", "public", "private", "error")}})


def find_open(record: Run, slug: str, kaggle: Kaggle) -> Submission | None:
    """Return the submission of an earlier call that ended before Kaggle's response arrived.

    A submission that was sent less than ten minutes ago may still be on its way: it is searched for a minute. An
    entry without a submission never arrived, and is marked so.

    Raises:
        UserError: A call to Kaggle fails.
    """
    for entry in record.submissions():
        if entry["status"] == "sending":
            if recent := _is_recent(entry, kaggle.retry.clock.utc()):
                kaggle.retry.report("looking for the submission of an interrupted attempt, for up to a minute")
            found = search(kaggle, slug, entry["token"], SEARCH if recent else 0)
            if found:
                write_entry(record, {**entry, "status": found.status, "ref": found.ref})
                return found
            write_entry(record, {**entry, "status": "error", "error": "it never arrived"})
    return None


def _is_recent(entry: Mapping[str, Any], now: datetime) -> bool:
    """Return whether an entry was sent less than ten minutes ago; one from the future counts: clocks may be wrong."""
    try:
        sent = datetime.fromisoformat(entry["sent"])
    except (ValueError, TypeError, KeyError):
        return True
    return now - (sent if sent.tzinfo else sent.replace(tzinfo=UTC)) < RECENT


def search(kaggle: Kaggle, slug: str, token: str, seconds: float = SEARCH) -> Submission | None:
    """Look for a submission by its token, repeatedly until `seconds` have passed: Kaggle's lists lag behind.

    The timeout of `kaggle` does not shorten the search: a second submission cannot be undone.

    Raises:
        UserError: The last call to Kaggle failed, so that it is unknown whether the submission exists.
    """
    clock = kaggle.retry.clock
    until, pause = clock.now() + seconds, FIRST_PAUSE
    while True:
        is_last = clock.now() >= until
        try:
            if (found := kaggle.find_submission(slug, token)) or is_last:
                return found
        except UserError as error:
            if is_last or not (isinstance(error.__cause__, Exception) and is_temporary(error.__cause__)):
                raise unknown_outcome(error) from error
        clock.sleep(min(pause, max(0.0, until - clock.now())))
        pause = min(MAX_PAUSE, 2 * pause)


def unknown_outcome(error: UserError) -> UserError:
    """Return the error of a submission whose outcome is unknown, since a call to Kaggle failed with `error`."""
    return UserError(
        f"cannot tell whether the file was submitted: Kaggle's response was lost ({error.what})",
        "run the same command again later: it checks before sending",
    )


def last_submission(run: Run, slug: str | None, kaggle: Kaggle) -> int:
    """Return the number of a run's latest submission; look it up by its token if Kaggle's response was lost.

    Raises:
        UserError: There is none.
    """
    if slug and any(entry["status"] == "sending" for entry in run.submissions()):
        with locked(run):
            if found := find_open(run, slug, kaggle):
                return found.ref
    refs = [int(entry["ref"]) for entry in run.submissions() if entry["ref"]]
    if not refs:
        raise UserError(f"{run.name} was not submitted to Kaggle", f"submit it: kagglekit submit {run.name}")
    return refs[-1]


def run_of(ref: int, out: Path) -> Run | None:
    """Return the local run that a submission belongs to; None if there is none."""
    return next((run for run in submitted_runs(out) if any(each["ref"] == ref for each in run.submissions())), None)


@contextmanager
def locked(record: Run, wait: bool = False) -> Iterator[None]:
    """Lock a record, so that no other process writes it or submits the same file.

    Raises:
        UserError: Another process holds the lock, or the folder is not writable.
    """
    from filelock import FileLock, Timeout

    check_writable(record.folder, "copy the run to a writable folder")
    try:
        record.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(record.folder / ".submit.lock", timeout=30 if wait else 0):
            yield
    except Timeout:
        raise UserError(f"another process is submitting {record.name}", "wait until it has finished") from None
    except OSError as error:
        raise UserError(
            f"cannot write into {record.folder}: {error.strerror or error}", "check the folder's permissions"
        ) from error
