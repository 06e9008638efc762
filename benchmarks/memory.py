"""Memory of a whole run beyond that of a bare training step, without the store's pages.

    python benchmarks/memory.py --model resnet18 --size 128 --batch 64 --device cpu

Each has its own process: `limit.py`'s training step in the format that the run chose, and a run of kagglekit with every
kind of stage. On a CPU this is the peak resident anonymous memory, sampled 50 times a second, without the pages of a
memory-mapped store. On a GPU it is the peak that torch has allocated.
"""

from __future__ import annotations

import argparse
import json

import torch
from pictures import asked_for
from timing import PeakMemory, Report, elsewhere, interleaved, median_of, options


def main() -> None:
    """Measure both, in turn."""
    parser = options(__doc__)
    parser.add_argument("--only", choices=["step", "run"], help="measure this in this process")
    asked = parser.parse_args()
    asked_for(asked)
    if asked.only:
        print(json.dumps(step_bytes(asked) if asked.only == "step" else run_bytes(asked)))
        return
    turns = {what: lambda _, what=what: elsewhere("--only", what) for what in ("run", "step")}
    taken = interleaved(turns, asked.runs)
    report = Report("memory", asked)
    (run, run_cpu), (step, step_cpu) = ([median_of(taken[what], key) for key in ("answer", "cpu")] for what in turns)
    report.rows += [
        {"what": "a bare training step", "MB": step / 1e6, "CPU seconds": step_cpu},
        {"what": "a run with every kind of stage", "MB": run / 1e6, "CPU seconds": run_cpu},
        {"what": "beyond the step; bar: at most 1,000", "MB": (run - step) / 1e6},
    ]
    report.notes.append("CPU seconds: of the whole process, imports included; the step is repeated for a second")
    report.finish()


def step_bytes(asked: argparse.Namespace) -> int:
    """Return the peak memory of a process that takes training steps on synthetic tensors."""
    from limit import in_turn, synthetic

    from kagglekit.compute.precision import choose_formats

    with PeakMemory() as memory:
        batch = synthetic(asked)
        known = asked.work / "formats.json"
        chosen = choose_formats(batch.model, batch.device, "auto", asked.size, asked.batch, asked.model, known)
        memory.peak = 0  # the run chooses the format
        if batch.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(batch.device)
        in_turn(batch, "train", chosen.train, 1.0)
    return most(asked, memory)


def run_bytes(asked: argparse.Namespace) -> int:
    """Return the peak memory of a process that makes a run."""
    from network import settings
    from stages import clocked_run

    with PeakMemory() as memory:
        clocked_run(asked, asked_for(asked), "best", **settings(asked))
    return most(asked, memory)


def most(asked: argparse.Namespace, memory: PeakMemory) -> int:
    """Return the device's peak memory."""
    device = torch.device(asked.device)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.peak


if __name__ == "__main__":
    main()
