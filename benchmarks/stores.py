"""Building the store compared with Pillow in as many threads; `startup.py` measures a second run.

    python benchmarks/stores.py --size 128 [--data pets=DIR]

Each contender decodes all files, reduces them to the short side of the store that serves `--size`, and writes them
to one file. Pillow does it with the store's filter (bicubic), with its faster bilinear one, and with draft(), which
decodes fewer pixels at lower quality.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from network import COMPETITION
from pictures import asked_for
from PIL import Image
from real import data_options, image_files
from timing import Report, fresh_cache, interleaved, median_of, options, spread

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.decode import built_store
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__, without=("model", "weights", "batch"))
    data_options(parser)
    asked = parser.parse_args()
    files = image_files(asked_for(asked))
    side, threads = copy_side(asked.size), len(os.sched_getaffinity(0))
    hooks = Hooks(load(COMPETITION))
    contenders: dict[str, Callable[[int], int]] = {
        "kagglekit": partial(build, asked, hooks, files, side),
        "Pillow, bicubic": partial(by_pillow, asked, files, side, threads, Image.Resampling.BICUBIC, False),
        "Pillow, bilinear": partial(by_pillow, asked, files, side, threads, Image.Resampling.BILINEAR, False),
        "Pillow, draft() and bicubic": partial(by_pillow, asked, files, side, threads, Image.Resampling.BICUBIC, True),
    }
    build(asked, hooks, files[:2], side, 0)  # readers import their libraries on first use
    taken = interleaved(contenders, asked.runs)
    report = Report("stores", asked)
    own = median_of(taken["kagglekit"])
    for name, runs in taken.items():
        report.rows.append(
            {
                "contender": name,
                "images/s": len(files) / median_of(runs),
                "seconds": median_of(runs),
                "of all runs": spread([run.wall for run in runs]),
                "CPU seconds": median_of(runs, "cpu"),
                "kagglekit is faster by": f"{median_of(runs) / own:.2f}x",
            }
        )
    report.notes.append(f"{len(files)} files to {side} px, {threads} threads, written to one file each time")
    report.finish()


def build(asked: argparse.Namespace, hooks: Hooks, files: tuple[Path, ...], side: int, run: int) -> int:
    """Build kagglekit's store in an empty cache; return the number of its bytes."""
    with fresh_cache(asked.work):
        spec = StoreSpec(files, files[0].parent, side, "short", hooks.reader())
        return len(built_store(spec, hooks.read_image).pixels)


def by_pillow(
    asked: argparse.Namespace,
    files: tuple[Path, ...],
    side: int,
    threads: int,
    how: Image.Resampling,
    draft: bool,
    run: int,
) -> int:
    """Do the same with Pillow in plain threads; return the number of bytes."""
    with fresh_cache(asked.work) as place, ThreadPoolExecutor(threads) as pool, (place / "pixels").open("wb") as out:
        for pixels in pool.map(partial(reduced, side=side, how=how, draft=draft), files):
            out.write(pixels)
        out.flush()
        os.fsync(out.fileno())
        return out.tell()


def reduced(path: Path, side: int, how: Image.Resampling, draft: bool) -> bytes:
    """Decode a file and reduce its short side to `side`, px."""
    with Image.open(path) as image:
        if draft:
            image.draft("RGB", (side, side))
        picture = image.convert("RGB")
    scale = side / min(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), how).tobytes()


if __name__ == "__main__":
    main()
