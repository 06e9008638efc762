"""Runs a piece of a test as somebody who must heed the modes of files: root, whom the tests may run as, need not."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")
_VERSION = 0x20080522  # of capget and capset: two sets of 32 bits each (linux/capability.h)
_OVERRIDES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def as_ordinary_user(work: Callable[[], T]) -> T:
    """Call `work`, in a thread without root's right to read and write everything where it has that right.

    Linux's capabilities are a thread's own, so that this one can give them up for good.
    """
    if sys.platform == "win32" or os.geteuid():
        return work()
    if sys.platform != "linux":
        pytest.skip("root reads and writes everything here")
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _give_up_overrides()
            answers.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _give_up_overrides() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    for call in (libc.capget, libc.capset):
        if call(header, sets):
            raise OSError(ctypes.get_errno(), "capabilities can't be given up here")
        sets[0] &= ~_OVERRIDES  # effective
        sets[1] &= ~_OVERRIDES  # permitted: os.access goes by these
