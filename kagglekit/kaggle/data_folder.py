"""A competition's data folder from nothing: fetched, checked, unpacked beside its place, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kagglekit.data.archive.extract import ARCHIVE_SUFFIXES, BadArchive, BrokenArchive, extract, extract_nested
from kagglekit.data.listing import LITTER
from kagglekit.data.location import MARKER, is_complete, is_untidy, workshop
from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.download import Source, fetch
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import check_writable, write_text
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions

ELSEWHERE = "choose another place with --data DIR, or set KAGGLEKIT_DATA"
ROOM = f"free some disk, or {ELSEWHERE}"


def download_from_kaggle(competition: Competition, folder: Path, options: DownloadOptions) -> Path:
    """Download a competition from Kaggle into `folder` and return it.

    Raises:
        UserError: There are no credentials, Kaggle refuses, the transfer fails for good, or the archive is unsafe.
    """
    slug = competition.slug or ""
    patience = _patience(options)

    @cache
    def kaggle() -> Kaggle:
        try:
            return connect(patience)
        except UserError as error:
            by_hand = f"or fetch the files yourself from {competition.url}, unpack them, and name them: --data DIR"
            raise UserError(error.what, f"{error.hint}\n{by_hand}") from error

    source = Source(f"{slug}.zip", lambda: kaggle().data_address(slug))
    return download([source], f"Kaggle's {slug}", folder, options, patience)


def download_files(competition: Competition, folder: Path, options: DownloadOptions) -> Path:
    """Download the files that a competition names into `folder` and return it.

    Raises:
        UserError: A transfer fails for good, or an archive is unsafe.
    """
    sources = [Source(file.name, lambda url=file.url: url, file.md5) for file in competition.files]  # type: ignore[misc]
    return download(sources, competition.title, folder, options, _patience(options))


def _patience(options: DownloadOptions) -> RetryPolicy:
    return RetryPolicy(options.timeout, report=options.display.report)


def download(
    sources: Sequence[Source], what: str, folder: Path, options: DownloadOptions, patience: RetryPolicy
) -> Path:
    """Fetch files, unpack the archives among them, and give the result the name `folder`; return that.

    Stopped at any moment, the next call goes on from what is there. Two calls at once: one waits for the other. A
    folder that was completed is returned without asking anybody, and what a killed call has left beside it is tidied.

    Args:
        sources: What to fetch.
        what: How to call it.
        folder: Its place; it must not exist, or be empty. A link is followed.
        options: What the user wants.
        patience: How long faults are put up with.

    Raises:
        UserError: It can't be done; what was fetched stays for the next call.
    """
    place = _place(folder)
    if is_complete(place) and not is_untidy(place):  # also where nothing can be written
        options.display.report(f"{what} is in {folder}, complete")
        return folder
    _prepare(place)
    with _alone(place, options):
        if is_complete(place):
            options.display.report(f"{what} is in {folder}, complete")
        else:
            _refuse_full(place)
            options.display.report(f"downloading {what} into {folder}")
            with _going_on(place, options):
                _complete(sources, place, options, patience)
        _tidy(place, options)
    return folder


@contextmanager
def _worded(what: str, hint: str = ELSEWHERE) -> Iterator[None]:
    """Turn what the system says into our words."""
    try:
        yield
    except (OSError, NotImplementedError, RuntimeError) as error:  # file systems without locks; links in a circle
        raise UserError(f"{what}: {getattr(error, 'strerror', None) or error}", hint) from error


def _place(folder: Path) -> Path:
    """Return what `folder` leads to."""
    with _worded(f"cannot download into {folder}"):
        place = folder.resolve()
        is_complete(place)  # it can be looked at
    if not place.name:
        raise UserError(f"cannot download into {folder}: the root of a disk can't be replaced by the data", ELSEWHERE)
    return place


def _prepare(folder: Path) -> None:
    """Make the folder's parent; check both."""
    with _worded(f"cannot make the folder {folder.parent}"):
        check_writable(folder.parent, ELSEWHERE)
        check_writable(folder, ELSEWHERE)
        folder.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _alone(folder: Path, options: DownloadOptions) -> Iterator[None]:
    """Wait while another process downloads into the same folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with _worded(f"cannot lock {lock.lock_file}"):
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            options.display.report(f"another process is downloading into {folder}: waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _refuse_full(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not {*names} <= {*_NOTHING}:
        raise UserError(
            f"{folder} has files in it that kagglekit did not download: {listing(names)}",
            "they are left alone; remove the folder, or choose another with --data DIR",
        )


_NOTHING = (*LITTER, MARKER)  # what a folder may have in it before a download; the marker's data are gone


@contextmanager
def _going_on(folder: Path, options: DownloadOptions) -> Iterator[None]:
    """Say what a failed or stopped download leaves for the next."""
    try:
        yield
    except BaseException as error:
        refused = isinstance(error, BadArchive) and not isinstance(error, BrokenArchive)  # and would be again
        kept = _kept(workshop(folder))
        if kept and not refused:
            options.display.report(f"{kept / 1e6:,.1f} MB kept in {workshop(folder)}: the same command resumes there")
        raise


def _kept(room: Path) -> int:
    with suppress(OSError):  # it would hide the error that is on its way
        return sum(path.stat().st_size for path in room.iterdir() if path.is_file())
    return 0


def _complete(sources: Sequence[Source], folder: Path, options: DownloadOptions, patience: RetryPolicy) -> None:
    unpacked = _cleared(workshop(folder), folder)
    facts = [_fetched(source, unpacked, options, patience) for source in sources]
    n_files = sum(path.is_file() for path in unpacked.rglob("*"))
    marker = {"files": facts, "unpacked": n_files, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    write_text(unpacked / MARKER, json.dumps(marker, indent=1) + "\n")
    _give_name(unpacked, folder)
    options.display.report(f"unpacked {n_files:,} files into {folder}")


def _cleared(room: Path, folder: Path) -> Path:
    """Make the workshop and try its last step; return where it unpacks, with nothing there from a stopped call."""
    with _worded(f"cannot make the folder {room}"):
        room.mkdir(exist_ok=True)
    _try_name(room / "trial", folder)
    unpacked = room / "unpacked"
    with _worded(f"cannot remove {unpacked}, which a stopped download has left", f"remove it, or {ELSEWHERE}"):
        if os.path.lexists(unpacked):
            shutil.rmtree(unpacked)
    return unpacked


def _try_name(trial: Path, folder: Path) -> None:
    """Do with an empty folder what is done at the end: gigabytes later it is late to learn that it can't be."""
    there = folder.is_dir()
    with _worded(f"cannot make the folder {trial}"):
        trial.mkdir(exist_ok=True)
    try:
        _give_name(trial, folder)
    finally:
        with suppress(OSError):  # it has its new name
            trial.rmdir()
    if not there:
        with _worded(f"cannot remove {folder}"):
            folder.rmdir()


