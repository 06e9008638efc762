"""Fetch a file over HTTP whatever happens on the way: cuts, silence, refusals, expired addresses, kills."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.kaggle.partial_file import Part, arriving
from kagglekit.kaggle.retry import Fault, RetryPolicy, fault, passes, retry_after
from kagglekit.kaggle.transport import (
    content_range,
    http_error,
    network_errors,
    plain_session,
    shown,
    status,
    told_origin,
)
from kagglekit.system.console import Bar, Display, amount, duration
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable

if TYPE_CHECKING:
    from requests import Response

EXPIRED = frozenset({400, 401, 403, 404, 410})  # what hosts answer to an address whose time is over
BEGINNINGS = 5  # a host that neither finishes nor goes on is left after that many
READ = 1 << 18
STEP = 1 << 16  # bytes that count as progress


@dataclass(frozen=True)
class Source:
    """A file somewhere else.

    Attributes:
        name: What people know it by.
        address: Asks for an address, each time a new one where it is signed. It may fail; what passes is tried again.
        md5: 32 hexadecimal digits, if known beforehand.
    """

    name: str
    address: Callable[[], str]
    md5: str = ""


@dataclass(frozen=True)
class Fetched:
    """A file that is here.

    Attributes:
        bytes: Its size.
        md5: Of its content, 32 hexadecimal digits.
        checked: What was compared: ``md5``, ``size`` or ``nothing``, where neither was known.
    """

    bytes: int
    md5: str
    checked: str


def fetch(source: Source, file: Path, patience: RetryPolicy, display: Display) -> Fetched:
    """Fetch a file; one that is there already, with the md5 the source names, is used as it is.

    What arrives is kept in ``FILE.part`` and gone on with, also by the next process; the file gets its name when it
    is complete and checked. Two processes must not fetch the same file at once.

    Args:
        source: Where it comes from.
        file: Where it goes.
        patience: How long faults are put up with.
        display: Shows a bar, and a line at the end.

    Raises:
        UserError: The host refuses or stays away, the file is wrong twice, or the disk is full or read-only.
        Exception: What `source.address` raised, where that does not pass.
    """
    there = _there(source, file)
    if there:
        return there
    _make_folder(file.parent)
    own, started = patience.fresh(), time.monotonic()
    title = f"fetching {source.name}"
    with arriving(file) as part, display.bar(title, None, "bytes") as bar:
        before = part.size
        _Transfer(source, part, own, bar).run()
        part.finish()
    own.recovered()
    display.report(_summary(source, part, 0 if part.begun else before, time.monotonic() - started))
    return Fetched(part.size, part.md5, _checked(source, part))


@dataclass(frozen=True)
class _Transfer:
    source: Source
    part: Part
    patience: RetryPolicy
    bar: Bar

    def run(self) -> None:
        """Fetch the file; once more from the start if it is wrong."""
        self._complete()
        wrong = _wrong(self.source, self.part)
        if wrong:
            self.patience.faults.append("a damaged file")
            self.part.clear()
            self._complete()
            wrong = _wrong(self.source, self.part)
        if wrong:
            self.part.clear()
            raise UserError(f"{self.source.name} came damaged twice: {wrong}", "nothing of it is kept; try again later")

    def _complete(self) -> None:
        """Go on until nothing is missing."""
        address, refused_at = "", -1
        while not self.part.whole:
            address = address or self._ask_address()
            try:
                self._receive(address)
            except network_errors() as error:
                if status(error) in EXPIRED and refused_at != self.part.size and not self.patience.over:
                    address, refused_at = "", self.part.size
                    self.patience.faults.append(fault(error))
                else:
                    self._wait(error, address)

    def _ask_address(self) -> str:
        while True:
            try:
                address = self.source.address()
            except Exception as error:
                self.patience.wait(error)
            else:
                self.patience.progressed()  # it may have taken long, and is not asked for again without need
                return address

    def _wait(self, error: Exception, address: str) -> None:
        try:
            if self.part.begun >= BEGINNINGS:
                raise error
            self.patience.wait(error)
        except network_errors() as last:
            raise self._failure(last, address) from last

    def _failure(self, error: Exception, address: str) -> UserError:
        words, later = fault(error), retry_after(error)
        lasting = f", for {duration(self.patience.seconds)}" if passes(error) and self.patience.over else ""
        kept = amount(self.part.size) if self.part.size and self.part.origin.validator else ""
        hints = [
            next((hint for start, hint in _HINTS.items() if words.startswith(start)), ""),
            f"the host asks to come back in {duration(later)}" if later else "",
            f"{kept} of it have arrived and are kept: the same command goes on from there" if kept else "",
        ]
        what = f"cannot fetch {self.source.name} from {shown(address)}: {words}{lasting}"
        return UserError(what, "; ".join(filter(None, hints)) or "try again later")

    def _receive(self, address: str) -> None:
        """Ask for what is missing and write what comes."""
        headers = {"Accept-Encoding": "identity"}
        if self.part.size and self.part.origin.validator:
            headers |= {"Range": f"bytes={self.part.size}-", "If-Range": self.part.origin.validator}
        with (
            plain_session() as session,  # a new one: connections are not used again after a fault
            session.get(address, headers=headers, stream=True, timeout=self.patience.timeouts) as response,
        ):
            if response.status_code == 416 and "Range" in headers:
                _end_here(self.part, response)
                return
            _fit(self.part, response, asked="Range" in headers)
            self.bar.go_on(self.part.size, self.part.origin.total)
            self._read(response)
        if self.part.origin.total is None:
            self.part.settle()
        elif not self.part.whole:
            raise Fault("cut in the middle")

    def _read(self, response: Response) -> None:
        new, since = 0, time.monotonic()
        while data := response.raw.read1(READ, decode_content=False):
            self.part.append(data)
            new += len(data)
            if new >= STEP:
                self.patience.progressed()
                self.bar.advance(new)
                new, since = 0, time.monotonic()
            elif time.monotonic() - since >= self.patience.seconds:
                raise Fault("almost silence")
        self.bar.advance(new)


_HINTS = {
    "the certificate": "behind a proxy that opens connections, name its certificate: REQUESTS_CA_BUNDLE=FILE",
    "the proxy": "look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
}


def _fit(part: Part, response: Response, asked: bool) -> None:
    """Go on with the part, or begin it anew, as the answer says.

    Raises:
        Fault: It is not what was asked for; the part is thrown away.
        HTTPError: It is neither.
    """
    origin = told_origin(response)
    if response.status_code == 200:
        part.begin(origin)
    elif response.status_code != 206 or not asked:
        raise http_error(response)
    elif part.origin.contradicts(origin):
        part.clear()
        raise Fault("the file has changed")
    elif not _is_the_rest(part, response):
        part.clear()
        raise Fault("a wrong part")
    else:
        part.check_room()


def _is_the_rest(part: Part, response: Response) -> bool:
    """Whether a partial answer begins where the part ends, and goes to the end."""
    first, last, total = content_range(response)
    if first != part.size or last is None or (total is not None and last != total - 1):
        return False
    length = response.headers.get("Content-Length", "")
    return not length or length == str(last - first + 1)


def _end_here(part: Part, response: Response) -> None:
    """Take an answer 416: nothing follows the part. It is whole, or not of this file.

    Raises:
        Fault: The latter; the part is thrown away.
    """
    if content_range(response)[2] == part.size and part.origin.total in (None, part.size):
        part.settle()
        return
    part.clear()
    raise Fault("the file has changed")


def _wrong(source: Source, part: Part) -> str:
    """Say what is wrong with a whole file; empty if nothing is."""
    if part.size != part.origin.total:
        return f"it has {part.size:,} bytes, expected are {part.origin.total:,}"
    expected = next((md5 for md5 in (source.md5, part.origin.md5) if md5 and md5 != part.md5), "")
    return f"its md5 is {part.md5}, expected is {expected}" if expected else ""


def _checked(source: Source, part: Part) -> str:
    if source.md5 or part.origin.md5:
        return "md5"
    return "nothing" if part.settled else "size"


def _there(source: Source, file: Path) -> Fetched | None:
    if not file.is_file():
        return None
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if source.md5 and source.md5 != md5:
        return None
    return Fetched(file.stat().st_size, md5, "md5" if source.md5 else "nothing")


def _make_folder(folder: Path) -> None:
    hint = "choose a folder that you may write to"
    check_writable(folder, hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror or error}", hint) from error


def _summary(source: Source, part: Part, before: int, seconds: float) -> str:
    rate = amount((part.size - before) / max(1e-9, seconds))
    earlier = f", {amount(before)} of it earlier" if before else ""
    return f"fetched {source.name}: {amount(part.size)} in {duration(seconds)} ({rate}/s{earlier})"
