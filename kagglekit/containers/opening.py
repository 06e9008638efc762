"""Open containers, each once in a process."""

from __future__ import annotations

import errno
import importlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.system.damage import reason
from kagglekit.system.display.printable import shortened
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.containers.container import Container, Value
    from kagglekit.system.members import Member

KEPT = 32  # open containers; competitions ship up to a few dozen TFRecord files, read one after the other
_OF_CONTENT = (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG)  # a place that a damaged file names, which cannot be
_LONGEST = 100  # letters of a library's message
_KINDS = {
    ".csv": "csv", ".parquet": "parquet", ".json": "json", ".npy": "npy", ".npz": "npz", ".h5": "hdf5",
    ".hdf5": "hdf5", ".hdf": "hdf5", ".he5": "hdf5", ".tfrec": "tfrecord", ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord", ".bson": "bson",
}  # fmt: skip
_READERS = {
    "csv": ("csv_rows", "CSVRows"), "parquet": ("parquet_rows", "ParquetRows"), "json": ("json_file", "JSONFile"),
    "npy": ("arrays", "NpyFile"), "npz": ("arrays", "NpzFile"), "hdf5": ("hdf5", "HDF5File"),
    "tfrecord": ("tfrecord", "TFRecord"), "bson": ("bson_file", "BSONFile"),
}  # fmt: skip
_SHARD = re.compile(r"-\d+-of-\d+$", re.ASCII)  # train.tfrecord-00003-of-00016

_open: OrderedDict[tuple[int, str, int, int], Container] = OrderedDict()
_lock = threading.Lock()


def kind_of(name: str) -> str:
    """Return the kind of a container by its file's name, such as ``tfrecord``; empty if it is none."""
    return _KINDS.get(os.path.splitext(_SHARD.sub("", name))[1].lower(), "")  # noqa: PTH122 (for each file of a folder)


def read_member(member: Member) -> Value:
    """Return an image of a container: the bytes of an image file, or numbers (H, W) or (H, W, C).

    Raises:
        ValueError: There is no such image, or it is damaged.
        UsageError: A package that reads such files is not installed.
        OSError: The system cannot read the file.
    """
    with naming_no_library():
        return open_container(Path(member.container)).read(member.key)


@contextmanager
def naming_no_library() -> Iterator[None]:
    """Raise a ValueError for all that libraries raise on a damaged file while the block reads it."""
    try:
        yield
    except (UserError, MemoryError, ValueError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, *_OF_CONTENT):
            raise
        raise ValueError(f"damaged ({type(error).__name__}: {shortened(reason(error), _LONGEST)})") from error


def open_container(path: Path) -> Container:
    """Open a container, or return the open one if the file has not changed.

    Raises:
        ValueError: It is of an unknown kind. Libraries raise other exceptions on damaged ones: `naming_no_library`.
        UsageError: A package that reads such files is not installed.
        OSError: The system cannot read it.
    """
    status = path.stat()
    key = (os.getpid(), str(path), status.st_size, status.st_mtime_ns)  # a forked process opens its own
    with _lock:
        if key not in _open:
            for old in [each for each in _open if each[:2] == key[:2]]:
                del _open[old]  # before it is opened anew: HDF5 would go on with the file that is open
            _open[key] = _opened(path)
            while len(_open) > KEPT:
                _open.popitem(last=False)
        _open.move_to_end(key)
        return _open[key]


def _opened(path: Path) -> Container:
    kind = kind_of(path.name)
    if not kind:
        raise ValueError("its file is no container of a known kind")
    module, name = _READERS[kind]
    made: Container = getattr(importlib.import_module(f"kagglekit.containers.{module}"), name)(path)
    return made
