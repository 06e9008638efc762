"""Kills real runs and resumes them: python tests/support/killing.py /tmp/kills single:renames single:moments=50

A kill is asked for as KIND:WHAT. KIND is `single`, a run of four stages, or `folds`, one of two folds. WHAT is

- `renames`: before and after each rename that the run makes
- `writes=N`: before or after N writes (renames, flushes, removals), drawn at random
- `moments=N`: N times at a random moment, and the resumption at a random moment again
- `at=REGEX`: before the last write of a file whose path fits

Each run must end with the bytes of an undisturbed one. A line of JSON is printed for each, one of totals at the end,
and progress on stderr. With `--part 1/2` and `--part 2/2` two processes (in other places) share the kills.

Runs are forks of one process that has loaded torch and timm once, and computed nothing, so that hundreds take minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import four_stages
import layouts

import kagglekit.runs.checkpoint_file
from kagglekit.cli import cli

LOADED = (
    "kagglekit.workflows.single",
    "kagglekit_timm.network",
    "cv2",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "rich",
)

WRITES = ("replace", "rename", "fsync", "unlink")
TIMES = re.compile(r"seconds|images_per_s|waited_s")
KINDS = {"single": [], "folds": ["--folds", "2", "--stages", "4"]}
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


@dataclass(frozen=True)
class Kill:
    """When a run is killed: at a write, from 1, or after so many seconds, its resumptions after so many."""

    kind: str
    write: int = 0
    after: bool = False
    moments: tuple[float, ...] = ()


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: what it left, its writes (name and path), its time, s."""

    left: list[bytes]
    writes: list[str]
    seconds: float


class Countdown:
    """Counts the writes of this process and kills it at one of them."""

    def __init__(self, kill: Kill, log: Path) -> None:
        self.kill, self.log, self.count = kill, log, 0

    def around(self, name: str, write: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object, **named: object) -> None:
            self.count += 1
            due = self.count == self.kill.write
            with self.log.open("a") as log:
                log.write(f"{self.count} {name} {str(arguments[-1]).removeprefix(str(self.log.parent))}\n")
            if due and not self.kill.after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                write(*arguments, **named)
            finally:  # a file may be gone already
                if due:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted


def command(place: Path, data: Path, kind: str) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    given = ["--preset", "quick", "--precision", "fp32", "--device", "cpu", "--resume", "--save-every", "0"]
    return ["run", "dog-breed", "--data", str(data), "--out", str(place / "out"), *given, *settings, *KINDS[kind]]


def start(place: Path, data: Path, kill: Kill, share: float = math.inf) -> int:
    """Fork a run in `place` that may spend a share of its time on checkpoints; return its process id."""
    place.mkdir(exist_ok=True)
    process = os.fork()
    if process:
        return process
    out = os.open(place / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1), os.dup2(out, 2)
    os.environ["KAGGLEKIT_CACHE"] = str(place / "cache")
    kagglekit.runs.checkpoint_file.SHARE = share
    countdown = Countdown(kill, place / "writes.txt")
    for name in WRITES:
        setattr(os, name, countdown.around(name, getattr(os, name)))
    code = 1
    try:
        cli.main(command(place, data, kill.kind))
    except SystemExit as done:
        code = int(done.code or 0)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    raise AssertionError


