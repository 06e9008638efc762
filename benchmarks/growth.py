"""Cost by number of images: time and memory of the store, of an epoch, and of a run, for 1,000 to 64,000 images.

    python benchmarks/growth.py --numbers 1000 4000 16000 64000

The images are hard links to the usual JPEGs under names of their own, so that each is decoded. The network is a tiny
one (timm's test_resnet): what is measured is what kagglekit does around it. Each number has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from pictures import asked_for, copies
from timing import PeakMemory, Report, clock, options


def main() -> None:
    """Measure each number once: what takes longest grows to minutes."""
    parser = options(__doc__, model="test_resnet.r160_in1k", size=64, runs=1)
    parser.add_argument("--numbers", type=int, nargs="+", default=[1_000, 4_000, 16_000, 64_000])
    parser.add_argument("--here", type=int, default=0, help="measure this number in this process")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measured(asked, asked.here)))
        return
    report = Report("growth", asked)
    for number in asked.numbers:
        command = [sys.executable, *sys.argv, "--here", str(number)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        report.rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(report.rows[-1], file=sys.stderr, flush=True)
    first, last = report.rows[0], report.rows[-1]
    for what in ("store s", "epoch s", "run s"):
        grown = (last[what] / last["images"]) / (first[what] / first["images"])
        report.notes.append(
            f"{what} an image, {last['images']:,} against {first['images']:,} images: {grown:.2f} times"
        )
    report.finish()


def measured(asked: argparse.Namespace, number: int) -> dict[str, float]:
    """Make a run of one epoch of all layers over `number` images; return what it took."""
    from stages import clocked_run

    data = copies(asked_for(asked), asked.work.absolute() / "pictures", number)
    wanted = {"arch": asked.model, "pretrained": False, "tta": 0, "stage.*.size": asked.size}
    with PeakMemory() as memory, clock() as whole:
        _, _, spent = clocked_run(asked, data, "lesson", **wanted, **{"stage.*.batch_size": asked.batch})
    full = spent["full"]
    return {
        "images": number,
        "store s": spent["run"]["decode"],
        "epoch s": sum(full.values()) - full["validation"] - full["saving"],
        "of it waiting s": full["wait"],
        "run s": whole.wall,
        "CPU s": whole.cpu,
        "everything else s": whole.wall - spent["run"]["decode"] - sum(full.values()),
        "peak memory MB": memory.peak / 1e6,
    }


if __name__ == "__main__":
    main()
