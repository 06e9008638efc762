"""How much of the machine a container may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kagglekit.system.limits import cores, usable_memory


def control_groups(tmp_path: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write control groups as Linux shows them; return their root and the file that names a process's own."""
    root = tmp_path / "cgroup"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    (tmp_path / "own").write_text(own)
    return root, tmp_path / "own"


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/job/a\n", {"job/cpu.max": "50000 100000", "job/a/cpu.max": "max 100000", "job/a/memory.max": "1000000"}),
        ("0::/not/seen/from/here\n", {"cpu.max": "50000 100000", "memory.max": "1000000"}),
        (
            "3:cpu,cpuacct:/job\n2:memory:/job\n1:cpuset:/\n",
            {
                "cpu/job/cpu.cfs_quota_us": "50000",
                "cpu/job/cpu.cfs_period_us": "100000",
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/job/memory.limit_in_bytes": "1000000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
        ),
    ],
    ids=["version 2", "version 2 in a container", "version 1"],
)
def test_the_limits_of_a_container_count(tmp_path: Path, own: str, files: dict[str, str]) -> None:
    places = control_groups(tmp_path, own, files)
    assert cores(*places) == 0.5
    assert usable_memory(*places) == 1_000_000


def test_without_limits_the_machine_counts(tmp_path: Path) -> None:
    places = control_groups(tmp_path, "0::/\n", {"memory.max": "max", "cpu.max": "max 100000"})
    assert 1 <= cores(*places) <= (os.cpu_count() or 1)
    assert usable_memory(*places) > 10**8
    assert cores(tmp_path / "none", tmp_path / "no") == cores(*places)
