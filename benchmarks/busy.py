"""Training on a machine that is busy with other work: fixed numbers of threads, and those that kagglekit chooses.

    python benchmarks/busy.py --json busy.json

Conditions: nothing else runs; one and two processes that each keep a core busy; a second training with torch's own
threads. Contenders take turns in each: one thread, and one for each core, which wait for one another asleep or, as
torch's do by default, spinning; and ``auto``. Parts, chosen by `--only`:

- ``steps``: a training step, after `choose_threads` for ``auto``;
- ``runs``: the command ``kagglekit run shapes``, from its start to its end;
- ``pair``: two of these commands side by side against one after the other;
- ``peers``: vs_fastai.py and vs_timm.py, each contender in its own process (only if named: it takes an hour).

What has finished is kept in the JSON file: repeated with the same options, the command continues with the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from timing import Report, median, options

from kagglekit.system.limits import PASSIVE, named_threads

HERE = Path(__file__).resolve().parent
CONDITIONS = ("nothing", "1 hog", "2 hogs", "a training")
PARTS = ("steps", "runs", "pair")
HOG = [sys.executable, "-c", "import os; own = os.getppid()\nwhile os.getppid() == own: pass"]  # ends with this script
SETTLE = 0.5  # s after the start of other work
DEMO = ["run", "shapes", "--precision", "fp32", "--seed", "1", "--limit", "500"]
PEERS = {"fastai tuned": "vs_fastai.py", "timm tuned": "vs_timm.py", "kagglekit": "vs_fastai.py"}


def main() -> None:
    """Measure what is left, and print the tables."""
    parser = options(__doc__, model="mobilenetv2_100", batch=32)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=(*PARTS, "peers"), help="parts to measure")
    parser.add_argument("--commands", type=int, default=1, help="how often each command is run")
    parser.add_argument("--seconds", type=float, default=2.0, help="of steps, each time")
    spins = "further values of GOMP_SPINCOUNT to measure steps with: threads spin so often before they sleep"
    parser.add_argument("--spins", nargs="*", default=("1000", "10000"), help=spins)
    parser.add_argument("--worker", action="store_true", help="take steps as standard input says (used by this script)")
    asked = parser.parse_args()
    if asked.worker:
        work(asked)
        return
    if named_threads():
        sys.exit("unset OMP_NUM_THREADS: with it, auto chooses nothing")
    asked.work.mkdir(parents=True, exist_ok=True)
    report = Report("busy", asked)
    kept = Kept(asked)
    for part in asked.only:
        {"steps": measure_steps, "runs": measure_runs, "pair": measure_pair, "peers": measure_peers}[part](asked, kept)
        report.rows += rows(part, kept.found)
    report.more["found"] = kept.found
    report.notes.append(
        "medians; of the best: as a multiple of the fastest fixed choice; steps in s, commands and pairs in s from "
        "start to end; the share of a pair is the time one after the other over the time side by side"
    )
    report.finish()


class Kept:
    """Measurements by ``part/condition/contender``, kept in the JSON file as they are made."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.file: Path | None = asked.json
        self.found: dict[str, list[float]] = {}
        if self.file and self.file.exists():
            self.found = json.loads(self.file.read_text())["found"]

    def lacks(self, key: str, runs: int) -> bool:
        """Return whether a contender has been measured less often than this."""
        return len(self.found.get(key, ())) < runs

    def add(self, key: str, value: float) -> None:
        """Keep a measurement."""
        print(f"{key}: {value:.3f}", file=sys.stderr, flush=True)
        self.found.setdefault(key, []).append(value)
        if self.file:
            self.file.write_text(json.dumps({"found": self.found}))


@contextmanager
def beside(condition: str, asked: argparse.Namespace) -> Iterator[None]:
    """Let other work run during the block."""
    if condition == "a training":
        with worker(asked, {}) as other:
            other.ask("for ever", answered=False)
            time.sleep(SETTLE)
            yield
        return
    hogs = [subprocess.Popen(HOG) for _ in range(int(condition[0]) if condition[0].isdigit() else 0)]
    try:
        time.sleep(SETTLE if hogs else 0)
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


