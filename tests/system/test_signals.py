"""Tests of a Ctrl-C that Python drops, since a finalizer was running when it came."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import forks
import pytest

LOOP = """
import io
import time
from kagglekit.system.signals import deferred_stop, stop_if_asked

class Object:  # Python prints a traceback of what its finalizer raises
    def __del__(self):
        {finalize}

class Stream(io.RawIOBase):  # Python says nothing of what its finalizer raises
    def close(self):
        {finalize}

try:
    with deferred_stop():
        for _ in range(3):
            {kind}()
            stop_if_asked()
            time.sleep(60)
except KeyboardInterrupt as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")
@pytest.mark.parametrize("kind", ["Object", "Stream"])
def test_a_dropped_ctrl_c_is_remembered(kind: str, tmp_path: Path):
    code = LOOP.format(kind=kind, finalize='print("finalizing", flush=True); time.sleep(60)')
    with forks.start(["-c", code], tmp_path, os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "finalizing\n"
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (out, errors, process.returncode) == ("interrupted by Ctrl-C\n", "", 0)


def test_other_errors_of_finalizers_are_told_as_usual(tmp_path: Path):
    code = LOOP.format(kind="Object", finalize='raise ValueError("odd")').replace("time.sleep(60)", "pass")
    done = forks.run(["-c", code], tmp_path, os.environ)
    assert (done.stdout, done.returncode) == ("", 0)
    assert done.stderr.count("ValueError: odd") == 3
