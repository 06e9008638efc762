"""Cost by number of images: time and memory of the store, of an epoch, and of a run, for 1,000 to 64,000 images.

    python benchmarks/growth.py --numbers 1000 4000 16000 64000

The images are hard links to the usual JPEGs under different names, so that each is decoded. The network is tiny (timm's
test_resnet), to measure what kagglekit does around it. Each number has its own process.
"""

from __future__ import annotations

import argparse
import json

from pictures import asked_for, copies
from timing import PeakMemory, Report, clock, elsewhere, interleaved, medians, options


def main() -> None:
    """Measure each number, by default once: the longest takes minutes."""
    parser = options(__doc__, without=("weights",), model="test_resnet.r160_in1k", size=64, runs=1)
    parser.add_argument("--numbers", type=int, nargs="+", default=[1_000, 4_000, 16_000, 64_000])
    parser.add_argument("--here", type=int, default=0, help="measure this number in this process")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measured(asked, asked.here)))
        return
    report = Report("growth", asked)
    turns = {f"{n:,} images": lambda _, n=n: elsewhere("--here", str(n)) for n in asked.numbers}
    for runs in interleaved(turns, asked.runs).values():
        report.rows.append(medians([run.answer for run in runs]))
    first, last = report.rows[0], report.rows[-1]
    for what in ("store s", "epoch s", "run s"):
        grown = (last[what] / last["images"]) / (first[what] / first["images"])
        report.notes.append(
            f"{what} an image, {last['images']:,.0f} against {first['images']:,.0f} images: {grown:.2f} times"
        )
    report.finish()


def measured(asked: argparse.Namespace, number: int) -> dict[str, float]:
    """Make a run of one epoch of all layers over `number` images; return its cost."""
    from stages import clocked_run

    data = copies(asked_for(asked), asked.work.absolute() / "pictures", number)
    wanted = {"arch": asked.model, "pretrained": False, "tta": 0, "stage.*.size": asked.size}
    with PeakMemory() as memory, clock() as whole:
        _, _, clocks = clocked_run(asked, data, "lesson", **wanted, **{"stage.*.batch_size": asked.batch})
    spent, full = clocks.spent, clocks.spent["full"]
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
