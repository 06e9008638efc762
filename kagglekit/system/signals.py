"""Ctrl-C and SIGTERM: the first stops a run where nothing is lost, the second at once.

Signals belong to the whole process, and so does the little that is known of them here.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop.

    Attributes:
        exit_code: What the process exits with: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}")
        self.exit_code = 128 + number


@dataclass
class _Asked:
    patient: bool = False
    number: int = 0


_asked = _Asked()


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the block when the user asks to stop; asked twice, the process ends.

    Outside of the main thread, and for a signal that the process was told to ignore, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    _asked.patient, _asked.number = False, 0
    for number in heeded:
        signal.signal(number, _ask)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _ask(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)  # the system ends the process, whatever it is doing
    if not _asked.patient:
        raise Stopped(number)
    _asked.number = number


@contextmanager
def deferred_stop() -> Iterator[None]:
    """Raise `Stopped` in the block at Ctrl-C, and keep it for `stop_if_asked`.

    For loops that ask a server: Python drops what is raised in a finalizer, and those of requests and urllib3, which
    close connections, take long enough to meet one Ctrl-C in 25 of those that come right after an answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded, told = signal.getsignal(signal.SIGINT), sys.unraisablehook
    _asked.number = 0
    if heeded not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _remember)
    sys.unraisablehook = lambda dropped: None if isinstance(dropped.exc_value, Stopped) else told(dropped)
    try:
        yield
    finally:
        sys.unraisablehook = told
        if heeded not in (signal.SIG_IGN, None):
            signal.signal(signal.SIGINT, heeded)


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.number = number
    raise Stopped(number)


@contextmanager
def stop_only_when_asked() -> Iterator[None]:
    """In the block only `stop_if_asked` raises `Stopped`."""
    _asked.patient = True
    try:
        yield
    finally:
        _asked.patient = False
    stop_if_asked()


@contextmanager
def stop_anywhere() -> Iterator[None]:
    """In this block inside of a `patient` one, `Stopped` is raised anywhere again."""
    stop_if_asked()
    _asked.patient = False
    try:
        yield
    finally:
        _asked.patient = True


def stop_if_asked() -> None:
    """Raise `Stopped` if the user asked to stop."""
    if _asked.number:
        number, _asked.number = _asked.number, 0
        raise Stopped(number)
