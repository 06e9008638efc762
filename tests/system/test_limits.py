"""How much of the machine a container may use."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kagglekit.system import limits
from kagglekit.system.errors import UsageError
from kagglekit.system.limits import (
    PASSIVE,
    check_threads,
    cores,
    cpu_times,
    free_cores,
    free_now,
    named_threads,
    usable_memory,
    wait_passively,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="the counters are Linux's")


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


def stat_of(path: Path, *processors: tuple[int, int, int, int]) -> Path:
    """Write /proc/stat with the ticks (user, nice, idle, steal) of processors that this process may use, and others."""
    cpus = sorted(os.sched_getaffinity(0))
    lines = ["cpu  9 9 9 9 9 9 9 9 0 0", "cpu999 5 5 5 5 5 5 5 5 0 0", "intr 1 2 3"]
    lines += [
        f"cpu{cpus[n]} {user} {nice} 0 {idle} 0 0 0 {steal} 0 0"
        for n, (user, nice, idle, steal) in enumerate(processors)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@linux
def test_cores_are_free_where_neither_others_nor_the_host_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, second = iter([10.0, 12.0]), os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: next(now), process_time=lambda: 0.0))
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    before = cpu_times(stat_of(tmp_path / "stat", (0, 0, 0, 0)))
    after = cpu_times(stat_of(tmp_path / "stat", (second // 4, second // 4, second, second // 2)))  # in 2 s
    assert before
    assert after
    assert free_cores(before, after, 2) == 0.625  # idle, and work that steps aside
    assert free_cores(before, replace(after, own=0.5), 2) == 0.875  # and what this process used itself
    assert free_cores(before, replace(after, own=0.5), 0.5) == 0.5
    assert free_cores(before, replace(after, counted=before.counted), 2) is None  # some sandboxes count nothing
    assert free_cores(None, after) is None
    assert cpu_times(tmp_path / "none") is None


@linux
def test_a_process_of_low_priority_does_not_count_on_others_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = stat_of(tmp_path / "stat", (0, os.sysconf("SC_CLK_TCK"), 0, 0))
    for priority, idle in ((0, 1), (10, 0)):
        monkeypatch.setattr(os, "getpriority", lambda *_, own=priority: own)
        found = cpu_times(stat)
        assert found
        assert found.idle == idle


@linux
def test_the_free_cores_of_this_machine_are_known() -> None:
    free = free_now()
    assert free is None or -0.5 < free <= cores()


def test_threads_wait_asleep_unless_the_user_chose_or_torch_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    environment: dict[str, str] = {}
    wait_passively(environment)
    assert environment == PASSIVE
    chosen = {"OMP_WAIT_POLICY": "active"}
    wait_passively(chosen)
    assert chosen == {"OMP_WAIT_POLICY": "active"}
    monkeypatch.setitem(sys.modules, "torch", None)
    late: dict[str, str] = {}
    wait_passively(late)
    assert not late


def test_a_number_of_threads_is_the_option_or_else_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, number in (("", None), ("3", 3), ("2,1", 2), ("0", None), ("x", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert named_threads() == number
        assert named_threads(5) == 5
    for wrong in (0, -1, True, 1.5, "2", "all"):
        with pytest.raises(UsageError, match="expected auto, or a number from 1"):
            check_threads(wrong)  # type: ignore[arg-type]
    check_threads("auto")
    check_threads(4)
