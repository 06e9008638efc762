"""A process that is killed after each of its calls to Kaggle once, when the call has been executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kagglekit.kaggle import service


class Killed(BaseException):
    """Nothing of ours catches it."""


def kill_after_each_call(patch: pytest.MonkeyPatch) -> set[str]:
    """Raise `Killed` after the first call of each name; return the names so far."""
    killed: set[str] = set()
    send = service.send

    def sent(api: Any, of: str, rpc: str, request: Any, redirects: bool = True) -> Any:
        response = send(api, of, rpc, request, redirects)
        if rpc not in killed:
            killed.add(rpc)
            raise Killed
        return response

    patch.setattr("kagglekit.kaggle.client.send", sent)
    return killed


def repeated(command: Callable[[], None]) -> None:
    """Run a command again after each kill, until it ends."""
    for _ in range(30):
        try:
            command()
        except Killed:
            continue
        return
    raise AssertionError("killed 30 times")
