"""Folds on a Ray cluster of two nodes on this machine, whatever is killed: `pytest -m ray`, with kagglekit[ray]."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import COMMAND, surroundings
from stopping import only, outcome

from kagglekit import Run

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
PATIENCE = 240  # s
FOLDS = 5
TINY = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.*.size": 32,
    "stage.all-2.cycle_len": 30,  # some seconds, in which it is found and killed
    "tta": 1,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes with a core each; what drives jobs is connected to the first one."""
    pytest.importorskip("ray", reason="kagglekit[ray] is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


@dataclass
class Driver:
    """The command of a person, as a process.

    Attributes:
        process: It.
        file: What it prints.
    """

    process: subprocess.Popen[bytes]
    file: Path

    @property
    def said(self) -> str:
        return self.file.read_text()

    def says(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.said

    def ends(self) -> int:
        return self.process.wait(PATIENCE)


def begin(
    data: Path,
    place: Path,
    *more: object,
    command: Sequence[str] = ("run",),
    folds: int = FOLDS,
    but: Sequence[str] = (),
    **environment: str,
) -> Driver:
    settings = [part for key, value in TINY.items() if key not in but for part in ("--set", f"{key}={value}")]
    fixed = ["--preset", "quick", "--stages", "3", "--device", "cpu", "--threads", "1"]
    fixed += ["--precision", "fp32"] if command[0] == "run" else []
    fixed += ["--folds", folds] if folds else []
    words = [*command, "dog-breed", "--data", data, "--out", place / "out", *fixed, *settings, *more]
    file = place / f"said-{len(list(place.glob('said-*')))}.txt"
    with file.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            cwd=place,
            env={**surroundings(place), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Driver(process, file)


def until(found: Callable[[], Any], driver: Driver) -> Any:
    """Return the first true value of a function that is called again and again while the driver runs."""
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < end, driver.said
        assert driver.process.poll() is None, driver.said
        time.sleep(0.02)
    return value


def jobs(run: Run) -> dict[str, int]:
    """Return the numbers of the processes that train parts of a run, by part."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            words = file.read_bytes().decode(errors="replace").split("\0")
            if str(run.folder) in words and "--part" in words and "resume" in words[:4]:
                found[words[words.index("--part") + 1]] = int(file.parent.name)
    return found


def ancestors(process: int) -> Iterator[int]:
    """Yield the process that started a process, the one that started that, and so on."""
    while process > 1:
        with suppress(OSError):
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            yield process
            continue
        return


def attempt(run: Run, part: str) -> str:
    """Return what a part's last process has printed."""
    file = run.fold(int(part[-1])).output_file
    return file.read_text().rpartition("--- 20")[2] if file.exists() else ""


def training(run: Run, below: int = 0) -> tuple[str, int] | None:
    """Return a part whose process has trained an epoch, and that; of one that a process has started, if named."""
    for part, process in jobs(run).items():
        trains = " epoch " in attempt(run, part) and run.fold(int(part[-1])).info().status == "running"
        if trains and (not below or below in ancestors(process)):
            return part, process
    return None


def worker(process: int) -> int:
    """Return the worker of Ray that a job's process belongs to."""
    return next(each for each in ancestors(process) if b"ray::" in Path(f"/proc/{each}/cmdline").read_bytes())


def finished(run: Run) -> list[int]:
    return [number for number in range(1, FOLDS + 1) if run.fold(number).info().status == "finished"]


def test_five_folds_lose_nothing_whatever_is_killed(data: Path, tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "serial").mkdir()
    serial = begin(data, tmp_path / "serial")
    assert serial.ends() == 0, serial.said

    on_ray = ("--on", "ray", "-n", 2)
    driver = begin(data, tmp_path, *on_ray, RAY_ADDRESS=cluster.address)
    until(lambda: list((tmp_path / "out").glob("*/*/recipe.json")), driver)
    run = only(tmp_path / "out")

    part, process = until(lambda: training(run), driver)
    os.kill(worker(process), signal.SIGKILL)
    until(driver.says(f"{run.name}/{part}: its process or machine was lost; resuming it, attempt 2 of 3"), driver)

    (second,) = cluster.worker_nodes
    raylet = second.all_processes["raylet"][0].process.pid
    other, process = until(lambda: training(run, below=raylet), driver)
    for each in (raylet, worker(process), process):  # all of a machine; without its raylet, a job would end well
        os.kill(each, signal.SIGKILL)
    lost = f"{run.name}/{other}: its process or machine was lost"
    until(lambda: driver.said.count(lost) == 1 + (other == part), driver)

    last, _ = until(lambda: len(finished(run)) >= 2 and training(run), driver)
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.ends()
    end = time.monotonic() + PATIENCE
    while jobs(run):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "interrupted by SIGTERM" in attempt(run, last)  # it has saved its work
    kept = {number: run.fold(number).info_file.read_bytes() for number in finished(run)}
    assert len(kept) < FOLDS

    again = begin(data, tmp_path, *on_ray, RAY_ADDRESS=cluster.address)
    assert again.ends() == 0, again.said
    assert only(tmp_path / "out").folder == run.folder  # the same command, the same folder
    assert {number: run.fold(number).info_file.read_bytes() for number in kept} == kept
    logs = [run.fold(number).output_file.read_text() for number in range(1, FOLDS + 1)]
    assert sum("resuming from the last checkpoint" in log for log in logs) >= 2
    assert outcome(run) == outcome(only(tmp_path / "serial" / "out"))
    assert not jobs(run)


def test_networks_of_a_zoo_are_tasks(data: Path, tmp_path: Path, cluster: Cluster) -> None:
    zoo = ("--set", 'zoo=["test_resnet.r160_in1k", "test_vit.r160_in1k"]', "--on", "ray", "-n", 2)
    driver = begin(data, tmp_path, *zoo, but=("arch",), folds=0, RAY_ADDRESS=cluster.address)
    assert driver.ends() == 0, driver.said
    run = only(tmp_path / "out")
    assert run.submission.exists()
    assert [run.blended(name).info().status for name in run.info().blend_of] == ["finished", "finished"]


def test_trials_of_a_search_are_tasks_and_standard_output_is_for_json(
    data: Path, tmp_path: Path, cluster: Cluster
) -> None:
    tries = ("--try", "stage.all-2.lr=1e-5..1e-2:log", "--trials", 2, "--json", "--on", "ray", "-n", 2)
    driver = begin(data, tmp_path, *tries, command=("sweep", "run"), folds=0, RAY_ADDRESS=cluster.address)
    assert driver.ends() == 0, driver.said
    found = json.loads(driver.said.splitlines()[-1])
    assert found["finished"]
    assert {trial["state"] for trial in found["trials"].values()} == {"finished"}
    assert {trial["state"] for trial in found["fresh"].values()} == {"finished"}


def test_a_command_that_is_asked_to_end_lets_its_tasks_save(data: Path, tmp_path: Path, cluster: Cluster) -> None:
    driver = begin(data, tmp_path, "--on", "ray", "-n", 1, folds=2, RAY_ADDRESS=cluster.address)
    until(lambda: list((tmp_path / "out").glob("*/*/recipe.json")), driver)
    run = only(tmp_path / "out")
    part, _ = until(lambda: training(run), driver)
    driver.process.send_signal(signal.SIGTERM)  # for which Ray has a handler of its own
    assert driver.ends() == 143, driver.said
    assert f"stopping {run.name}/{part}: they save their work" in driver.said
    assert not jobs(run)
    assert "interrupted by SIGTERM" in attempt(run, part)
    assert run.info().status == "interrupted"
