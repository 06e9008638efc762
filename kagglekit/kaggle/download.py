"""Fetch a file over HTTP in spite of dropped connections, timeouts, refusals, expired addresses and kills."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.kaggle.partial_file import PartialFile, opened
from kagglekit.kaggle.retry import Fault, RetryPolicy, is_temporary, retry_after, short_reason
from kagglekit.kaggle.transport import (
    content_range,
    http_error,
    network_errors,
    origin_of,
    plain_session,
    status,
    without_secrets,
)
from kagglekit.system.display.console import Bar, Display, amount, duration
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable

if TYPE_CHECKING:
    from requests import Response

EXPIRED = frozenset({400, 401, 403, 404, 410})  # what hosts return for an expired address
MAX_STARTS = 5  # give up on a host that neither finishes nor resumes
READ = 1 << 18
STEP = 1 << 16  # bytes that count as progress


@dataclass(frozen=True)
class Source:
    """A file on a host.

    Attributes:
        name: Its name in messages.
        address: Returns its address, a new one at each call if it is signed. Temporary errors are retried.
        md5: 32 hexadecimal digits, if known beforehand.
    """

    name: str
    address: Callable[[], str]
    md5: str = ""


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        bytes: Its size.
        md5: Of its content, 32 hexadecimal digits.
        checked: What was compared: ``md5``, ``size``, or ``nothing`` if neither was known.
    """

    bytes: int
    md5: str
    checked: str


def fetch(source: Source, file: Path, retry: RetryPolicy, display: Display) -> Fetched:
    """Fetch a file, unless it exists and has the md5 that the source names.

    The bytes go to ``FILE.part``, which later calls resume; the file gets its name once complete and checked. Two
    processes must not fetch the same file at once.

    Args:
        source: The file on its host.
        file: The target.
        retry: How long temporary errors are retried.
        display: Shows a bar, and a line at the end.

    Raises:
        UserError: The host refuses or stays unreachable, the file is damaged twice, or the disk is full or read-only.
        Exception: A lasting error of `source.address`.
    """
    existing = _existing(source, file)
    if existing:
        return existing
    _create_folder(file.parent)
    own, started = retry.fresh(), time.monotonic()
    title = f"fetching {source.name}"
    with opened(file) as part, display.bar(title, None, "bytes") as bar:
        before = part.size
        _Transfer(source, part, own, bar).run()
        part.finish()
    own.recovered()
    display.report(_summary(source, part, 0 if part.starts else before, time.monotonic() - started))
    return Fetched(part.size, part.md5, _checked(source, part))


@dataclass(frozen=True)
class _Transfer:
    source: Source
    part: PartialFile
    retry: RetryPolicy
    bar: Bar

    def run(self) -> None:
        """Fetch the file; once more from the start if it is damaged."""
        self._complete()
        damage = _damage(self.source, self.part)
        if damage:
            self.retry.faults.append("damaged file")
            self.part.clear()
            self._complete()
            damage = _damage(self.source, self.part)
        if damage:
            self.part.clear()
            raise UserError(f"{self.source.name} was corrupted twice: {damage}", "try again later; nothing is kept")

    def _complete(self) -> None:
        """Request the missing bytes until the file is complete."""
        address, refused_at = "", -1
        while not self.part.complete:
            address = address or self._ask_address()
            try:
                self._receive(address)
            except network_errors() as error:
                if status(error) in EXPIRED and refused_at != self.part.size and not self.retry.over:
                    address, refused_at = "", self.part.size
                    self.retry.faults.append(short_reason(error))
                else:
                    self._wait(error, address)

    def _ask_address(self) -> str:
        while True:
            try:
                address = self.source.address()
            except Exception as error:
                self.retry.wait(error)
            else:
                self.retry.progressed()  # getting an address may have taken long
                return address

    def _wait(self, error: Exception, address: str) -> None:
        try:
            if self.part.starts >= MAX_STARTS:
                raise error
            self.retry.wait(error)
        except network_errors() as last:
            raise self._failure(last, address) from last

    def _failure(self, error: Exception, address: str) -> UserError:
        reason, later = short_reason(error), retry_after(error)
        lasting = f", for {duration(self.retry.seconds)}" if is_temporary(error) and self.retry.over else ""
        kept = amount(self.part.size) if self.part.size and self.part.origin.validator else ""
        hints = [
            next((hint for start, hint in _HINTS.items() if reason.startswith(start)), ""),
            f"the host asks to retry in {duration(later)}" if later else "",
            f"{kept} received and kept: the same command resumes there" if kept else "",
        ]
        what = f"cannot fetch {self.source.name} from {without_secrets(address)}: {reason}{lasting}"
        return UserError(what, "; ".join(filter(None, hints)) or "try again later")

    def _receive(self, address: str) -> None:
        """Request the missing bytes and write them."""
        headers = {"Accept-Encoding": "identity"}
        if self.part.size and self.part.origin.validator:
            headers |= {"Range": f"bytes={self.part.size}-", "If-Range": self.part.origin.validator}
        with (
            plain_session() as session,  # a new one: connections are not reused after a fault
            session.get(address, headers=headers, stream=True, timeout=self.retry.timeouts) as response,
        ):
            if response.status_code == 416 and "Range" in headers:
                _end_here(self.part, response)
                return
            _prepare(self.part, response, resuming="Range" in headers)
            self.bar.restart(self.part.size, self.part.origin.total)
            self._read(response)
        if self.part.origin.total is None:
            self.part.assume_complete()
        elif not self.part.complete:
            raise Fault("transfer cut off")

    def _read(self, response: Response) -> None:
        new, since = 0, time.monotonic()
        while data := response.raw.read1(READ, decode_content=False):
            self.part.append(data)
            new += len(data)
            if new >= STEP:
                self.retry.progressed()
                self.bar.advance(new)
                new, since = 0, time.monotonic()
            elif time.monotonic() - since >= self.retry.seconds:
                raise Fault("transfer stalled")
        self.bar.advance(new)


