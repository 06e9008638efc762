"""How soon a command says something, how long it is silent, and how soon the prompt returns.

    python benchmarks/prompt.py --runs 5 --before ../kagglekit-0.1

Each command has its own process, whose output is a pipe. With `--before`, another checkout takes turns with this one,
in the same environment. The work is the demo's, cut short: what counts is everything around it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from timing import Report, Taken, cpu_seconds, interleaved, median, options, spread

HERE = Path(__file__).resolve().parents[1]
SHORT = ("--limit", "100", "--epochs", "1", "--precision", "fp32", "--seed", "1")
COMMANDS = {
    "--help": ("--help",),
    "recipe": ("recipe", "shapes"),
    "unknown network": ("run", "shapes", "--arch", "resnet18x"),
    "missing image": ("predict", "latest", "nothere.jpg"),
    "a short run": ("run", "shapes", *SHORT),
    "predict": ("predict", "latest", "data/shapes/images/1000.png"),
    "--dry-run": ("run", "shapes", "--dry-run", "--precision", "fp32"),
    "check": ("check", "shapes"),
}
IMPORTS = "import torch, timm, cv2, pandas, torch._dynamo, sklearn.linear_model, scipy.optimize"


def main() -> None:
    """Measure each command, in turn."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--before", type=Path, help="another checkout, to measure beside this one")
    asked = parser.parse_args()
    report = Report("prompt", asked)
    versions = {"": HERE, **({"before": asked.before.resolve()} if asked.before else {})}
    with tempfile.TemporaryDirectory(dir=asked.work if asked.work.is_dir() else None) as folder:
        contenders: dict[str, Callable[[int], dict[str, float]]] = {}
        for words in COMMANDS:
            for which, checkout in versions.items():
                place = Path(folder) / (which or "now")
                place.mkdir(exist_ok=True)
                contenders[f"{words} {which}".strip()] = partial(command, checkout, place, COMMANDS[words])
        contenders["imports alone"] = partial(watched, [sys.executable, "-c", IMPORTS], dict(os.environ), Path(folder))
        for name, work in contenders.items():
            if name.startswith("a short run"):
                work(-1)  # draws the images and decodes them
        taken = interleaved(contenders, asked.runs)
    report.rows += [row(name, runs) for name, runs in taken.items()]
    report.finish()


def row(name: str, runs: list[Taken]) -> dict[str, float | str]:
    """Return the medians of a command's runs."""
    found: dict[str, float | str] = {"command": name}
    for what in ("first line", "longest silence", "last line to exit", "seconds", "CPU seconds"):
        found[what] = median([run.answer[what] for run in runs])
    found["CPU seconds of all runs"] = spread([run.answer["CPU seconds"] for run in runs])
    return found


def command(checkout: Path, place: Path, arguments: tuple[str, ...], run: int) -> dict[str, float]:
    """Run a command of a checkout's in its own folder."""
    paths = [checkout, checkout / "plugins", checkout / "competitions"]
    surroundings = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "KAGGLEKIT_CACHE": str(place / "cache"),
    }
    return watched([sys.executable, "-m", "kagglekit", *arguments], surroundings, place)


def watched(words: list[str], surroundings: dict[str, str], place: Path, run: int = 0) -> dict[str, float]:
    """Run a process and note when it says something, s."""
    cpu, began = cpu_seconds(), time.perf_counter()
    with subprocess.Popen(
        words, env=surroundings, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        assert process.stdout
        times = [began]
        while os.read(process.stdout.fileno(), 1 << 16):
            times.append(time.perf_counter())
        process.wait()
    ended = time.perf_counter()
    return {
        "first line": (times[1] if len(times) > 1 else ended) - began,
        "longest silence": max(b - a for a, b in zip(times, [*times[1:], ended], strict=True)),
        "last line to exit": ended - times[-1],
        "seconds": ended - began,
        "CPU seconds": cpu_seconds() - cpu,
    }


if __name__ == "__main__":
    main()
