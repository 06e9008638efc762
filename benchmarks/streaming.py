"""Memory and time of whole runs whose test images are streamed, for 20,000 and 200,000 of them.

    python benchmarks/streaming.py --numbers 20000 200000

The test images are hard links to a few hundred small JPEGs under different names, so that each is decoded. The
network is tiny (timm's test_resnet) at 32 px. A block holds 32 MB of decoded images instead of the usual 512 MB, so
that both numbers have several. Each number has its own process, whose peak anonymous memory is measured.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
from network import COMPETITION
from pictures import CLASSES, draw
from timing import PeakMemory, Report, clock, elsewhere, fresh_cache, interleaved, medians, options

BLOCK, ORIGINALS = 32 << 20, 200
TRAIN = {"train": 64, "valid": 32}
WIDTH, HEIGHT = 64, 48


def main() -> None:
    """Measure each number, by default once."""
    parser = options(__doc__, without=("weights",), model="test_resnet.r160_in1k", size=32, batch=16, runs=1)
    parser.add_argument("--numbers", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--here", type=int, default=0, help="measure this number in this process")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measured(asked, asked.here)))
        return
    report = Report("streaming", asked)
    numbers = [300, 600] if asked.tiny else asked.numbers
    turns = {f"{n:,} test images": lambda _, n=n: elsewhere("--here", str(n)) for n in numbers}
    for runs in interleaved(turns, asked.runs).values():
        report.rows.append(medians([run.answer for run in runs]))
    first, last = report.rows[0], report.rows[-1]
    more, rows = 1e6 * (last["peak MB"] - first["peak MB"]), last["test images"] - first["test images"]
    report.notes.append(
        f"{last['test images']:,.0f} test images: {more / 1e6:+,.0f} MB against {first['test images']:,.0f}, "
        f"{more / rows:,.0f} bytes for each more; its pixels are {3 * WIDTH * HEIGHT:,} bytes"
    )
    report.notes.append(f"a block: {BLOCK / 1e6:.0f} MB of decoded images")
    report.finish()


def measured(asked: argparse.Namespace, number: int) -> dict[str, float]:
    """Make a run with `number` test images and return its cost."""
    from kagglekit import api
    from kagglekit.images import dataset
    from kagglekit.system.display.console import for_people

    dataset.BLOCK_BYTES = BLOCK
    data, decoded = many(asked.work.absolute() / "pictures" / "streaming", number), 0
    plain = dataset.Stream.block

    def block(self: dataset.Stream, start: int, end: int) -> object:
        nonlocal decoded
        made = plain(self, start, end)
        decoded += len(next(iter(made.values())))
        return made

    dataset.Stream.block = block  # type: ignore[assignment, method-assign]
    with fresh_cache(asked.work) as place, PeakMemory() as memory, clock() as whole:
        run = api.run(
            COMPETITION,
            data=data,
            settings={
                "arch": asked.model,
                "pretrained": False,
                "tta": 1,
                "stage.*.size": asked.size,
                "stage.*.batch_size": asked.batch,
            },
            preset="lesson",
            device=asked.device,
            store="stream",
            out=place / "runs",
            display=for_people(json_output=True),
        )
        with run.submission.open() as file:
            rows = sum(1 for _ in file) - 1
    assert rows == decoded == number, (rows, decoded)
    return {
        "test images": number,
        "pixels MB": number * 3 * WIDTH * HEIGHT / 1e6,
        "run s": whole.wall,
        "CPU s": whole.cpu,
        "peak MB": memory.peak / 1e6,
    }


def many(folder: Path, number: int) -> Path:
    """Draw the originals and link the test images, unless they are there; return their folder."""
    place = folder / str(number)
    if (place / "complete").exists():
        return place
    for split, n in {**TRAIN, "originals": ORIGINALS}.items():
        for i in range(n):
            path = (folder if split == "originals" else place) / split / f"kind{i % CLASSES}" / f"{i:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), draw(i % CLASSES, len(split) * 1_000_000 + i, WIDTH, HEIGHT))
    originals = sorted((folder / "originals").glob("*/*.jpg"))
    for original in originals:
        (place / "test" / original.parent.name).mkdir(parents=True, exist_ok=True)
    for i in range(number):
        original = originals[i % ORIGINALS]
        path = place / "test" / original.parent.name / f"{i:06}.jpg"
        if not path.exists():
            os.link(original, path)
    (place / "complete").touch()
    return place


if __name__ == "__main__":
    main()
