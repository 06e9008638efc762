"""What all benchmarks share: clocks, contenders in turn, the machine, a table and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {  # that most benchmarks share
    "device": {"default": "cpu", "help": "cpu, cuda, cuda:1"},
    "model": {"default": "resnet18", "help": "a timm model"},
    "weights": {"default": "", "help": "a file with its weights; else random ones, or those of network.py"},
    "size": {"type": int, "default": 128, "help": "image side, px"},
    "batch": {"type": int, "default": 64, "help": "images a step"},
    "runs": {"type": int, "default": 3, "help": "of each contender, in turn"},
    "work": {"type": Path, "default": Path("bench-work"), "help": "folder for pictures and caches"},
    "json": {"type": Path, "help": "write the result here, too"},
}
PACKAGES = ("kagglekit", "torch", "torchvision", "timm", "fastai", "opencv-python-headless", "pillow", "numpy")


@dataclass
class Taken:
    """The cost of some work: wall seconds, CPU seconds with child processes, and its return value."""

    wall: float = 0.0
    cpu: float = 0.0
    answer: Any = None


def options(description: str | None, without: Sequence[str] = (), **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser of the shared options, except for those in `without`; `defaults` replace theirs."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    for name, how in OPTIONS.items():
        if name not in without:
            parser.add_argument(f"--{name}", **how)
    parser.add_argument("--tiny", action="store_true", help="a few images only, to see whether the script works")
    parser.set_defaults(**defaults)
    return parser


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished children, s."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def clock() -> Iterator[Taken]:
    """Time a block."""
    taken, wall, cpu = Taken(), time.perf_counter(), cpu_seconds()
    try:
        yield taken
    finally:
        taken.wall, taken.cpu = time.perf_counter() - wall, cpu_seconds() - cpu


def interleaved(contenders: Mapping[str, Callable[[int], Any]], runs: int) -> dict[str, list[Taken]]:
    """Time each contender `runs` times, in turn: A B A B. Each gets the number of the run, from 0."""
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    for run in range(runs):
        for name, work in contenders.items():
            with clock() as one:
                answer = work(run)
            one.answer = answer
            taken[name].append(one)
            print(f"run {run + 1}/{runs}  {name}: {one.wall:.2f} s", file=sys.stderr, flush=True)
    return taken


def elsewhere(*words: str, **surroundings: str) -> Any:
    """Run this script with more options in its own process; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, *sys.argv, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **surroundings},
    )
    return json.loads(done.stdout.splitlines()[-1])


def median(numbers: Sequence[float]) -> float:
    """Return the median."""
    return float(statistics.median(numbers))


def median_of(taken: Sequence[Taken], what: str = "wall") -> float:
    """Return the median of the runs' ``wall``, ``cpu`` or ``answer``."""
    return median([getattr(one, what) for one in taken])


def medians(answers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each entry."""
    return {key: median([answer[key] for answer in answers]) for key in answers[0]}


def spread(numbers: Sequence[float]) -> str:
    """Format the minimum and the maximum."""
    return f"{_cell(float(min(numbers)))} to {_cell(float(max(numbers)))}"


def machine(device: str) -> dict[str, Any]:
    """Describe where this was measured."""
    import torch

    from kagglekit.compute.device import device_title
    from kagglekit.compute.probes import cpu_name

    return {
        "device": device_title(torch.device(device)),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": os.getloadavg()[0],
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
    }


def commit() -> str:
    """Return the commit of the measured kagglekit, with "+" if tracked files differ from it.

    Empty if the package is not in a git checkout.
    """
    import kagglekit

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(kagglekit.__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # an environment inside another checkout is not part of it
        return git("rev-parse", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@dataclass
class Report:
    """The result of a benchmark: rows for people, everything for machines.

    Attributes:
        name: The script's.
        asked: Its options.
        rows: A mapping of column to cell a row.
        notes: Sentences under the table.
        more: Everything else for the JSON file.
    """

    name: str
    asked: argparse.Namespace
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def finish(self) -> None:
        """Print the table and write the JSON file."""
        about = machine(self.asked.device)
        for line in (*markdown(self.rows), "", *self.notes, _words(about, self.asked)):
            print(line)
        if self.asked.json:
            self.asked.json.parent.mkdir(parents=True, exist_ok=True)
            whole = {"benchmark": self.name, "command": sys.argv, "options": vars(self.asked), "machine": about}
            whole |= {"rows": self.rows, "notes": self.notes, **self.more}
            self.asked.json.write_text(json.dumps(whole, indent=1, default=str) + "\n")


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lay out rows as the lines of a markdown table; the columns are those of all rows."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *lines)]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def _words(about: Mapping[str, Any], asked: argparse.Namespace) -> str:
    commit = about["commit"][:10] + "+" * about["commit"].endswith("+")
    numbers = {**about["versions"], "kagglekit": f"{about['versions']['kagglekit']} (commit {commit or 'unknown'})"}
    versions = ", ".join(f"{name} {number}" for name, number in numbers.items())
    where = (
        f"{about['device']}; {about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB, load {about['load']:.1f}"
    )
    return f"{where}; Python {about['python']}, {versions}; runs: {asked.runs}"


class PeakMemory:
    """Peak anonymous memory of this process during the block, bytes, without memory maps.

    The pages of a mapped file belong to the system's cache, which drops them when memory is short.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self.peak = max(self.peak, anonymous_bytes())

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, anonymous_bytes())


def anonymous_bytes() -> int:
    """Return this process's resident anonymous memory, bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def fresh_cache(work: Path, keep_formats: bool = True) -> Iterator[Path]:
    """Use an empty cache folder for a while, then remove it; by default it knows earlier benchmarks of formats."""
    before = os.environ.get("KAGGLEKIT_CACHE")
    memory = work / "formats.json"
    with tempfile.TemporaryDirectory(dir=work) as place:
        if keep_formats and memory.exists():
            shutil.copy(memory, place)
        os.environ["KAGGLEKIT_CACHE"] = place
        try:
            yield Path(place)
            if (Path(place) / "formats.json").exists():
                shutil.copy(Path(place) / "formats.json", memory)
        finally:
            os.environ.pop("KAGGLEKIT_CACHE")
            if before is not None:
                os.environ["KAGGLEKIT_CACHE"] = before
