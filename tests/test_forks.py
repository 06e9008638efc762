"""What the tests take for a process is one: forks.py, and conftest.py's care for threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import forks
import pytest
import torch

CODE = """
import os, sys
print(os.getcwd(), os.environ["COLOUR"], "HOME" in os.environ, sys.argv, sys.path[0], sys.stdin.read(), os.isatty(1))
print("kaggle" in sys.modules, __name__)
print("an error", file=sys.stderr)
sys.exit(3)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no forks")


def surroundings(**variables: str) -> dict[str, str]:
    own = {name: value for name, value in {**os.environ, **forks.SET}.items() if name not in forks.HEEDED}
    return {**own, **variables}


@linux
def test_a_fork_sees_and_tells_what_a_new_process_does(tmp_path: Path) -> None:
    environment = {name: value for name, value in surroundings(COLOUR="blue").items() if name != "HOME"}
    command = [sys.executable, "-c", CODE, "one", "two"]
    new = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    fork = forks.run(command[1:], tmp_path, environment)
    assert (fork.returncode, fork.stdout, fork.stderr) == (new.returncode, new.stdout, new.stderr)
    assert new.returncode == 3


@linux
def test_a_module_is_found_where_python_would_find_it(tmp_path: Path) -> None:
    for folder in ("here", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"from_{folder}.py").write_text("print(__name__, __file__)\nif 1: raise ValueError('why')")
        done = forks.run(["-m", f"from_{folder}"], tmp_path / "here", surroundings(PYTHONPATH=str(tmp_path / "path")))
        assert (done.returncode, done.stdout) == (1, f"__main__ {tmp_path / folder}/from_{folder}.py\n")
        assert "Traceback" in done.stderr
        assert done.stderr.endswith("ValueError: why\n")


@linux
@pytest.mark.parametrize(
    ("number", "code", "says"), [(signal.SIGINT, 1, "KeyboardInterrupt"), (signal.SIGKILL, -9, "")]
)
def test_a_fork_hears_signals(tmp_path: Path, number: int, code: int, says: str) -> None:
    waiting = ["-c", "import time\nprint('ready', flush=True)\ntime.sleep(60)"]
    process = forks.start(waiting, tmp_path, surroundings())
    assert isinstance(process, forks.Process)
    assert process.stdout.readline() == "ready\n"
    assert process.poll() is None
    process.send_signal(number)
    out, errors = process.communicate()
    assert (process.returncode, out, says in errors) == (code, "", True)


def test_what_is_read_at_import_takes_a_new_process(tmp_path: Path) -> None:
    with forks.start(
        ["-c", "import torch; print(torch.get_num_threads())"], tmp_path, surroundings(OMP_NUM_THREADS="2")
    ) as process:
        assert isinstance(process, subprocess.Popen)
        assert process.communicate()[0] == "2\n"


def test_tests_compute_on_as_many_threads_as_the_environment_says() -> None:
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])
