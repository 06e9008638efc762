"""A command's process: when it began, and its quick end, which loses nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kagglekit.system.process import process_began

LEAVE = """
import atexit, sys, threading, time
from pathlib import Path
from kagglekit.system.process import leave

class Slow:
    def __del__(self):
        print("taken apart")

kept = Slow()
kept.itself = kept
log = open("log.txt", "w")  # which nobody closes
log.write("logged")
atexit.register(lambda: print("handler"))
threading.Thread(target=lambda: (time.sleep(0.2), Path("thread.txt").write_text("done"))).start()
sys.stdout.write("printed ")
leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 130])
def test_a_quick_end_loses_nothing_but_the_end_of_objects(tmp_path: Path, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVE, str(code)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "printed handler\n", "")
    assert (tmp_path / "log.txt").read_text() == "logged"
    assert (tmp_path / "thread.txt").read_text() == "done"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
def test_a_quick_end_fails_if_what_was_printed_cannot_be_written() -> None:
    code = "from kagglekit.system.process import leave\nprint('lost')\nleave(0)"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert subprocess.run([sys.executable, "-c", code], stdout=full, timeout=120).returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process began")
def test_a_process_began_before_it_imported_anything() -> None:
    code = (
        "import time; time.sleep(0.5); first = time.perf_counter()\n"
        "from kagglekit.system.process import process_began\n"
        "print(first - process_began())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert 0.48 < float(done.stdout) < 60


def test_a_process_began_in_the_past() -> None:
    assert process_began() < time.perf_counter()
