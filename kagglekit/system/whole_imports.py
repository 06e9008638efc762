"""Ctrl-C waits for the end of an import, in sessions that live on after it.

Half of torch, numpy or OpenCV cannot be imported again: after an interrupt, only a new process could.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

R = TypeVar("R")
PAUSE = 0.05  # s until an interrupt that met an import is sent again
IMPORTING = "<frozen importlib._bootstrap>"  # file of the frames of an import statement


@dataclass
class _Waiting:
    """An interrupt that waits.

    Attributes:
        caller: Frame of the call whose imports are kept whole; None outside of one.
        held: Whether an interrupt waits.
        resent: Whether the next signal is that one.
    """

    caller: FrameType | None = None
    held: bool = False
    resent: bool = False


_waiting = _Waiting()


def with_whole_imports(call: Callable[[], R]) -> R:
    """Return what a function returns; an interrupt during one of its imports is raised at the end of that.

    A second interrupt does not wait. Nothing changes outside of the main thread, or where Ctrl-C has a handler.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return call()
    _waiting.caller, _waiting.held, _waiting.resent = sys._getframe(), False, False
    signal.signal(signal.SIGINT, _interrupted)
    try:
        result = call()
        if _waiting.held:
            raise KeyboardInterrupt
        return result
    finally:
        _waiting.caller, _waiting.held = None, False
        signal.signal(signal.SIGINT, signal.default_int_handler)


def waits(frame: FrameType | None) -> bool:
    """Return whether an interrupt has to wait; if so, it is sent again soon.

    Args:
        frame: What it has met.
    """
    second = _waiting.held and not _waiting.resent
    _waiting.resent = False
    _waiting.held = not second and _is_import(frame)
    if _waiting.held:
        threading.Timer(PAUSE, _resend).start()
    return _waiting.held


def _is_import(frame: FrameType | None) -> bool:
    """Return whether a frame belongs to an import that the call has begun; the call itself may be part of another."""
    while _waiting.caller and frame and frame is not _waiting.caller:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


def _resend() -> None:
    main = threading.main_thread().ident
    if not _waiting.held or main is None:
        return
    _waiting.resent = True
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(main, signal.SIGINT)  # this also wakes a thread that waits


def _interrupted(number: int, frame: FrameType | None) -> None:
    if not waits(frame):
        raise KeyboardInterrupt