def end(process: int) -> int:
    """Wait for a run; return its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def outcome(place: Path) -> list[bytes]:
    """Return what the last run in `place` left; all that wrote down what they were asked must be finished and equal.

    There are two only where the first was killed behind its end.
    """
    runs = sorted(file.parent for file in place.glob("out/dog-breed/*/recipe.json"))
    assert {json.loads((run / "run.json").read_text())["status"] for run in runs} == {"finished"}
    assert not [*runs[-1].rglob("*.part"), *runs[-1].rglob("checkpoint")]
    first, *others = (
        [*left(run), *(part for fold in sorted(run.glob("fold-*")) for part in left(fold))] for run in runs
    )
    assert all(other == first for other in others)
    return first


def left(run: Path) -> list[bytes]:
    """Return submission, weights, steps, and the log but for its times; a run of folds itself has only the first."""
    files = [run / "submission.csv", run / "snapshots/final.safetensors", run / "steps.csv"]
    return [*(file.read_bytes() for file in files if file.exists()), timeless(run / "log.csv")]


def timeless(log: Path) -> bytes:
    """Return a log without the columns that hold times."""
    rows = [line.split(",") for line in log.read_text().splitlines()] if log.exists() else [[]]
    kept = [number for number, name in enumerate(rows[0]) if not TIMES.fullmatch(name)]
    return "\n".join(",".join(row[number] for number in kept) for row in rows).encode()


def undisturbed(place: Path, data: Path, kind: str) -> Whole:
    """Make a whole run without a checkpoint within a stage, and one with one after each step: they must be equal."""
    for name, share in (("whole", 0.0), ("saved", math.inf)):
        began = time.monotonic()
        code = end(start(place / f"{kind}-{name}", data, Kill(kind), share))
        assert code == 0, (place / f"{kind}-{name}" / "said.txt").read_text()
        seconds = time.monotonic() - began
    found = outcome(place / f"{kind}-saved")
    assert found == outcome(place / f"{kind}-whole")
    return Whole(found, (place / f"{kind}-saved" / "writes.txt").read_text().splitlines(), seconds)


def kills_of(kind: str, what: str, whole: Whole, draw: random.Random) -> list[Kill]:
    """Choose the moments that were asked for."""
    how, _, value = what.partition("=")
    numbers = range(1, len(whole.writes) + 1)
    if how == "renames":
        numbers = [n for n, line in enumerate(whole.writes, 1) if line.split()[1] in ("replace", "rename")]
    if how in ("renames", "writes"):
        places = [Kill(kind, number, after) for number in numbers for after in (False, True)]
        return places if how == "renames" else draw.sample(places, int(value))
    if how == "moments":
        s = whole.seconds
        return [Kill(kind, moments=(draw.uniform(0, s), draw.uniform(0, s / 2))) for _ in range(int(value))]
    fitting = [number for number, line in enumerate(whole.writes, 1) if re.search(value, line)]
    assert how == "at", f"{what} is unknown"
    assert fitting, f"no write fits {value}"
    return [Kill(kind, fitting[-1])]


def tried(place: Path, data: Path, kill: Kill, whole: Whole) -> dict:
    """Kill a run, resume it until it ends, compare."""
    killed, at = 0, ""
    if kill.write:
        killed = end(start(place, data, kill))
        at = f"{'after' if kill.after else 'before'} {(place / 'writes.txt').read_text().splitlines()[-1]}"
    for moment in kill.moments:
        process = start(place, data, Kill(kill.kind))
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        killed, at = end(process), f"{at} {moment:.2f} s".strip()
    code = end(start(place, data, Kill(kill.kind)))
    same = code == 0 and outcome(place) == whole.left
    said = "" if same else (place / "said.txt").read_text()
    shutil.rmtree(place)
    return {"kind": kill.kind, "at": at, "killed": killed == -signal.SIGKILL, "same": same, "said": said}


def all_tried(place: Path, data: Path, kills: list[Kill], wholes: dict[str, Whole]) -> Iterator[dict]:
    """Try all, and say on stderr how far it is."""
    began = time.monotonic()
    for number, kill in enumerate(kills, 1):
        found = tried(place / "killed", data, kill, wholes[kill.kind])
        rest = (time.monotonic() - began) / number * (len(kills) - number)
        verdict = "the same" if found["same"] else "NOT THE SAME"
        print(
            f"{number} of {len(kills)}: {kill.kind}, {found['at']}: {verdict}; {rest / 60:.0f} min left",
            file=sys.stderr,
        )
        yield found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("place", type=Path, help="a folder, which must not exist")
    options.add_argument("kills", nargs="+", metavar="KIND:WHAT")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--part", default="1/1", metavar="I/N", help="of the kills each Nth, from the Ith on")
    asked = options.parse_args()
    asked.place.mkdir()
    layouts.write_dog_breed(asked.place / "data", per_class=6, test=6)
    for name in LOADED:
        importlib.import_module(name)
    four_stages.use()
    wanted = [tuple(each.split(":", 1)) for each in asked.kills]
    wholes = {kind: undisturbed(asked.place, asked.place / "data", kind) for kind in KINDS if kind in dict(wanted)}
    draw = random.Random(asked.seed)
    kills = [kill for kind, what in wanted for kill in kills_of(kind, what, wholes[kind], draw)]
    part, parts = map(int, asked.part.split("/"))
    counts: dict[str, int] = {"runs": 0, "killed": 0, "same": 0}
    began = time.monotonic()
    for found in all_tried(asked.place, asked.place / "data", kills[part - 1 :: parts], wholes):
        print(json.dumps(found), flush=True)
        counts["runs"] += 1
        for key in ("killed", "same"):
            counts[key] += found[key]
    print(
        json.dumps({**counts, "seconds": round(time.monotonic() - began), "writes": len(wholes[wanted[0][0]].writes)})
    )


if __name__ == "__main__":
    main()
