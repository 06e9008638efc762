"""Upload a file to a resumable address: after an error, ask the host what has arrived and send the rest."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kagglekit.kaggle.retry import Fault, RetryPolicy, is_temporary, short_reason
from kagglekit.kaggle.transport import http_error, network_errors, plain_session, status, without_secrets
from kagglekit.system.display.console import Display, amount
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import Response

DONE = frozenset({200, 201})
INCOMPLETE = 308
GONE = frozenset({404, 410})
NOT_SENT = "try again later; nothing was submitted"


class AddressExpired(Fault):
    """The host no longer knows the address: the upload must start again at a new one."""


def send_file(start: Callable[[], tuple[str, str]], file: Path, retry: RetryPolicy, display: Display) -> str:
    """Upload a file, at a new address if one expires; return the token that identifies it.

    Args:
        start: Announces the upload; returns its token and the address for its bytes.
        file: It must not change meanwhile.
        retry: How long temporary errors are retried.
        display: Shows what is being uploaded.

    Raises:
        UserError: The upload failed.
    """
    own = retry.fresh()
    while True:
        token, address = start()
        try:
            with display.status(f"uploading {file.name}, {amount(file.stat().st_size)}"):
                upload(address, file, own)
        except AddressExpired as error:
            try:
                own.wait(error)
            except Fault as last:
                raise UserError(f"the upload address that Kaggle gave has expired: {error}", NOT_SENT) from last
        except network_errors() as error:
            raise UserError(f"the upload failed: {short_reason(error)}", NOT_SENT) from error
        else:
            own.recovered()
            return token


def upload(address: str, file: Path, retry: RetryPolicy) -> None:
    """Send a file with PUT.

    After any error, also a status such as 401, an empty PUT asks the host what it has (Google's resumable uploads,
    "Check the status of a resumable upload"). Bytes that have arrived are not sent again.

    Args:
        address: The signed address for this file.
        file: It must not change meanwhile.
        retry: How long temporary errors are retried.

    Raises:
        AddressExpired: The address is no longer valid (404, 410).
        Exception: The last error of requests, if the time is used up or the host refuses twice. Its message may
            contain the address; `retry.short_reason` hides it.
    """
    own = retry.fresh()
    _Upload(address, file, file.stat().st_size, own).run()
    own.recovered()


class _Content(io.FileIO):
    """A file that reports how far it was read."""

    read_to: Callable[[int], None]

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_to(self.tell())
        return data


@dataclass
class _Upload:
    address: str
    file: Path
    size: int
    retry: RetryPolicy
    confirmed: int = 0  # bytes that the host has confirmed
    sent: int = 0  # bytes that were sent, whether they arrived or not
    refused: bool = False

    def run(self) -> None:
        """Send the missing bytes until all have arrived; after each error, ask which are missing."""
        start: int | None = 0
        while True:
            try:
                response = self._ask() if start is None else self._send(start)
                if response.status_code in DONE:
                    return
                start = self._next(response, asked=start is None)
            except AddressExpired:
                raise
            except network_errors() as error:
                self._wait(error)
                start = None

    def _send(self, start: int) -> Response:
        headers = {"Content-Range": f"bytes {start}-{self.size - 1}/{self.size}"} if start else {}
        with _Content(self.file) as content:
            content.seek(start)
            content.read_to = self._read_to
            return self._put(headers, content if self.size else b"")

    def _read_to(self, place: int) -> None:
        """Count bytes that are sent for the first time as progress: a slow connection is no error."""
        if place > self.sent:
            self.sent = place
            self.retry.progressed()

    def _ask(self) -> Response:
        return self._put({"Content-Range": f"bytes */{self.size}"}, b"")

    def _put(self, headers: dict[str, str], data: BinaryIO | bytes) -> Response:
        connect, read = self.retry.timeouts
        timeouts = (read if data else connect, read)  # urllib3 applies the connect timeout to stalled sending
        with plain_session() as session:  # a new one: connections are not reused after a fault
            response = session.put(self.address, data=data, headers=headers, timeout=timeouts, allow_redirects=False)
        if response.status_code in GONE:
            raise AddressExpired(f"HTTP {response.status_code} from {without_secrets(self.address)}")
        if response.status_code not in DONE and response.status_code != INCOMPLETE:
            raise http_error(response)
        return response

    def _next(self, response: Response, asked: bool) -> int:
        """Return the position from which the host needs more bytes.

        Raises:
            Fault: The host needs none but does not finish, or the bytes just sent have not arrived.
        """
        start = _received(response)
        if start > self.confirmed:
            self.confirmed, self.refused = start, False
            self.retry.progressed()
        elif not asked:
            raise Fault("the host received nothing")
        if start >= self.size:
            raise Fault("the host does not confirm the complete file")
        return start

    def _wait(self, error: Exception) -> None:
        """Wait after an error. One refusal is tolerated: the file may have arrived anyway."""
        if is_temporary(error) or self.refused or not status(error):
            self.retry.wait(error)
        else:
            self.refused = True
            self.retry.faults.append(short_reason(error))


def _received(response: Response) -> int:
    """Return how many bytes the host has, from ``Range: bytes=0-K``; without that header it has none."""
    text = response.headers.get("Range", "").strip()
    found = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", text, re.ASCII)
    if text and not found:
        raise Fault("invalid Range header")
    return int(found[1]) + 1 if found else 0
