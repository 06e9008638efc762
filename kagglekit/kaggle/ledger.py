"""What became of uploads: the entries of score.json, in a run's folder or, for a file from elsewhere, in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from kagglekit.kaggle.client import Kaggle, Submission
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.paths import cache_folder


def record_of_file(slug: str, file: Path) -> Run:
    """Return the folder whose score.json is about a file that no run wrote, by its content."""
    return Run(cache_folder() / "submitted" / f"{slug}-{digest(file)[:16]}")


def digest(file: Path) -> str:
    """Hash a file."""
    return sha256(file.read_bytes()).hexdigest()


def new_entry(file: Path, message: str, token: str) -> dict[str, Any]:
    """Return what score.json says of a submission before Kaggle has answered."""
    return {
        "token": token,
        "ref": None,
        "sent": datetime.now(UTC).isoformat(timespec="seconds"),
        "message": message,
        "status": "sending",
        "public": None,
        "private": None,
        "error": "",
        "sha256": digest(file),
    }


def note(record: Run, entry: Mapping[str, Any]) -> None:
    """Write an entry into score.json, in the place of the one with its token, else behind all others."""
    entries = record.submissions()
    tokens = [each["token"] for each in entries]
    place = tokens.index(entry["token"]) if entry["token"] in tokens else len(entries)
    record.write_submissions([*entries[:place], entry, *entries[place + 1 :]])


def keep_score(record: Run | None, found: Submission) -> None:
    """Write what Kaggle said of a submission into score.json, if it is about that one."""
    if record is None:
        return
    facts = asdict(found)
    with alone(record, wait=True):
        for entry in record.submissions():
            if entry["ref"] == found.ref:
                note(record, {**entry, **{key: facts[key] for key in ("status", "public", "private", "error")}})


def find_open(record: Run, slug: str, kaggle: Kaggle) -> Submission | None:
    """Return the submission of an earlier call that was stopped before it had heard Kaggle's answer.

    An entry whose submission is not there was never made; that is noted.

    Raises:
        UserError: Kaggle can't be asked.
    """
    for entry in record.submissions():
        if entry["status"] == "sending":
            found = kaggle.find_submission(slug, entry["token"])
            if found:
                note(record, {**entry, "status": found.status, "ref": found.ref})
                return found
            note(record, {**entry, "status": "error", "error": "it never arrived"})
    return None


def last_submission(run: Run, kaggle: Kaggle) -> int:
    """Return the number of a run's latest submission, looked up by its token where the answer was lost.

    Raises:
        UserError: There is none.
    """
    slug = run.info().slug
    if slug and (found := find_open(run, slug, kaggle)):
        return found.ref
    refs = [int(entry["ref"]) for entry in run.submissions() if entry["ref"]]
    if not refs:
        raise UserError(f"{run.name} was not submitted to Kaggle", f"submit it: kagglekit submit {run.name}")
    return refs[-1]


def run_of(ref: int, out: Path) -> Run | None:
    """Return the run that a submission belongs to; None if none here says so."""
    runs = (Run(file.parent) for file in out.glob("*/*/score.json"))
    return next((run for run in runs if any(each["ref"] == ref for each in run.submissions())), None)


@contextmanager
def alone(record: Run, wait: bool = False) -> Iterator[None]:
    """Keep others from writing the same score.json, and from submitting the same file, meanwhile.

    Raises:
        UserError: Another process does so, or the folder can't be written.
    """
    from filelock import FileLock, Timeout

    check_writable(record.folder, "choose a folder that you may write to, or copy the run there")
    try:
        record.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(record.folder / ".submit.lock", timeout=30 if wait else 0):
            yield
    except Timeout:
        raise UserError(f"{record.name} is being submitted by another process", "wait for it") from None
    except OSError as error:
        raise UserError(
            f"cannot write into {record.folder}: {error.strerror or error}", "look at its rights"
        ) from error