_HINTS = {
    "untrusted certificate": "behind a TLS-inspecting proxy, set REQUESTS_CA_BUNDLE to its certificate file",
    "proxy error": "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
}


def _prepare(part: PartialFile, response: Response, resuming: bool) -> None:
    """Resume the partial file or start it again, as the response requires.

    Raises:
        Fault: The response is not what was requested; the partial file is discarded.
        HTTPError: The response is an error.
    """
    origin = origin_of(response)
    if response.status_code == 200:
        part.start(origin)
    elif response.status_code != 206 or not resuming:
        raise http_error(response)
    elif part.origin.contradicts(origin):
        part.clear()
        raise Fault("file changed on the host")
    elif not _is_remainder(part, response):
        part.clear()
        raise Fault("wrong byte range")
    else:
        part.check_disk_space()


def _is_remainder(part: PartialFile, response: Response) -> bool:
    """Return whether a partial response begins where the file ends, and goes to the end."""
    first, last, total = content_range(response)
    if first != part.size or last is None or (total is not None and last != total - 1):
        return False
    length = response.headers.get("Content-Length", "")
    return not length or length == str(last - first + 1)


def _end_here(part: PartialFile, response: Response) -> None:
    """Handle status 416: no bytes follow. The file is complete, or belongs to another version.

    Raises:
        Fault: It belongs to another version; it is discarded.
    """
    if content_range(response)[2] == part.size and part.origin.total in (None, part.size):
        part.assume_complete()
        return
    part.clear()
    raise Fault("file changed on the host")


def _damage(source: Source, part: PartialFile) -> str:
    """Return what is wrong with a complete file; empty if nothing is."""
    if part.size != part.origin.total:
        return f"{part.size:,} bytes instead of {part.origin.total:,}"
    expected = next((md5 for md5 in (source.md5, part.origin.md5) if md5 and md5 != part.md5), "")
    return f"md5 {part.md5} instead of {expected}" if expected else ""


def _checked(source: Source, part: PartialFile) -> str:
    if source.md5 or part.origin.md5:
        return "md5"
    return "nothing" if part.size_assumed else "size"


def _existing(source: Source, file: Path) -> Fetched | None:
    if not file.is_file():
        return None
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if source.md5 and source.md5 != md5:
        return None
    return Fetched(file.stat().st_size, md5, "md5" if source.md5 else "nothing")


def _create_folder(folder: Path) -> None:
    hint = "choose a writable folder"
    check_writable(folder, hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create the folder {folder}: {error.strerror or error}", hint) from error


def _summary(source: Source, part: PartialFile, before: int, seconds: float) -> str:
    rate = amount((part.size - before) / max(1e-9, seconds))
    earlier = f", {amount(before)} fetched earlier" if before else ""
    return f"fetched {source.name}: {amount(part.size)} in {duration(seconds)} ({rate}/s{earlier})"
