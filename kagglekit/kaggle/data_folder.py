"""Create a competition's data folder: fetch the files, check them, unpack them beside the target, then rename."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kagglekit.data.archive.destination import BadArchive, BrokenArchive
from kagglekit.data.archive.parts import is_archive
from kagglekit.data.listing import LITTER
from kagglekit.data.location import DEMANDS, MARKER, is_complete, is_untidy, workshop
from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.download import Source, fetch
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.kaggle.unpacking import unpack_all
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import check_writable, write_text
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions

ELSEWHERE = "choose another place with --data DIR, or set KAGGLEKIT_DATA"
ROOM = f"free some disk space, or {ELSEWHERE}"


def download_from_kaggle(competition: Competition, folder: Path, options: DownloadOptions) -> Path:
    """Download a competition from Kaggle into `folder` and return it.

    Raises:
        UserError: There are no credentials, Kaggle refuses, the transfer keeps failing, or the archive is unsafe.
    """
    slug = competition.slug or ""
    retry = _retry_policy(options)

    @cache
    def kaggle() -> Kaggle:
        try:
            return connect(retry)
        except UserError as error:
            page = competition.url or f"https://www.kaggle.com/competitions/{slug}/data"
            by_hand = f"or download the files from {page}, unpack them, and pass the folder: --data DIR"
            raise UserError(error.what, f"{error.hint}\n{by_hand}") from error

    source = Source(f"{slug}.zip", lambda: kaggle().data_address(slug))
    complete = download([source], f"{slug} from Kaggle", folder, options, retry)
    if kaggle.cache_info().currsize and kaggle().is_code_only(slug):
        lines = kaggle().demands(slug).lines
        write_text(complete / DEMANDS, "\n".join(lines) + "\n")  # for runs, which may be offline
        for line in lines:
            options.display.report(line)
    return complete


def download_files(competition: Competition, folder: Path, options: DownloadOptions) -> Path:
    """Download the files that a competition names into `folder` and return it.

    Raises:
        UserError: A transfer keeps failing, or an archive is unsafe.
    """
    sources = [Source(file.name, lambda url=file.url: url, file.md5) for file in competition.files]  # type: ignore[misc]
    return download(sources, competition.title, folder, options, _retry_policy(options))


def _retry_policy(options: DownloadOptions) -> RetryPolicy:
    return RetryPolicy(options.timeout, report=options.display.report)


def download(sources: Sequence[Source], what: str, folder: Path, options: DownloadOptions, retry: RetryPolicy) -> Path:
    """Fetch files, unpack the archives among them, rename the result to `folder` and return it.

    An interrupted download is resumed by the next call. Of two simultaneous calls, one waits for the other. A complete
    folder is returned without any request, after the leftovers of a killed call are removed.

    Args:
        sources: The files to fetch.
        what: Their name in messages.
        folder: The target; it must not exist, or be empty. A link is followed.
        options: Display, timeout, and whether archives are kept.
        retry: How long temporary errors are retried.

    Raises:
        UserError: The download fails; the fetched bytes are kept for the next call.
    """
    place = _place(folder)
    if is_complete(place) and not is_untidy(place):  # needs no write access
        options.display.report(f"{what}: already complete in {folder}")
        return folder
    _prepare(place)
    with _locked(place, options):
        if is_complete(place):
            options.display.report(f"{what}: already complete in {folder}")
        else:
            _check_empty(place)
            options.display.report(f"downloading {what} into {folder}")
            with _reporting_kept(place, options):
                _complete(sources, place, options, retry)
        _tidy(place, options)
    return folder


@contextmanager
def _system_errors(what: str, hint: str = ELSEWHERE) -> Iterator[None]:
    """Turn errors of the system into a `UserError` that begins with `what`."""
    try:
        yield
    except (OSError, NotImplementedError, RuntimeError) as error:  # file systems without locks; circular links
        raise UserError(f"{what}: {getattr(error, 'strerror', None) or error}", hint) from error


def _place(folder: Path) -> Path:
    """Return the folder that `folder` leads to."""
    with _system_errors(f"cannot download into {folder}"):
        place = folder.resolve()
        is_complete(place)  # raises if the folder cannot be read
    if not place.name:
        raise UserError(f"cannot download into {folder}: it is the root of a disk", ELSEWHERE)
    return place


def _prepare(folder: Path) -> None:
    """Create the folder's parent; check that both are writable."""
    with _system_errors(f"cannot create the folder {folder.parent}"):
        check_writable(folder.parent, ELSEWHERE)
        check_writable(folder, ELSEWHERE)
        folder.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _locked(folder: Path, options: DownloadOptions) -> Iterator[None]:
    """Wait while another process downloads into the same folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with _system_errors(f"cannot lock {lock.lock_file}"):
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            options.display.report(f"another process is downloading into {folder}: waiting")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check_empty(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not {*names} <= {*_IGNORED}:
        raise UserError(
            f"{folder} contains files that kagglekit did not download: {listing(names)}",
            "remove the folder, or choose another with --data DIR; nothing was changed",
        )


_IGNORED = (*LITTER, MARKER, DEMANDS)  # may be in a folder before a download; a marker without data is stale


@contextmanager
def _reporting_kept(folder: Path, options: DownloadOptions) -> Iterator[None]:
    """Report what a failed or interrupted download keeps for the next call."""
    try:
        yield
    except BaseException as error:
        refused = isinstance(error, BadArchive) and not isinstance(error, BrokenArchive)  # and would be again
        kept = _kept(workshop(folder))
        if kept and not refused:
            options.display.report(f"kept {kept / 1e6:,.1f} MB in {workshop(folder)}: the same command resumes there")
        raise


def _kept(room: Path) -> int:
    with suppress(OSError):  # must not hide the error being raised
        return sum(path.stat().st_size for path in room.iterdir() if path.is_file())
    return 0


def _complete(sources: Sequence[Source], folder: Path, options: DownloadOptions, retry: RetryPolicy) -> None:
    unpacked = _cleared(workshop(folder), folder)
    files = [_fetched(source, unpacked.parent, options, retry) for source in sources]
    facts = [{"name": file.name, "bytes": file.stat().st_size} for file in files]
    unpack_all(files, unpacked, options, ROOM)
    n_files = sum(path.is_file() for path in unpacked.rglob("*"))
    marker = {"files": facts, "unpacked": n_files, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    write_text(unpacked / MARKER, json.dumps(marker, indent=1) + "\n")
    _rename(unpacked, folder)
    options.display.report(f"unpacked {n_files:,} files into {folder}")


def _cleared(room: Path, folder: Path) -> Path:
    """Create the workshop and try the final rename; return the folder to unpack into, emptied."""
    with _system_errors(f"cannot create the folder {room}"):
        room.mkdir(exist_ok=True)
    _try_rename(room / "trial", folder)
    unpacked = room / "unpacked"
    with _system_errors(f"cannot remove {unpacked}, left by an interrupted download", f"remove it, or {ELSEWHERE}"):
        if os.path.lexists(unpacked):
            shutil.rmtree(unpacked)
    return unpacked


def _try_rename(trial: Path, folder: Path) -> None:
    """Rename an empty folder to `folder`: better to fail now than after gigabytes."""
    exists = folder.is_dir()
    with _system_errors(f"cannot create the folder {trial}"):
        trial.mkdir(exist_ok=True)
    try:
        _rename(trial, folder)
    finally:
        with suppress(OSError):  # it has its new name
            trial.rmdir()
    if not exists:
        with _system_errors(f"cannot remove {folder}"):
            folder.rmdir()


def _fetched(source: Source, room: Path, options: DownloadOptions, retry: RetryPolicy) -> Path:
    """Fetch one file, unless an earlier call has; return its place."""
    file = room / source.name
    if not file.exists():  # it gets its name once complete
        fetch(source, file, retry, options.display)
    return file


def _rename(unpacked: Path, folder: Path) -> None:
    hint = f"{ELSEWHERE}; if it is a mount point, use a folder inside it"
    with _system_errors(f"cannot rename {unpacked} to {folder}", hint):
        if folder.is_dir():
            for name in _IGNORED:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        unpacked.rename(folder)


def _tidy(folder: Path, options: DownloadOptions) -> None:
    """Remove what a completed download leaves beside its folder, also after a kill."""
    room = workshop(folder)
    if options.keep_archives and room.is_dir():
        with _system_errors(f"cannot move the archives from {room} into {folder}", "the data are complete anyway"):
            for file in [path for path in room.iterdir() if path.is_file() and is_archive(path.name)]:
                file.replace(folder / file.name)
    shutil.rmtree(room, ignore_errors=True)
    if room.exists():
        options.display.warn(f"cannot remove {room}, which is no longer needed")
