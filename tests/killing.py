"""Kills real runs, at a chosen moment or before and after chosen writes, and resumes them: `python killing.py --help`.

Runs are forks of one process that has loaded torch and timm once, so that hundreds of them take minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kagglekit.checkpoint
from kagglekit.cli import cli

LOADED = "kagglekit.runner", "kagglekit_timm_network", "cv2", "sklearn.linear_model", "sklearn.model_selection", "rich"

WRITES = ("replace", "rename", "fsync", "unlink")
SETTINGS = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.*.size": 32,
    "tta": 1,
    "drop_rate": 0.3,
    "drop_path": 0.1,
    "ensemble": "average",
    "stage.2.ema": 0.9,
    "stage.3.keep": "best",
    "stage.3.cycle_len": 2,
    "stage.3.mixup": 0.4,
    "stage.3.cutmix": 1,
    "stage.4.ema": 0.9,
    "stage.4.mixup": 0.4,
    "stage.4.oversample": 1,
    "stage.4.cycles": 2,
    "stage.4.cycle_mult": 1,
}


class Countdown:
    """Counts the writes of this process and kills it at one of them."""

    def __init__(self, kill_at: int, after: bool, log: Path) -> None:
        self.kill_at, self.after, self.log, self.count = kill_at, after, log, 0

    def around(self, name: str, write: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object, **named: object) -> None:
            self.count += 1
            due = self.count == self.kill_at
            with self.log.open("a") as log:
                log.write(f"{self.count} {name}\n")
            if due and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                write(*arguments, **named)
            finally:  # a file may be gone already
                if due:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted


def command(place: Path, data: Path) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    given = ["--preset", "quick", "--precision", "fp32", "--device", "cpu", "--resume", "--save-every", "0"]
    return ["run", "dog-breed", "--data", str(data), "--out", str(place / "out"), *given, *settings]


def start(place: Path, data: Path, kill_at: int = 0, after: bool = False, share: float = math.inf) -> int:
    """Fork a run in `place` that may spend a share of its time on checkpoints; return its process id."""
    place.mkdir(exist_ok=True)
    process = os.fork()
    if process:
        return process
    out = os.open(place / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1), os.dup2(out, 2)
    os.environ["KAGGLEKIT_CACHE"] = str(place / "cache")
    kagglekit.checkpoint.SHARE = share
    countdown = Countdown(kill_at, after, place / "writes.txt")
    for name in WRITES:
        setattr(os, name, countdown.around(name, getattr(os, name)))
    code = 1
    try:
        cli.main(command(place, data))
    except SystemExit as done:
        code = int(done.code or 0)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    raise AssertionError


def end(process: int) -> int:
    """Wait for a run; return its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def outcome(place: Path) -> bytes:
    """Return the bytes of the last run in `place`; all that wrote down what they were asked must be finished and equal.

    There are two only where the first was killed behind its end.
    """
    runs = sorted(file.parent for file in place.glob("out/dog-breed/*/recipe.json"))
    found = {(run / "submission.csv").read_bytes() + (run / "snapshots/final.safetensors").read_bytes() for run in runs}
    assert {json.loads((run / "run.json").read_text())["status"] for run in runs} == {"finished"}
    assert not [*runs[-1].rglob("*.part"), *runs[-1].glob("checkpoint")]
    assert len(found) == 1
    return found.pop()


def undisturbed(place: Path, data: Path, share: float) -> tuple[bytes, list[str], float]:
    """Return a whole run's bytes, its writes, and its time, s."""
    began = time.monotonic()
    code = end(start(place, data, share=share))
    assert code == 0, (place / "said.txt").read_text()
    return outcome(place), (place / "writes.txt").read_text().splitlines(), time.monotonic() - began


def at_writes(place: Path, data: Path, writes: Iterator[tuple[int, bool]], expected: bytes) -> Iterator[dict]:
    """Kill a run before or after each of these writes, resume it, compare."""
    for number, after in writes:
        killed = end(start(place, data, number, after))
        where = (place / "writes.txt").read_text().splitlines()[-1]
        yield {"at": f"{'after' if after else 'before'} {where}", **resumed(place, data, killed, expected)}


def at_moments(place: Path, data: Path, seconds: Iterator[list[float]], expected: bytes) -> Iterator[dict]:
    """Kill a run after so many seconds, its resumption after so many, and so on; let the last one end, compare."""
    for moments in seconds:
        killed = 0
        for moment in moments:
            process = start(place, data)
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            killed = end(process)
        yield {"at": [round(moment, 2) for moment in moments], **resumed(place, data, killed, expected)}


def resumed(place: Path, data: Path, killed: int, expected: bytes) -> dict:
    code = end(start(place, data))
    said = (place / "said.txt").read_text()
    same = code == 0 and outcome(place) == expected
    shutil.rmtree(place)
    return {"killed": killed == -signal.SIGKILL, "same": same, "said": "" if same else said}


def main() -> None:
    options = argparse.ArgumentParser(
        description="Kill runs of dog-breed in DATA, resume them, print a line of JSON each."
    )
    options.add_argument("data", type=Path)
    options.add_argument("place", type=Path)
    options.add_argument(
        "--writes", type=int, default=0, help="how many kills before or after a write; -1: before and after each rename"
    )
    options.add_argument("--moments", type=int, default=0, help="how many runs killed twice at random moments")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    asked.place.mkdir(exist_ok=True)
    for name in LOADED:
        importlib.import_module(name)
    expected, _, _ = undisturbed(asked.place / "whole", asked.data, 0.0)  # no checkpoint within a stage
    saved, writes, seconds = undisturbed(asked.place / "saved", asked.data, math.inf)  # one after each step
    assert saved == expected
    print(json.dumps({"writes": len(writes), "seconds": round(seconds, 2)}), flush=True)
    draw = random.Random(asked.seed)
    renames = [number for number, line in enumerate(writes, 1) if line.endswith(("replace", "rename"))]
    places = [(number, after) for number in renames for after in (False, True)]
    if asked.writes >= 0:
        others = [(number, after) for number in range(1, len(writes) + 1) for after in (False, True)]
        places = draw.sample(others, asked.writes)
    moments = [[draw.uniform(0, seconds), draw.uniform(0, seconds / 2)] for _ in range(asked.moments)]
    for found in at_writes(asked.place / "killed", asked.data, iter(places), expected):
        print(json.dumps(found), flush=True)
    for found in at_moments(asked.place / "killed", asked.data, iter(moments), expected):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