class Worker:
    """A process that takes training steps when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        self.input: IO[str] = process.stdin
        self.output: IO[str] = process.stdout

    def ask(self, what: str, answered: bool = True) -> float:
        """Send a number of threads, ``auto`` or ``for ever``; return the time of a step, s."""
        self.input.write(f"{what}\n")
        self.input.flush()
        return float(self.output.readline()) if answered else 0.0


@contextmanager
def worker(asked: argparse.Namespace, environment: dict[str, str]) -> Iterator[Worker]:
    """Start a worker, which has loaded torch and taken a step; its environment decides how its threads wait."""
    command = [sys.executable, __file__, "--worker", "--model", asked.model, "--size", str(asked.size)]
    command += ["--batch", str(asked.batch), "--seconds", str(asked.seconds), "--work", str(asked.work)]
    own = {name: value for name, value in os.environ.items() if name not in PASSIVE}
    process = subprocess.Popen(
        command, env={**own, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        started = Worker(process)
        started.ask("1")
        yield started
    finally:
        process.kill()
        process.wait()


def work(asked: argparse.Namespace) -> None:
    """Be a worker: for each line of standard input, print the mean time of a step, s."""
    import torch
    from limit import prepared, synthetic

    from kagglekit.compute.device import Format
    from kagglekit.compute.threads import choose_threads, threads_for

    batch = synthetic(asked)
    step = prepared(batch, "train", Format("fp32", channels_last=True))
    most, starter = torch.get_num_threads(), os.getppid()
    for line in sys.stdin:
        words = line.strip()
        torch.set_num_threads(int(words) if words.isdecimal() else most)
        if words == "auto":
            choose_threads(threads_for("auto", batch.device, False), batch.model, asked.size, asked.batch, "fp32")
        step()
        began, steps = time.perf_counter(), 0
        while not steps or words == "for ever" or time.perf_counter() - began < asked.seconds:
            if os.getppid() != starter:  # it was killed
                return
            step()
            steps += 1
        print((time.perf_counter() - began) / steps, flush=True)


def conditions(asked: argparse.Namespace) -> tuple[str, ...]:
    """Return the conditions to measure in."""
    return CONDITIONS[:2] if asked.tiny else CONDITIONS


def n_cores() -> int:
    """Return the cores that processes may use."""
    return len(os.sched_getaffinity(0))


def measure_steps(asked: argparse.Namespace, kept: Kept) -> None:
    """Time steps of each contender in each condition."""
    many = str(n_cores())
    spun = {f"{many} threads, {count} spins": count for count in asked.spins}
    kinds = {"asleep": PASSIVE, "spinning": {}, **{name: {"GOMP_SPINCOUNT": count} for name, count in spun.items()}}
    contenders = {"1 thread": ("asleep", "1"), f"{many} threads, asleep": ("asleep", many)}
    contenders |= {f"{many} threads, spinning": ("spinning", many), "auto": ("asleep", "auto")}
    contenders |= {name: (name, many) for name in spun}
    if not any(kept.lacks(f"steps/{where}/{name}", asked.runs) for where in conditions(asked) for name in contenders):
        return
    with all_workers(asked, kinds) as workers:
        for condition in conditions(asked):
            with beside(condition, asked):
                for run in range(asked.runs):
                    for name, (kind, what) in contenders.items():
                        if kept.lacks(key := f"steps/{condition}/{name}", run + 1):
                            kept.add(key, workers[kind].ask(what))


@contextmanager
def all_workers(asked: argparse.Namespace, kinds: dict[str, dict[str, str]]) -> Iterator[dict[str, Worker]]:
    """Start a worker of each kind; those that are not asked wait for their input."""
    if not kinds:
        yield {}
        return
    (first, environment), *others = kinds.items()
    with worker(asked, environment) as one, all_workers(asked, dict(others)) as more:
        yield {first: one, **more}


def measure_runs(asked: argparse.Namespace, kept: Kept) -> None:
    """Time the command with each choice of threads in each condition."""
    contenders = {"1 thread": "1", f"{n_cores()} threads, asleep": str(n_cores()), "auto": "auto"}
    if not any(
        kept.lacks(f"runs/{where}/{name}", asked.commands) for where in conditions(asked) for name in contenders
    ):
        return
    command(asked, "1")  # draws and decodes the images
    for condition in conditions(asked):
        with beside(condition, asked):
            for run in range(asked.commands):
                for name, threads in contenders.items():
                    if kept.lacks(key := f"runs/{condition}/{name}", run + 1):
                        kept.add(key, command(asked, threads))


def command(asked: argparse.Namespace, threads: str) -> float:
    """Run the demo; return the time it took, s."""
    began = time.perf_counter()
    finish(started(asked, threads))
    return time.perf_counter() - began


def started(asked: argparse.Namespace, threads: str) -> subprocess.Popen[bytes]:
    """Start the demo in the folder of this benchmark, with a cache of its own."""
    short = ["--limit", "60", "--epochs", "1"] if asked.tiny else []
    words = [sys.executable, "-m", "kagglekit", *DEMO, *short, "--threads", threads]
    own = {name: value for name, value in os.environ.items() if name not in PASSIVE}
    own |= {"KAGGLEKIT_CACHE": str(asked.work.absolute() / "cache")}
    return subprocess.Popen(words, cwd=asked.work, env=own, stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command.

    Raises:
        RuntimeError: It failed.
    """
    if code := process.wait():
        raise RuntimeError(f"the demo ended with exit code {code}")


