"""Scores and seconds of whole commands: a table for docs/results.md.

    python benchmarks/defaults.py pets=DIR dog-breed=DIR --arch NAME --set weights=FILE --preset features --seeds 0 1 2

A file of weights is named by its absolute path.

Each command runs by itself, from process start to end, with an image cache of its own that is empty at first. With
several seeds the split stays that of the first. A line has the mean over seeds of the ensemble's scores, on the valid
images and on the test images where their labels are known, the standard error over images, and, of several seeds, the
standard deviation over them; the seconds are their median, the resident memory is the largest. OUT/defaults.json keeps
what has finished: repeated, the command continues with the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

KEYS = ("valid_log_loss", "valid_accuracy", "test_log_loss", "test_accuracy")


def main() -> None:
    """Run what has not been run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="COMPETITION=DIR")
    parser.add_argument("--preset", nargs="+", default=["auto"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--arch", required=True)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--python", default=sys.executable, help="of the environment to measure")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out = given.out.absolute()
    file = given.out / "defaults.json"
    given.out.mkdir(parents=True, exist_ok=True)
    done: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    for preset in given.preset:
        for asked in given.data:
            for seed in given.seeds:
                key = f"{asked.partition('=')[0]} {preset} {seed}"
                if key not in done:
                    done[key] = measured(given, asked, preset, seed)
                    file.write_text(json.dumps(done, indent=1))
    print(table(done))


def measured(given: argparse.Namespace, asked: str, preset: str, seed: int) -> dict[str, Any]:
    """Run one command; return its scores and seconds."""
    name, _, data = asked.partition("=")
    words = [
        given.python,
        "-m",
        "kagglekit",
        "run",
        name,
        "--data",
        str(Path(data).absolute()),
        "--arch",
        given.arch,
        "--preset",
        preset,
    ]
    words += ["--seed", str(seed), "--out", str(given.out / "runs"), "--json"]
    for setting in (*given.settings, f"split_seed={given.seeds[0]}"):
        words += ["--set", setting]
    cache = given.out / "cache" / f"{name}-{preset}-{seed}"
    began = time.perf_counter()
    own = {**os.environ, "KAGGLEKIT_CACHE": str(cache)}
    # -m would take kagglekit from the folder it is called in, which may be another version's checkout
    with subprocess.Popen(words, env=own, cwd=given.out, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {' '.join(words)}")
    scores = json.loads(said)["scores"]
    return {"seconds": seconds, "peak_gb": usage.ru_maxrss * 1024 / 1e9, "scores": scores[-1], "all": scores}


def table(done: dict[str, dict[str, Any]]) -> str:
    """Return the lines, a competition and preset each."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, found in done.items():
        name, preset, _ = key.rsplit(" ", 2)
        groups.setdefault((name, preset), []).append(found)
    scores = " | ".join(key.replace("_", " ") for key in KEYS)
    lines = [f"| competition | preset | runs | {scores} | seconds | peak resident, GB |"]
    lines.append("| --- " * (len(KEYS) + 5) + "|")
    for (name, preset), runs in groups.items():
        cells = [cell([run["scores"][key] for run in runs if key in run["scores"]]) for key in KEYS]
        seconds = median(run["seconds"] for run in runs)
        peak = max(run["peak_gb"] for run in runs)
        lines.append(f"| {name} | {preset} | {len(runs)} | {' | '.join(cells)} | {seconds:.0f} | {peak:.1f} |")
    return "\n".join(lines)


def cell(scores: list[list[float]]) -> str:
    """Return the mean of scores ± the error over images, and their deviation over seeds."""
    if not scores:
        return ""
    over = f" (seeds {stdev(score[0] for score in scores):.4f})" if len(scores) > 1 else ""
    return f"{mean(score[0] for score in scores):.4f} ± {mean(score[1] for score in scores):.4f}{over}"


if __name__ == "__main__":
    main()
