"""Refuse network access: predicting in a code competition must not need it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from kagglekit.system.errors import UserError


@contextmanager
def offline() -> Iterator[None]:
    """Refuse name lookups and connections to other machines in the block.

    Only access through Python's `socket` is refused, in all threads of the process.

    Raises:
        UserError: Code in the block tried to use the network.
    """
    plain = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

    def look_up(host: Any, *_: Any, **__: Any) -> NoReturn:
        raise _refused(host)

    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise _refused(address)
        return plain[1](self, address)

    def connect_ex(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise _refused(address)
        return plain[2](self, address)

    socket.getaddrinfo = look_up
    refusing: Any = socket.socket  # its methods are replaced, which its stubs forbid
    refusing.connect, refusing.connect_ex = connect, connect_ex
    try:
        yield
    finally:
        socket.getaddrinfo = plain[0]
        refusing.connect, refusing.connect_ex = plain[1:]


def _refused(address: Any) -> UserError:
    where = ":".join(str(part) for part in address[:2]) if isinstance(address, tuple) else address
    return UserError(
        f"network access refused ({where}): code competitions run offline",
        "the plugin must find everything it needs on this machine",
    )