def measure_pair(asked: argparse.Namespace, kept: Kept) -> None:
    """Time two runs under ``auto`` one after the other, and two side by side."""

    def both() -> float:
        began = time.perf_counter()
        for process in [started(asked, "auto") for _ in range(2)]:
            finish(process)
        return time.perf_counter() - began

    ways: dict[str, Callable[[], float]] = {
        "one after the other": lambda: command(asked, "auto") + command(asked, "auto"),
        "side by side": both,
    }
    if any(kept.lacks(f"pair/nothing/{name}", asked.commands) for name in ways):
        command(asked, "auto")  # draws and decodes the images
    for run in range(asked.commands):
        for name, measured in ways.items():
            if kept.lacks(key := f"pair/nothing/{name}", run + 1):
                kept.add(key, measured())


def measure_peers(asked: argparse.Namespace, kept: Kept) -> None:
    """Time a whole fine-tune in fastai, in timm and in kagglekit in each condition."""
    shape = ["--model", asked.model, "--size", str(asked.size), "--batch", str(asked.batch)]
    shape += ["--weights", asked.weights] if asked.weights else []
    for condition in conditions(asked):
        with beside(condition, asked):
            for name, script in PEERS.items():
                if not kept.lacks(key := f"peers/{condition}/{name}", 1):
                    continue
                file = asked.work / "peer.json"
                words = [sys.executable, str(HERE / script), "--only", name, "--runs", "1", *shape]
                words += ["--work", str(asked.work), "--json", str(file), *(["--tiny"] if asked.tiny else [])]
                own = {variable: value for variable, value in os.environ.items() if variable not in PASSIVE}
                own |= PASSIVE if name == "kagglekit" else {}  # as its command sets them
                subprocess.run(words, env=own, check=True, stdout=subprocess.DEVNULL)
                kept.add(key, json.loads(file.read_text())["runs"][name][0]["wall"])


def rows(part: str, found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return the table's rows of a part, a condition each; ``auto`` also as a multiple of the best fixed choice."""
    made = []
    for condition in CONDITIONS:
        own = {
            key.split("/")[2]: median(values) for key, values in found.items() if key.startswith(f"{part}/{condition}/")
        }
        row: dict[str, Any] = {"part": part, "beside": condition, **own}
        fixed = [seconds for name, seconds in own.items() if name != "auto"]
        if "auto" in own and fixed:
            row["auto, of the best"] = own["auto"] / min(fixed)
        if part == "pair" and len(own) == 2:
            row["share"] = own["one after the other"] / own["side by side"]
        if own:
            made.append(row)
    return made


if __name__ == "__main__":
    main()
