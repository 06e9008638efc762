"""Building the store from one TFRecord and one HDF5 file compared with the same JPEGs as files.

    python benchmarks/containers.py --size 128 --records 100000

Each contender decodes the same images into an empty store: from hard links of the drawn images, from one TFRecord file
with a record for each, from one HDF5 file with a dataset for each.
"""

from __future__ import annotations

import argparse
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from network import COMPETITION
from pictures import asked_for
from real import image_files
from timing import Report, fresh_cache, interleaved, median_of, options, spread

from kagglekit.containers.crc32c import crc32c, masked
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.decode import built_store
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__, without=("model", "weights", "batch"))
    parser.add_argument("--records", type=int, default=100_000, help="images in each container")
    asked = parser.parse_args()
    originals = image_files(asked_for(asked))
    n = 2 * len(originals) if asked.tiny else asked.records
    files = tuple(originals[i % len(originals)] for i in range(n))
    place = asked.work.absolute() / "containers" / str(n)
    links, records, datasets = linked(place, files), tfrecord(place, files), hdf5(place, files)
    hooks, side = Hooks(load(COMPETITION)), copy_side(asked.size)
    contenders: dict[str, Callable[[int], int]] = {
        "files": partial(build, asked, hooks, links, side),
        "TFRecord": partial(build, asked, hooks, tuple(records / str(i) for i in range(n)), side),
        "HDF5": partial(build, asked, hooks, tuple(datasets / f"{i:06}" for i in range(n)), side),
    }
    build(asked, hooks, originals[:2], side, 0)  # readers import their libraries on first use
    taken = interleaved(contenders, asked.runs)
    if len({one.answer for runs in taken.values() for one in runs}) > 1:
        raise SystemExit("the contenders' stores have different numbers of bytes")
    report = Report("containers", asked)
    base = median_of(taken["files"])
    for name, runs in taken.items():
        report.rows.append(
            {
                "contender": name,
                "images/s": n / median_of(runs),
                "seconds": median_of(runs),
                "of all runs": spread([run.wall for run in runs]),
                "CPU seconds": median_of(runs, "cpu"),
                "of the files' speed": f"{100 * base / median_of(runs):.0f} %",
            }
        )
    report.notes.append(f"{n} images to {side} px, {len(os.sched_getaffinity(0))} threads, an empty store each time")
    report.finish()


def build(asked: argparse.Namespace, hooks: Hooks, files: tuple[Path, ...], side: int, run: int) -> int:
    """Build the store in an empty cache; return the number of its bytes."""
    with fresh_cache(asked.work):
        spec = StoreSpec(files, Path(files[0].anchor), side, "short", hooks.reader())
        return len(built_store(spec, hooks.read_image).pixels)


def linked(place: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Link each image under a name of its own."""
    links = tuple(place / "files" / f"{i:06}.jpg" for i in range(len(files)))
    (place / "files").mkdir(parents=True, exist_ok=True)
    for file, link in zip(files, links, strict=True):
        if not link.exists():
            os.link(file, link)
    return links


def tfrecord(place: Path, files: tuple[Path, ...]) -> Path:
    """Write all images into one TFRecord file."""
    path = place / "images.tfrec"
    if not path.exists():
        with path.with_suffix(".new").open("wb") as out:
            for file in files:
                content = example(file.read_bytes())
                length = struct.pack("<Q", len(content))
                out.write(length + checksum(length) + content + checksum(content))
        path.with_suffix(".new").rename(path)
    return path


def hdf5(place: Path, files: tuple[Path, ...]) -> Path:
    """Write each image into a dataset of one HDF5 file."""
    path = place / "images.h5"
    if not path.exists():
        with h5py.File(path.with_suffix(".new"), "w") as out:
            for i, file in enumerate(files):
                out[f"{i:06}"] = np.void(file.read_bytes())
        path.with_suffix(".new").rename(path)
    return path


def checksum(data: bytes) -> bytes:
    """Return the checksum that follows some bytes of a TFRecord file."""
    return struct.pack("<I", masked(crc32c(data)))


def example(image: bytes) -> bytes:
    """Return a tf.train.Example with one feature, ``image``."""
    feature = field(1, field(1, image))
    return field(1, field(1, field(1, b"image") + field(2, feature)))


def field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer."""
    length, size = len(content), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


if __name__ == "__main__":
    main()
