"""A competition's data folder from nothing: fetched, checked, unpacked beside its place, then renamed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kagglekit.archive import ARCHIVE_SUFFIXES, BadArchive, extract, extract_nested
from kagglekit.competition import Competition
from kagglekit.errors import UserError, listing
from kagglekit.fetching import Fetching
from kagglekit.files import check_writable, write_text
from kagglekit.online.client import Kaggle
from kagglekit.online.login import connect
from kagglekit.online.patience import Patience
from kagglekit.online.transfer import Source, fetch

MARKER = ".kagglekit-download.json"  # in a folder whose download was completed
ELSEWHERE = "choose another place with --data DIR, or set KAGGLEKIT_DATA"


def download_from_kaggle(competition: Competition, folder: Path, fetching: Fetching) -> Path:
    """Download a competition from Kaggle into `folder` and return it.

    Raises:
        UserError: There are no credentials, Kaggle refuses, the transfer fails for good, or the archive is unsafe.
    """
    slug = competition.slug or ""
    patience = _patience(fetching)

    @cache
    def kaggle() -> Kaggle:
        try:
            return connect(patience)
        except UserError as error:
            by_hand = f"or fetch the files yourself from {competition.url}, unpack them, and name them: --data DIR"
            raise UserError(error.what, f"{error.hint}\n{by_hand}") from error

    source = Source(f"{slug}.zip", lambda: kaggle().data_address(slug))
    return download([source], f"Kaggle's {slug}", folder, fetching, patience)


def download_files(competition: Competition, folder: Path, fetching: Fetching) -> Path:
    """Download the files that a competition names into `folder` and return it.

    Raises:
        UserError: A transfer fails for good, or an archive is unsafe.
    """
    sources = [Source(file.name, lambda url=file.url: url, file.md5) for file in competition.files]  # type: ignore[misc]
    return download(sources, competition.title, folder, fetching, _patience(fetching))


def _patience(fetching: Fetching) -> Patience:
    return Patience(fetching.timeout, say=fetching.display.say)


def download(sources: Sequence[Source], what: str, folder: Path, fetching: Fetching, patience: Patience) -> Path:
    """Fetch files, unpack the archives among them, and give the result the name `folder`; return that.

    Stopped at any moment, the next call goes on from what is there. Two calls at once: one waits for the other. A
    folder that was completed is returned without asking anybody.

    Args:
        sources: What to fetch.
        what: How to call it.
        folder: Its place; it must not exist, or be empty.
        fetching: What the user wants.
        patience: How long faults are put up with.

    Raises:
        UserError: It can't be done; what was fetched stays for the next call.
    """
    check_writable(folder.parent, ELSEWHERE)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder, fetching):
        if (folder / MARKER).is_file():
            fetching.display.say(f"{what} is in {folder}, complete")
            return folder
        _refuse_full(folder)
        fetching.display.say(f"downloading {what} into {folder}")
        with _going_on(folder, fetching):
            _complete(sources, folder, fetching, patience)
    return folder


@contextmanager
def _alone(folder: Path, fetching: Fetching) -> Iterator[None]:
    """Wait while another process downloads into the same folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        fetching.display.say(f"another process is downloading into {folder}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _refuse_full(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        names = sorted(path.name for path in folder.iterdir())
        raise UserError(
            f"{folder} has files in it that kagglekit did not download: {listing(names)}",
            "they are left alone; remove the folder, or choose another with --data DIR",
        )


def _workshop(folder: Path) -> Path:
    """Return the folder beside it in which a download grows."""
    return folder.with_name(f".{folder.name}.download")


@contextmanager
def _going_on(folder: Path, fetching: Fetching) -> Iterator[None]:
    """Say what a failed or stopped download leaves for the next."""
    try:
        yield
    except BaseException:
        workshop = _workshop(folder)
        kept = sum(path.stat().st_size for path in workshop.iterdir() if path.is_file()) if workshop.is_dir() else 0
        if kept:
            fetching.display.say(f"{kept / 1e6:,.1f} MB stay in {workshop}: the same command goes on from there")
        raise


def _complete(sources: Sequence[Source], folder: Path, fetching: Fetching, patience: Patience) -> None:
    workshop = _workshop(folder)
    workshop.mkdir(exist_ok=True)
    unpacked = workshop / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)  # of a call that was stopped
    facts = [_fetched(source, workshop, unpacked, fetching, patience) for source in sources]
    extract_nested(unpacked, fetching.display)
    n_files = sum(path.is_file() for path in unpacked.rglob("*"))
    marker = {"files": facts, "unpacked": n_files, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    write_text(unpacked / MARKER, json.dumps(marker, indent=1) + "\n")
    _give_name(unpacked, folder)
    if fetching.keep_archives:
        _keep_archives(workshop, folder)
    shutil.rmtree(workshop, ignore_errors=True)
    fetching.display.say(f"unpacked {n_files:,} files into {folder}")


def _fetched(
    source: Source, workshop: Path, unpacked: Path, fetching: Fetching, patience: Patience
) -> dict[str, object]:
    """Fetch one file, unless an earlier call has, and unpack it, or put it where it belongs."""
    file = workshop / source.name
    if not file.exists():  # it gets its name when it is whole
        fetch(source, file, patience, fetching.display)
    facts = {"name": source.name, "bytes": file.stat().st_size}
    if not file.name.endswith(ARCHIVE_SUFFIXES):
        unpacked.mkdir(exist_ok=True)
        shutil.copy2(file, unpacked)
        return facts
    try:
        extract(file, unpacked, fetching.display)
    except BadArchive:
        file.unlink()  # the next call must not find it
        raise
    return facts


def _give_name(unpacked: Path, folder: Path) -> None:
    try:
        if folder.is_dir():
            folder.rmdir()  # empty
        unpacked.rename(folder)
    except OSError as error:
        raise UserError(f"cannot give {unpacked} the name {folder}: {error.strerror}", ELSEWHERE) from error


def _keep_archives(workshop: Path, folder: Path) -> None:
    for file in workshop.iterdir():
        if file.is_file() and file.name.endswith(ARCHIVE_SUFFIXES):
            file.replace(folder / file.name)
