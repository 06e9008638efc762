"""A reader that leaves early, as ``head`` does, and output that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import kagglekit, surroundings
from few_shapes import draw_few

from kagglekit.runs.lookup import find_run

TINY = (
    *("--arch", "test_resnet", "--set", "pretrained=false", "--size", "32", "--precision", "fp32", "--limit", "40"),
    *("--preset", "quick", "--device", "cpu", "--stages", "4", "--epochs", "2", "--set", "tta=0"),
)


def start(home: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kagglekit", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=home, env=surroundings(home), stdout=pipe, stderr=pipe)


def read_and_leave(process: subprocess.Popen[bytes], lines: int) -> str:
    """Read some lines, close the pipe, and return what the process writes to standard error until it ends."""
    assert process.stdout
    assert process.stderr
    for _ in range(lines):
        assert process.stdout.readline()
    process.stdout.close()
    with process:
        return process.stderr.read().decode()


def test_a_run_whose_reader_leaves_is_interrupted_with_a_word_and_can_be_resumed(tmp_path: Path) -> None:
    draw_few(tmp_path / "data" / "shapes")
    process = start(tmp_path, "run", "shapes", *TINY)
    errors = read_and_leave(process, 3)
    run = find_run("latest", tmp_path / "submissions")
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "interrupted: the output was closed"
    assert f"hint: to resume: kagglekit resume submissions/shapes/{run.name}" in errors
    assert run.info().status == "interrupted"
    resumed = kagglekit("resume", "latest", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.parametrize("arguments", [("plugins",), ("recipe", "shapes"), ("--help",)])
def test_a_listing_whose_reader_leaves_ends_without_a_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    process = start(tmp_path, *arguments)
    errors = read_and_leave(process, 0)
    assert process.returncode in (0, 1)
    assert not errors.strip()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
@pytest.mark.parametrize(
    "arguments",
    ["plugins", "history --json", "--help", "--version"],
)
def test_output_to_a_full_disk_is_one_message(tmp_path: Path, arguments: str) -> None:
    command = [sys.executable, "-m", "kagglekit", *arguments.split()]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            command, cwd=tmp_path, env=surroundings(tmp_path), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output: No space left on device\nhint: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.skipif(os.name == "nt", reason="there are no such descriptors")
def test_a_closed_standard_output_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m kagglekit plugins >&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=surroundings(tmp_path), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
