"""What keeping freed memory gains on a CPU (`kagglekit.device_memory.keep_freed_memory`), glibc's usual way beside it.

    python benchmarks/allocator.py --models resnet18 mobilenetv2_100 --size 128 --batch 64

Training steps and forward passes on synthetic tensors, in each format; each measurement in a process of its own, since
glibc cannot be put back to what it does by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys

from limit import formats, rate, synthetic
from timing import Report, interleaved, median, options

MODES = ("train", "infer")


def main() -> None:
    """Compare."""
    parser = options(__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet18", "mobilenetv2_100", "convnext_atto"])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    parser.add_argument("--here", default="", help="measure this model in this process")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(rates(asked)))
        return
    report = Report("allocator", asked)
    for model in asked.models:
        turns = {how: lambda run, model=model, how=how: child(model, how) for how in ("usual", "kept")}
        taken = interleaved(turns, asked.runs)
        found = {how: [run.answer for run in runs] for how, runs in taken.items()}
        for what in found["kept"][0]:
            usual, kept = (median([answer[what] for answer in found[how]]) for how in ("usual", "kept"))
            report.rows.append({"model": model, "what": what, "usual": usual, "kept": kept, "ratio": kept / usual})
    report.notes.append("images/s; page faults in millions and peak memory in MB of the whole process")
    report.finish()


def child(model: str, how: str) -> dict[str, float]:
    """Measure in a new process; where one of glibc's variables is set, kagglekit leaves its allocator alone."""
    surroundings = {**os.environ, **({"MALLOC_PERTURB_": "0"} if how == "usual" else {})}
    command = [sys.executable, *sys.argv, "--here", model]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=surroundings)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rates(asked: argparse.Namespace) -> dict[str, float]:
    """Return images/s of each mode and format."""
    asked.model, asked.weights = asked.here, ""
    batch = synthetic(asked)
    chosen = [each for each in formats(batch.device) if each.channels_last]
    found = {f"{mode} {each.precision}": rate(batch, mode, each, asked.seconds) for mode in MODES for each in chosen}
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {**found, "page faults": used.ru_minflt / 1e6, "peak MB": used.ru_maxrss / 1024}


if __name__ == "__main__":
    main()
