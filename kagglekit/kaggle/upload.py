"""Send a file to a resumable address: after a fault the host is asked what has arrived, and gets the rest."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kagglekit.kaggle.retry import Fault, RetryPolicy, fault, passes
from kagglekit.kaggle.transport import http_error, network_errors, plain_session, shown, status

if TYPE_CHECKING:
    from requests import Response

DONE = frozenset({200, 201})
INCOMPLETE = 308
GONE = frozenset({404, 410})


class AddressGone(Fault):
    """The host knows nothing of the address any more: the upload begins anew with another."""


def upload(address: str, file: Path, patience: RetryPolicy) -> None:
    """Send a file with PUT.

    After any fault, also an answer such as 401, the host is asked first, with an empty PUT (Google's resumable
    uploads, "Check the status of a resumable upload"): what it has already is not sent again.

    Args:
        address: For this file alone; signed.
        file: It must not change meanwhile.
        patience: How long faults are put up with.

    Raises:
        AddressGone: The address is not valid any more (404, 410).
        Exception: The last error of requests, where time is over or the host refuses twice. Its text may hold the
            address: `patience.fault` words it without.
    """
    own = patience.fresh()
    _Sending(address, file, file.stat().st_size, own).run()
    own.recovered()


class _Content(io.FileIO):
    """A file that says how far it was read."""

    read_to: Callable[[int], None]

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_to(self.tell())
        return data


@dataclass
class _Sending:
    address: str
    file: Path
    size: int
    patience: RetryPolicy
    furthest: int = 0  # bytes that the host has said it has
    sent: int = 0  # bytes that have left, whether they arrived or not
    refused: bool = False

    def run(self) -> None:
        """Send what is missing, ask after each fault what that is, until all has arrived."""
        start: int | None = 0
        while True:
            try:
                answer = self._ask() if start is None else self._send(start)
                if answer.status_code in DONE:
                    return
                start = self._next(answer, asked=start is None)
            except AddressGone:
                raise
            except network_errors() as error:
                self._bear(error)
                start = None

    def _send(self, start: int) -> Response:
        headers = {"Content-Range": f"bytes {start}-{self.size - 1}/{self.size}"} if start else {}
        with _Content(self.file) as content:
            content.seek(start)
            content.read_to = self._read_to
            return self._put(headers, content if self.size else b"")

    def _read_to(self, place: int) -> None:
        """Take bytes that left for the first time as progress: a slow line is no fault."""
        if place > self.sent:
            self.sent = place
            self.patience.progressed()

    def _ask(self) -> Response:
        return self._put({"Content-Range": f"bytes */{self.size}"}, b"")

    def _put(self, headers: dict[str, str], data: BinaryIO | bytes) -> Response:
        connect, read = self.patience.timeouts
        timeouts = (read if data else connect, read)  # urllib3 lets a stall in sending last as long as connecting
        with plain_session() as session:  # a new one: connections are not used again after a fault
            answer = session.put(self.address, data=data, headers=headers, timeout=timeouts, allow_redirects=False)
        if answer.status_code in GONE:
            raise AddressGone(f"HTTP {answer.status_code} from {shown(self.address)}")
        if answer.status_code not in DONE and answer.status_code != INCOMPLETE:
            raise http_error(answer)
        return answer

    def _next(self, answer: Response, asked: bool) -> int:
        """Return from where the host wants more.

        Raises:
            Fault: It wants none, though the file is not finished, or what was sent has not arrived.
        """
        start = _arrived(answer)
        if start > self.furthest:
            self.furthest, self.refused = start, False
            self.patience.progressed()
        elif not asked:
            raise Fault("nothing has arrived")
        if start >= self.size:
            raise Fault("the host has all and does not finish")
        return start

    def _bear(self, error: Exception) -> None:
        """Wait after a fault. A refusal is borne once: the file may have arrived all the same."""
        if passes(error) or self.refused or not status(error):
            self.patience.wait(error)
        else:
            self.refused = True
            self.patience.faults.append(fault(error))


def _arrived(answer: Response) -> int:
    """Return how many bytes the host has, from ``Range: bytes=0-K``; without that header it has none."""
    text = answer.headers.get("Range", "").strip()
    found = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", text, re.ASCII)
    if text and not found:
        raise Fault("an answer that makes no sense")
    return int(found[1]) + 1 if found else 0