def _fetched(source: Source, unpacked: Path, options: DownloadOptions, patience: RetryPolicy) -> dict[str, object]:
    """Fetch one file, unless an earlier call has, and unpack it, or put it where it belongs."""
    file = unpacked.with_name(source.name)
    if not file.exists():  # it gets its name when it is whole
        fetch(source, file, patience, options.display)
    facts = {"name": source.name, "bytes": file.stat().st_size}
    if _is_archive(file):
        _unpack(file, unpacked, options)
    else:
        with _worded(f"cannot copy {file} into {unpacked}", ROOM):
            unpacked.mkdir(exist_ok=True)
            shutil.copy2(file, unpacked)
    return facts


def _is_archive(file: Path) -> bool:
    return file.name.lower().endswith(ARCHIVE_SUFFIXES)


def _unpack(file: Path, unpacked: Path, options: DownloadOptions) -> None:
    """Unpack an archive and those in it. A broken one is removed, else the next call would find it.

    One that is refused stays: it was fetched whole, and would come the same again.
    """
    try:
        extract(file, unpacked, options.display, ROOM)
        extract_nested(unpacked, options.display)
    except BrokenArchive as error:
        with _worded(f"cannot remove {file}, which is broken", "remove it"):
            file.unlink()
        raise BrokenArchive(error.what, f"{file.name} is removed: the same command fetches it again") from error
    except BadArchive as error:
        kept = f"it is not used; {file} is kept, remove it to have it fetched again"
        raise BadArchive(error.what, kept) from error


def _give_name(unpacked: Path, folder: Path) -> None:
    hint = f"{ELSEWHERE}; of a mount point, take a folder inside"
    with _worded(f"cannot give {unpacked} the name {folder}", hint):
        if folder.is_dir():
            for name in _NOTHING:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        unpacked.rename(folder)


def _tidy(folder: Path, options: DownloadOptions) -> None:
    """Remove what a completed download leaves beside its folder; it may have been killed before it could."""
    room = workshop(folder)
    if options.keep_archives and room.is_dir():
        with _worded(f"cannot move the archives from {room} into {folder}", "the data themselves are complete"):
            for file in [path for path in room.iterdir() if path.is_file() and _is_archive(path)]:
                file.replace(folder / file.name)
    shutil.rmtree(room, ignore_errors=True)
    if room.exists():
        options.display.warn(f"cannot remove {room}: it is no longer needed")
