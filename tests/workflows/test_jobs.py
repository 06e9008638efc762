"""Jobs of commands that take milliseconds: lost ones are started again, failed ones are not, none is left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import kagglekit_ray
from kagglekit.runs.archive import pack_folder, unpack_folder
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.types.executor import Job, JobOptions, Need
from kagglekit.workflows.jobs import Jobs, Progress, do_all, opened, row_of
from kagglekit_processes import kagglekit_executor

SECOND_TIME = "if [ -e again ]; then echo done; else touch again; kill -9 $$; fi"
SAVES = """
import signal, sys, time
from kagglekit.system.job_process import end_with_starter
signal.signal(signal.SIGTERM, lambda *_: (open("saved", "w").close(), sys.exit(143)))
end_with_starter()
open("ready", "w").close()
time.sleep(60)
"""


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


def jobs_of(said: io.StringIO, workers: int = 2, **options: int) -> Jobs:
    display = Display(Console(file=said, width=300, soft_wrap=True, highlight=False))
    return Jobs(kagglekit_executor("local", workers, Need(cpus=1)), JobOptions(**options), display)


def shell(place: Path, name: str, script: str) -> Job:
    folder = place / name
    folder.mkdir(exist_ok=True)
    return Job(name, ("sh", "-c", f"cd {folder} && {script}"), folder, folder, folder / "run.log")


def until(there: Path) -> None:
    for _ in range(400):
        if there.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {there}")


def test_a_lost_job_is_started_again_and_its_attempts_are_in_one_log(tmp_path: Path, said: io.StringIO) -> None:
    jobs = jobs_of(said)
    assert do_all(jobs, [shell(tmp_path, "fold-1", SECOND_TIME)]) is None
    assert "fold-1: ended by signal 9; resuming it, attempt 2 of 3" in said.getvalue()
    log = (tmp_path / "fold-1" / "run.log").read_text()
    assert log.count("--- ") == 2
    assert log.endswith("done\n")


def test_a_job_that_is_lost_again_and_again_fails(tmp_path: Path, said: io.StringIO) -> None:
    failure = do_all(jobs_of(said, retries=1), [shell(tmp_path, "fold-1", "kill -9 $$")])
    assert failure is not None
    assert failure.what == "1 of 1 runs failed: fold-1"
    assert "it was started 2 times" in said.getvalue()


def test_a_mistake_is_not_tried_again_and_the_others_go_on(tmp_path: Path, said: io.StringIO) -> None:
    lines = "for i in $(seq 30); do echo line $i; done; echo error: no such image >&2; exit 1"
    source = [shell(tmp_path, "fold-1", lines), *(shell(tmp_path, f"fold-{n}", "true") for n in (2, 3, 4))]
    jobs = jobs_of(said, workers=1)
    failure = do_all(jobs, source)
    assert failure is not None
    assert failure.what == "1 of 4 runs failed: fold-1"
    assert [each.state for each in jobs.all.values()] == ["failed", "finished", "finished", "finished"]
    assert "error: no such image" in said.getvalue()
    assert "line 12\n" in said.getvalue()
    assert "line 11\n" not in said.getvalue()  # twenty lines


def test_maxfail_starts_no_more_jobs(tmp_path: Path, said: io.StringIO) -> None:
    source = [shell(tmp_path, f"fold-{n}", "false") for n in range(4)]
    failure = do_all(jobs_of(said, workers=1, maxfail=2), source)
    assert failure is not None
    assert failure.what == "2 of 4 runs failed: fold-0, fold-1; not started: fold-2, fold-3"


def test_a_stopped_job_saves_its_work(tmp_path: Path, said: io.StringIO) -> None:
    folder = tmp_path / "fold-1"
    folder.mkdir()
    job = Job(
        "fold-1", (sys.executable, "-c", f"import os; os.chdir({str(folder)!r})\n{SAVES}"), folder, folder, folder / "l"
    )
    executor = kagglekit_executor("local", 1, Need(cpus=1))

    def work() -> None:
        with opened(executor, JobOptions(), jobs_of(said).display) as jobs:
            for _ in jobs.work(iter([job])):
                if (folder / "ready").exists():
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (folder / "saved").exists()
    assert "stopping fold-1: they save their work" in said.getvalue()


def test_a_killed_driver_leaves_no_job_behind(tmp_path: Path) -> None:
    driver = f"""
import sys, time
from pathlib import Path
from kagglekit.system.job_process import start_process
start_process([sys.executable, "-c", {SAVES!r}], Path("log"))
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", driver], cwd=tmp_path)
    until(tmp_path / "ready")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until(tmp_path / "saved")


def test_a_folder_comes_back_whole_or_not_at_all(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there / "fold-1" / "checkpoint", there / "fold-2", here):
        folder.mkdir(parents=True)
    (there / "recipe.json").write_text("{}")
    for file in ("fold-1/run.json", "fold-1/checkpoint/lock", "fold-2/run.json", "fold-1/.a.1.part"):
        (there / file).write_text(json.dumps(file))
    packed, digest = pack_folder(there, there / "fold-1")
    with pytest.raises(UserError, match="were damaged on their way"):
        unpack_folder(packed[:-1], digest, here)
    assert list(here.iterdir()) == []
    unpack_folder(packed, digest, here)
    assert sorted(str(file.relative_to(here)) for file in here.rglob("*.json")) == ["fold-1/run.json", "recipe.json"]
    alone = tmp_path / "alone"
    unpack_folder(*pack_folder(there, there / "fold-1", alone=True), alone)
    assert [str(file.relative_to(alone)) for file in alone.rglob("*") if file.is_file()] == ["fold-1/run.json"]


def test_without_a_shared_disk_the_folder_comes_back(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    job = Job("run", (sys.executable, "-c", "print('made')"), tmp_path, tmp_path, tmp_path / "run.log")
    code, _, returned = kagglekit_ray._do(job, "another machine's", pack_folder(tmp_path, tmp_path), 1)
    assert code == 0
    assert not job.log.exists()
    assert returned is not None
    unpack_folder(*returned, tmp_path)
    assert job.log.read_text() == "made\n"
    killed = replace(job, argv=(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    assert kagglekit_ray._do(killed, "", None, 1)[0] == -signal.SIGKILL
    assert kagglekit_ray._moved(str(tmp_path), tmp_path, Path("/here")) == "/here"


def test_the_line_of_a_training_has_the_title_of_its_metric(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_log([{"stage": "all", "epoch": 1, "step": 9, "valid_loss": 0.7, "valid_balanced_accuracy": 0.5}])
    Record.of(run.info_file).update(metric="balanced_accuracy", status="running")
    row = row_of(Progress(Job("fold-1", (), tmp_path, tmp_path, tmp_path / "run.log"), "running"))
    assert "mean per class accuracy 0.5000" in row
