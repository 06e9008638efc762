"""Jobs as tasks of a Ray cluster on this machine: `pytest -m ray`, with kagglekit[ray] installed."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from kagglekit.system.display.console import Display
from kagglekit.types.executor import Executor, Job, JobOptions, Need
from kagglekit.workflows.jobs import Jobs, do_all
from kagglekit_ray import kagglekit_executor

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]
SECONDS = 120


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    pytest.importorskip("ray", reason="kagglekit[ray] is not installed")
    found = kagglekit_executor("ray", 2, Need(cpus=1))
    assert found is not None
    yield found
    found.close()


def python(place: Path, name: str, code: str) -> Job:
    folder = place / name
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    code = f"import os; os.chdir({str(folder)!r})\n{code}"
    return Job(name, (sys.executable, "-c", code), folder, folder, folder / "run.log")


def jobs_on(executor: Executor) -> tuple[Jobs, io.StringIO]:
    said = io.StringIO()
    return Jobs(executor, JobOptions(), Display(Console(file=said, width=300, soft_wrap=True))), said


def test_jobs_end_with_their_codes_and_lost_ones_are_started_again(executor: Executor, tmp_path: Path) -> None:
    killed = (
        "import signal\nif os.path.exists('again'): print('done')\nelse: open('again', 'w'), os.kill(os.getpid(), 9)"
    )
    jobs, said = jobs_on(executor)
    failure = do_all(jobs, [python(tmp_path, "fold-1", killed), python(tmp_path, "fold-2", "raise SystemExit(1)")])
    assert failure is not None
    assert failure.what == "1 of 2 runs failed: fold-2"
    assert "fold-1: ended by signal 9; resuming it" in said.getvalue().replace(" on " + os.uname().nodename, "")
    assert (tmp_path / "fold-1" / "run.log").read_text().endswith("done\n")


def test_a_killed_worker_is_a_lost_job(executor: Executor, tmp_path: Path) -> None:
    kills = (
        "import time\nif not os.path.exists('again'):\n open('again', 'w').write(str(os.getppid()))\n time.sleep(60)"
    )
    jobs, said = jobs_on(executor)
    work = jobs.work(iter([python(tmp_path, "fold-1", kills)]))
    file, until = tmp_path / "fold-1" / "again", time.monotonic() + SECONDS
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < until
        next(work)
    os.kill(int(file.read_text()), signal.SIGKILL)
    assert [each.code for each in work if each] == [0]
    assert "its process or machine was lost" in said.getvalue()
