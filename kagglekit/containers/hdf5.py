"""Read HDF5 files. A key is the path of a dataset, or of a stack of images and a position in it: ``images/17``.

A dataset holds numbers, (H, W) or (H, W, C), a stack of those, or image files as bytes. Nothing outside the file is
read: links to other files, and datasets whose values lie elsewhere, are refused.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kagglekit.containers.arrays import keys_of, may_hold_images, part_of
from kagglekit.containers.container import Blocks, Container, NoSuchMember, Value, needs, number_of
from kagglekit.containers.encoded import is_encoded
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
        self._blocks = Blocks(path)
        weakref.finalize(self, self._file.close)

    def keys(self, within: str = "") -> Sequence[str]:
        """Return the key of each image, in all datasets or in the dataset or group `within`."""
        inside = [each for each in self._entries if not within or f"{each.name}/".startswith(f"{within}/")]
        if within and not inside:
            raise ValueError(f"it has no dataset or group {within!r}")
        return [key for each in inside for key in _keys(each, bool(within))]

    def read(self, key: str) -> Value:
        """Return a dataset, or a part of it: see `Container.read`."""
        found = self._opened(key)
        if found is not None:
            stored = self._stored(found)
            return _whole(h5py.Dataset(_checked(found))) if stored is None else stored
        name, _, position = key.rpartition("/")
        stack = self._at(name) if name else None
        if stack is None or not stack.shape:
            raise NoSuchMember
        return _part(stack, position)

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the datasets with one value for each image."""
        n = len(self.keys(within))
        names = [each.name for each in self._entries if each.shape in ((n,), (n, 1)) and not each.holds_files]
        return {name: [_plain(value) for value in self._at(name)[()].ravel().tolist()] for name in names}

    @cached_property
    def _entries(self) -> list[_Entry]:
        """The datasets, in the order of their names, without those behind links."""
        return list(_below("", h5py.h5g.open(self._file.id, b"/"), 0))

    def _stored(self, dataset: Any) -> bytes | None:
        """Return the bytes of an image file that lie in one piece, without the library, which has one lock for all.

        None for everything else, such as compressed datasets and numbers.
        """
        shape, dtype, offset = dataset.shape, dataset.dtype, dataset.get_offset()
        is_opaque = shape == () and dtype.kind == "V" and dtype.names is None
        if offset is None or not (is_opaque or (len(shape) == 1 and dtype == np.uint8)):
            return None
        n_bytes = dtype.itemsize * math.prod(shape)
        check_bytes(n_bytes)
        data = self._blocks.read(offset, n_bytes)
        return data if is_opaque or is_encoded(data) else None

    def _at(self, name: str) -> Any:
        """Return a dataset; None if there is none of this name.

        Raises:
            ValueError: It lies in another file.
        """
        found = self._opened(name)
        return None if found is None else h5py.Dataset(_checked(found))

    def _opened(self, name: str) -> Any:
        """Return the lower interface of a dataset, which may still lie in another file; None if there is none."""
        here = self._file.id  # h5py's lower interface takes a third of the time
        for part in name.encode().split(b"/"):
            if not isinstance(here, h5py.h5g.GroupID) or not here.links.exists(part):
                return None
            if here.links.get_info(part).type != h5py.h5l.TYPE_HARD:
                raise ValueError("a link to another place or file, which is not followed")
            here = h5py.h5o.open(here, part)
        return here if isinstance(here, h5py.h5d.DatasetID) else None


class _Entry(NamedTuple):
    """What the header of a dataset says; `holds_files`: its values are image files; `is_file`: it is one."""

    name: str
    shape: tuple[int, ...]
    kind: str
    holds_files: bool
    is_file: bool


def _below(path: str, group: Any, depth: int) -> Iterator[_Entry]:
    for name in group:
        if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            continue
        here, own = h5py.h5o.open(group, name), f"{path}{name.decode(errors='surrogateescape')}"
        if isinstance(here, h5py.h5g.GroupID) and depth < DEEPEST:
            yield from _below(f"{own}/", here, depth + 1)
        elif isinstance(here, h5py.h5d.DatasetID):
            dtype, shape = _checked(here).dtype, here.shape or ()
            is_file = dtype == np.uint8 and _is_one_file(h5py.Dataset(here), dtype, shape)
            ragged = h5py.check_vlen_dtype(dtype) if dtype.kind == "O" else None
            holds = is_file or ragged == np.dtype(np.uint8) or (dtype.kind == "V" and dtype.names is None)
            yield _Entry(own, shape, dtype.kind, holds, is_file)


def _checked(dataset: Any) -> Any:
    form = dataset.get_create_plist()
    if form.get_external_count() or form.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError("its values lie in another file, which is not read")
    return dataset


def _keys(entry: _Entry, asked: bool) -> list[str]:
    name, shape = entry.name, entry.shape
    if entry.holds_files:
        return [f"{name}/{i}" for i in range(shape[0])] if shape and not entry.is_file else [name]
    if asked and len(shape) == 2:
        return [f"{name}/{i}" for i in range(shape[0])]
    return keys_of(name, shape) if may_hold_images(shape) and entry.kind in _NUMBERS else []


def _is_one_file(dataset: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Return whether a dataset is the bytes of one image file."""
    return dtype == np.uint8 and len(shape) == 1 and shape[0] > 0 and is_encoded(dataset[:140].tobytes())


def _whole(dataset: Any) -> Value:
    shape, dtype = dataset.shape, dataset.dtype
    if not shape or _is_one_file(dataset, dtype, shape):
        return _value(dataset, ())
    check_array(shape, dtype.kind)
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
    check_bytes(size)
    value = dataset[place]
    if isinstance(value, np.void) or (isinstance(value, np.ndarray) and value.dtype == np.uint8):
        return value.tobytes()
    if isinstance(value, bytes):
        return value
    raise ValueError("no image")


def check_bytes(n_bytes: int) -> None:
    """Check the size of an image file, by the header, before it is read.

    Raises:
        ValueError: It is larger than any image within the limit of pixels.
    """
    if n_bytes > 16 * max_pixels():
        raise ValueError(f"it claims to have {n_bytes:,} bytes")


def _plain(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
