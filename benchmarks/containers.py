"""Building the store from one TFRecord and one HDF5 file compared with the same JPEGs as files.

    python benchmarks/containers.py --size 64 --records 100000

Each contender decodes the same images into an empty store: from as many files, from one TFRecord file with a record for
each, from one HDF5 file with a dataset for each. The images are the drawn or given ones, again and again, each with its
number as a comment: so all files and records differ, and nobody reads the same pages twice. Before a run, the pages of
all of them are dropped from memory (with ``--warm``: read into it); the files' names stay there.

The contenders take turns: each decodes some hundred images while the others wait, so that whatever else the machine
does slows all of them alike. Decoding threads work 16 images ahead, each during another contender's turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from network import COMPETITION
from pictures import asked_for
from real import data_options, image_files
from timing import Report, Taken, clock, fresh_cache, median_of, options, spread

from kagglekit.containers.crc32c import crc32c, masked
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.build import build
from kagglekit.images.store import StoreSpec, open_store
from kagglekit.images.warp import copy_side


def main() -> None:
    """Compare all contenders."""
    parser = options(__doc__, without=("model", "weights", "batch"))
    parser.add_argument("--records", type=int, default=100_000, help="images in each container")
    parser.add_argument("--turn", type=int, default=1000, help="images that a contender decodes before the next one")
    parser.add_argument("--warm", action="store_true", help="read everything into memory before a run")
    data_options(parser)
    asked = parser.parse_args()
    originals = [file.read_bytes() for file in image_files(asked_for(asked))]
    n = 2 * len(originals) if asked.tiny else asked.records
    kb = sum(map(len, originals)) / len(originals) / 1000
    check_space(asked.work, n * (3 * 1000 * kb + 3 * 6 * copy_side(asked.size) ** 2))
    with written(asked.work.absolute() / "containers", originals, n) as place:
        runs = [run(asked, place, n) for _ in range(asked.runs)]
    report = Report("containers", asked)
    base = median_of([each["files"] for each in runs])
    for name in runs[0]:
        taken = [each[name] for each in runs]
        report.rows.append(
            {
                "contender": name,
                "images/s": n / median_of(taken),
                "seconds": median_of(taken),
                "of all runs": spread([each.wall for each in taken]),
                "CPU seconds": median_of(taken, "cpu"),
                "of the files' speed": f"{100 * base / median_of(taken):.0f} %",
            }
        )
    report.notes.append(
        f"{n} images of {kb:.0f} KB to {copy_side(asked.size)} px, {len(os.sched_getaffinity(0))} threads, "
        f"{'in' if asked.warm else 'not in'} memory before each run, in turns of {asked.turn}"
    )
    report.finish()


def run(asked: argparse.Namespace, place: Path, n: int) -> dict[str, Taken]:
    """Build all stores in turns in an empty cache; return what each took, with its bytes as the answer."""
    sources = {
        "files": tuple(place / "files" / f"{i:06}.jpg" for i in range(n)),
        "TFRecord": tuple(place / "images.tfrec" / str(i) for i in range(n)),
        "HDF5": tuple(place / "images.h5" / f"{i:06}" for i in range(n)),
    }
    hooks, side = Hooks(load(COMPETITION)), copy_side(asked.size)
    for files in sources.values():
        hooks.read_image(files[0], side)  # readers import their libraries on first use
    prepare(place, asked.warm)
    with fresh_cache(asked.work):
        specs = {name: StoreSpec(files, place, side, "short", hooks.reader()) for name, files in sources.items()}
        builds = {name: build(spec, hooks.read_image) for name, spec in specs.items()}
        taken = {name: Taken() for name in specs}
        for end in [*range(asked.turn, n, asked.turn), n]:
            for name, steps in builds.items():
                with clock() as turn:
                    next(done for done in steps if done == end)
                    if end == n:
                        deque(steps)  # the end of the build
                        taken[name].answer = len(open_store(specs[name]).pixels)
                taken[name].wall += turn.wall
                taken[name].cpu += turn.cpu
            so_far = ", ".join(f"{name} {each.wall:.2f} s" for name, each in taken.items())
            print(f"{end}: {so_far}", file=sys.stderr, flush=True)
    if len({each.answer for each in taken.values()}) > 1:
        raise SystemExit("the contenders' stores have different numbers of bytes")
    return taken


def check_space(work: Path, n_bytes: float) -> None:
    """Check that the disk has room for files, containers and stores."""
    work.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(work).free < n_bytes:
        raise SystemExit(f"{work}: {n_bytes / 1e9:.0f} GB are needed")


@contextmanager
def written(place: Path, originals: list[bytes], n: int) -> Iterator[Path]:
    """Write `n` images as files, into a TFRecord and into an HDF5 file; remove them in the end."""
    place.mkdir(parents=True)
    try:
        (place / "files").mkdir(exist_ok=True)
        with (place / "images.tfrec").open("wb") as records, h5py.File(place / "images.h5", "w") as datasets:
            for i in range(n):
                image = numbered(originals[i % len(originals)], i)
                (place / "files" / f"{i:06}.jpg").write_bytes(image)
                records.write(record(example(image)))
                datasets[f"{i:06}"] = np.void(image)
        os.sync()  # pages that are not on the disk yet cannot be dropped
        yield place
    finally:
        shutil.rmtree(place)


def numbered(jpeg: bytes, i: int) -> bytes:
    """Add a comment with a number after the start of a JPEG (ITU-T T.81, B.2.4.5)."""
    comment = f"{i:08}".encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment + jpeg[2:]


def prepare(place: Path, warm: bool) -> None:
    """Drop the pages of all files from memory, or read them into it."""
    for path in [*(place / "files").iterdir(), place / "images.tfrec", place / "images.h5"]:
        with path.open("rb", buffering=0) as file:
            if not warm:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while warm and file.read(1 << 24):
                pass
        os.utime(path)  # containers that are open are opened anew


def record(content: bytes) -> bytes:
    """Return a record of a TFRecord file."""
    length = struct.pack("<Q", len(content))
    return length + checksum(length) + content + checksum(content)


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
