"""Gain of keeping freed memory on a CPU (`kagglekit.compute.memory.keep_freed_memory`) over glibc's default.

    python benchmarks/allocator.py --models resnet18 mobilenetv2_100 --size 128 --batch 64

Training steps and forward passes on synthetic tensors, in each format. Each measurement has its own process, since
glibc cannot be reset to its default.
"""

from __future__ import annotations

import argparse
import json
import resource

from limit import formats, in_turn, synthetic
from timing import Report, elsewhere, interleaved, median, options

MODES = ("train", "infer")


def main() -> None:
    """Compare both ways."""
    parser = options(__doc__, without=("model", "weights"))
    parser.add_argument("--models", nargs="+", default=["resnet18", "mobilenetv2_100", "convnext_atto"])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    parser.add_argument("--here", default="", help="measure this model in this process")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measured(asked)))
        return
    report = Report("allocator", asked)
    for model in asked.models:
        turns = {how: lambda run, model=model, how=how: child(model, how) for how in ("usual", "kept")}
        taken = interleaved(turns, asked.runs)
        for what in taken["kept"][0].answer:
            usual, kept = (cells(how, [run.answer[what] for run in taken[how]]) for how in turns)
            ratio = kept["kept"] / usual["usual"]
            report.rows.append({"model": model, "what": what, **usual, **kept, "ratio": ratio})
    report.notes.append("images/s, and CPU seconds for 1,000 images")
    report.notes.append("page faults in millions, peak memory in MB, and CPU seconds beside them: of the whole process")
    report.finish()


def cells(how: str, answers: list[tuple[float, float]]) -> dict[str, float]:
    """Return the cells of one way: the medians of the measurements and of their CPU seconds."""
    found, cpu = (median(each) for each in zip(*answers, strict=True))
    return {how: found, f"{how}, CPU s": cpu}


def child(model: str, how: str) -> dict[str, tuple[float, float]]:
    """Measure in a new process; kagglekit does not touch the allocator if one of glibc's variables is set."""
    surroundings = {"MALLOC_PERTURB_": "0"} if how == "usual" else {}
    answer: dict[str, tuple[float, float]] = elsewhere("--here", model, **surroundings)
    return answer


def measured(asked: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return images/s of each mode and format and the cost of the process, each with CPU seconds."""
    asked.model, asked.weights = asked.here, ""
    batch, found = synthetic(asked), {}
    for mode in MODES:
        for each in (each for each in formats(batch.device) if each.channels_last):
            speed = in_turn(batch, mode, each, asked.seconds)
            found[f"{mode} {each.precision}"] = speed.rate, speed.cpu
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime
    return {**found, "page faults": (used.ru_minflt / 1e6, seconds), "peak MB": (used.ru_maxrss / 1024, seconds)}


if __name__ == "__main__":
    main()
