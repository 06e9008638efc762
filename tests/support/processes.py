"""Processes that share a training, as torchrun starts them, but forks of one that has torch loaded."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import forks
from command_line import surroundings

PATIENCE = 120  # s


@dataclass(frozen=True)
class Ended:
    """How processes ended.

    Attributes:
        codes: Their exit codes, negative for signals.
        out: What each printed.
        errors: What each printed to standard error, without warnings of Python's.
    """

    codes: list[int]
    out: list[str]
    errors: list[str]


def together(
    arguments: Sequence[object],
    place: Path,
    world: int = 2,
    disturb: Callable[[Sequence[forks.Process]], None] = lambda _: None,
    environment: Mapping[str, str] = {},
) -> Ended:
    """Run a command of kagglekit as several processes; `disturb` may do something to them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "TMPDIR": str(place / "tmp"), **environment}
    (place / "tmp").mkdir(parents=True, exist_ok=True)
    started = []
    for rank in range(world):
        own = {**surroundings(place), **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(forks.start(["-m", "kagglekit", *arguments], place, own))
    disturb(started)
    said = [process.communicate(PATIENCE) for process in started]
    assert not list((place / "tmp").glob("kagglekit-*"))
    return Ended([process.returncode for process in started], [out for out, _ in said], [err for _, err in said])


def kill_after(epochs: int, out: Path, number: int = signal.SIGKILL, whom: Sequence[int] = (1,)):
    """Return what sends a signal to some of the processes once the log has so many epochs."""

    def disturb(processes: Sequence[forks.Process]) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            logs = list(out.glob("*/*/log.csv"))
            if logs and len(logs[0].read_text().splitlines()) > epochs:
                break
            time.sleep(0.01)
        for rank in whom:
            processes[rank].send_signal(number)

    return disturb
