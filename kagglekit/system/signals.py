"""Ctrl-C and SIGTERM: the first signal stops a run at the next safe point, the second one immediately.

Signals belong to the whole process, and so does the state of this module.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from kagglekit.system.display.notebook import kernel
from kagglekit.system.whole_imports import waits

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asked the run to stop.

    Attributes:
        exit_code: Exit code of the process: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}")
        self.exit_code = 128 + number


class OutputClosed(Stopped):
    """Nobody reads the output any more, as after ``kagglekit run ... | head``."""

    def __init__(self) -> None:
        KeyboardInterrupt.__init__(self, "interrupted: the output was closed")
        self.exit_code = 1


def stop_for_closed_output() -> NoReturn:
    """End as for Ctrl-C where work can be interrupted, so that it can be resumed; else exit without a word."""
    if _asked.stoppable:
        raise OutputClosed
    raise SystemExit(1)


@dataclass
class _Asked:
    stoppable: bool = False
    deferred: bool = False
    number: int = 0


_asked = _Asked()


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the block at the first signal; a second signal ends the process.

    Outside of the main thread, and for signals that the process ignores, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    _asked.stoppable, _asked.deferred, _asked.number = True, False, 0
    for number in handled:
        signal.signal(number, _ask)
    try:
        yield
    finally:
        _asked.stoppable = False
        for number in handled:
            signal.signal(number, before[number])


def _ask(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and waits(frame):
        return
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)  # the next one ends the process immediately
    if kernel():  # of a notebook: the next one ends the cell, and the kernel keeps its variables
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not _asked.deferred:
        raise Stopped(number)
    _asked.number = number


@contextmanager
def stoppable_again() -> Iterator[None]:
    """In a block that cleans up after `Stopped`, let one more signal raise it; the next one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if before[number] not in (signal.SIG_IGN, None):
            signal.signal(number, _ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def deferred_stop() -> Iterator[None]:
    """Raise `Stopped` in the block at Ctrl-C, and remember it for `stop_if_asked`.

    For loops that poll a server: Python drops exceptions raised in a finalizer. The finalizers of requests and urllib3,
    which close connections, met one Ctrl-C in 25 of those sent right after a response.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    _asked.number = 0
    if handled not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _remember)
    sys.unraisablehook = lambda dropped: None if isinstance(dropped.exc_value, Stopped) else hook(dropped)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if handled not in (signal.SIG_IGN, None):
            signal.signal(signal.SIGINT, handled)


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.number = number
    raise Stopped(number)


@contextmanager
def stop_only_when_asked() -> Iterator[None]:
    """In the block, only `stop_if_asked` raises `Stopped`."""
    _asked.deferred = True
    try:
        yield
    finally:
        _asked.deferred = False
    stop_if_asked()


@contextmanager
def stop_anywhere() -> Iterator[None]:
    """In this block, also inside of one of `stop_only_when_asked`, any point may raise `Stopped`."""
    before = _asked.deferred
    if before:
        stop_if_asked()
    _asked.deferred = False
    try:
        yield
    finally:
        _asked.deferred = before


def stop_if_asked(others: bool = False) -> None:
    """Raise `Stopped` if a signal has asked to stop, or has asked `others`, with which this process shares its work."""
    if _asked.number or others:
        number, _asked.number = _asked.number or signal.SIGTERM, 0
        raise Stopped(number)


def is_asked() -> bool:
    """Return whether a signal has asked to stop, and `stop_if_asked` has not been called since."""
    return bool(_asked.number)
