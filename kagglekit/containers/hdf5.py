"""Read HDF5 files. A key is the path of a dataset, or of a stack of images and a position in it: ``images/17``.

A dataset holds numbers, (H, W) or (H, W, C), a stack of those, or image files as bytes. Nothing outside the file is
read: links to other files, and datasets whose values lie elsewhere, are refused.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.containers.arrays import keys_of, may_hold_images, part_of
from kagglekit.containers.container import Container, NoSuchMember, Value, needs, number_of
from kagglekit.containers.shapes import check_array
from kagglekit.system.pixel_limit import max_pixels

try:
    import h5py
except ModuleNotFoundError:
    h5py = None

DEEPEST = 16  # groups in groups
_NUMBERS = "biuf"


class HDF5File(Container):
    """An open HDF5 file; the library has a lock of its own."""

    def __init__(self, path: Path) -> None:
        if h5py is None:
            raise needs("arrays", path, "h5py")
        self._file: Any = h5py.File(path, "r", locking=False)
        weakref.finalize(self, self._file.close)

    def keys(self, within: str = "") -> Sequence[str]:
        """Return the key of each image, in all datasets or in the dataset or group `within`."""
        return [key for name, dataset in self._datasets(within) for key in _keys(name, dataset, bool(within))]

    def read(self, key: str) -> Value:
        """Return a dataset, or a part of it: see `Container.read`."""
        found = self._at(key)
        if found is not None:
            return _whole(found)
        name, _, position = key.rpartition("/")
        stack = self._at(name) if name else None
        if stack is None or not stack.shape:
            raise NoSuchMember
        return _part(stack, position)

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the datasets with one value for each image."""
        n = len(self.keys(within))
        return {
            name: [_plain(value) for value in dataset[()].ravel().tolist()]
            for name, dataset in self._datasets("")
            if dataset.shape in ((n,), (n, 1)) and not _holds_files(dataset)
        }

    def _at(self, name: str) -> Any:
        """Return a dataset; None if there is none of this name.

        Raises:
            ValueError: It lies in another file.
        """
        here = self._file.id  # h5py's lower interface takes a third of the time
        for part in name.encode().split(b"/"):
            if not isinstance(here, h5py.h5g.GroupID) or not here.links.exists(part):
                return None
            if here.links.get_info(part).type != h5py.h5l.TYPE_HARD:
                raise ValueError("a link to another place or file, which is not followed")
            here = h5py.h5o.open(here, part)
        return _checked(h5py.Dataset(here)) if isinstance(here, h5py.h5d.DatasetID) else None

    def _datasets(self, within: str) -> Iterator[tuple[str, Any]]:
        """Yield the datasets by their paths, in the order of their names, without those behind links."""
        start = self._file
        for part in within.split("/") if within else ():
            if not isinstance(start, h5py.Group) or not isinstance(start.get(part, getlink=True), h5py.HardLink):
                raise ValueError(f"it has no dataset or group {within!r}")
            start = start[part]
        yield from _below(within, start, 0)


def _below(path: str, place: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(place, h5py.Dataset):
        yield path, _checked(place)
    elif isinstance(place, h5py.Group) and depth < DEEPEST:
        for name in place:
            if isinstance(place.get(name, getlink=True), h5py.HardLink):
                yield from _below(f"{path}/{name}" if path else name, place[name], depth + 1)


def _checked(dataset: Any) -> Any:
    form = dataset.id.get_create_plist()
    if form.get_external_count() or form.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError("its values lie in another file, which is not read")
    return dataset


def _keys(name: str, dataset: Any, asked: bool) -> list[str]:
    shape: tuple[int, ...] = dataset.shape or ()
    if _holds_files(dataset):
        return [f"{name}/{i}" for i in range(shape[0])] if shape and not _is_one_file(dataset) else [name]
    if asked and len(shape) == 2:
        return [f"{name}/{i}" for i in range(shape[0])]
    return keys_of(name, shape) if may_hold_images(shape) and dataset.dtype.kind in _NUMBERS else []


def _holds_files(dataset: Any) -> bool:
    """Return whether a dataset holds image files: opaque values, byte strings, or a row of bytes for each."""
    ragged = h5py.check_vlen_dtype(dataset.dtype)
    return bool(dataset.dtype.kind == "V" or ragged == np.dtype(np.uint8) or _is_one_file(dataset)) and (
        dataset.dtype.names is None
    )


def _is_one_file(dataset: Any) -> bool:
    """Return whether a dataset is the bytes of one image file."""
    from kagglekit.containers.encoded import is_encoded

    return (
        dataset.dtype == np.uint8 and dataset.ndim == 1 and is_encoded(dataset[:140].tobytes() if len(dataset) else b"")
    )


def _whole(dataset: Any) -> Value:
    if not dataset.shape or _is_one_file(dataset):
        return _value(dataset, ())
    check_array(dataset.shape, dataset.dtype.kind)
    values: Value = dataset[()]
    return values


def _part(stack: Any, position: str) -> Value:
    i = number_of(position, len(stack))
    if stack.ndim == 1:
        return _value(stack, (i,))
    check_array(stack.shape[1:], stack.dtype.kind)
    return part_of(stack[i : i + 1], "0")


def _value(dataset: Any, place: tuple[int, ...]) -> Value:
    """Return the bytes of an image file that is one value of a dataset."""
    size = dataset.dtype.itemsize * (1 if place else math.prod(dataset.shape))
    if size > 16 * max_pixels():
        raise ValueError(f"it claims to have {size:,} bytes")
    value = dataset[place]
    if isinstance(value, np.void) or (isinstance(value, np.ndarray) and value.dtype == np.uint8):
        return value.tobytes()
    if isinstance(value, bytes):
        return value
    raise ValueError("no image")


def _plain(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
