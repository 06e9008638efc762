"""Read numpy's npy and npz files; nothing in them is ever unpickled.

Keys of an npy file (N, H, W[, C]) are positions, from 0. In an npz file ``x/5`` is image 5 of the array ``x``, and
``x`` is that array, as one image.
"""

from __future__ import annotations

import weakref
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kagglekit.containers.container import Container, NoSuchMember, Value, number_of
from kagglekit.containers.held import Held, check_size
from kagglekit.containers.shapes import check_array, is_stack, shaped


class NpyFile(Container):
    """An open npy file, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self._array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._array.ndim < 2:
            raise ValueError("an array of less than two dimensions holds no images")

    def keys(self, within: str = "") -> Sequence[str]:
        """Return ``0``, ``1``, ...: a key for each part of the first axis."""
        return list(map(str, range(len(self._array))))

    def read(self, key: str) -> Value:
        """Return a part of the array: see `Container.read`."""
        return part_of(self._array, key)

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return nothing: the file holds images alone."""
        return {}


class NpzFile(Container):
    """An open npz file: a zip of npy files."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        weakref.finalize(self, self._zip.close)
        members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist() if not info.is_dir()}
        self._heads = {name: _head(self._zip, info) for name, info in members.items()}
        self._members = members
        self._held = Held()

    def keys(self, within: str = "") -> Sequence[str]:
        """Return the key of each image of the array `within`, or of all arrays that hold images."""
        return [key for name, shape in self._images(within).items() for key in keys_of(name, shape)]

    def read(self, key: str) -> Value:
        """Return an array, or a part of it: see `Container.read`."""
        if key in self._heads:
            shape, kind = self._heads[key]
            check_array(shape, kind)
            return self._array(key)  # type: ignore[return-value]  # numbers, as checked
        name, _, position = key.rpartition("/")
        if name not in self._heads:
            raise NoSuchMember
        shape, kind = self._heads[name]
        check_array(shape[1:], kind)
        return part_of(self._array(name), position)

    def facts(self, within: str = "") -> Mapping[str, Sequence[object]]:
        """Return the arrays with one value for each image."""
        n = len(self.keys(within))
        names = [name for name, (shape, _) in self._heads.items() if shape in ((n,), (n, 1))]
        return {name: self._array(name).ravel().tolist() for name in names}

    def _images(self, within: str) -> dict[str, tuple[int, ...]]:
        if within and within not in self._heads:
            raise ValueError(f"it has no array {within!r}, but {', '.join(self._heads) or 'none'}")
        heads = {within: self._heads[within]} if within else self._heads
        return {name: shape for name, (shape, _) in heads.items() if within or may_hold_images(shape)}

    def _array(self, name: str) -> NDArray[np.generic]:
        member = self._members[name]

        def read() -> NDArray[np.generic]:
            with self._zip.open(member) as file:
                array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
            return array

        found: NDArray[np.generic] = self._held.get(name, read, member.file_size)
        return found


def keys_of(name: str, shape: Sequence[int]) -> list[str]:
    """Return the keys of the images of an array: one for each part of a stack, else its name."""
    return [f"{name}/{i}" for i in range(shape[0])] if is_stack(shape) else [name]


def may_hold_images(shape: Sequence[int]) -> bool:
    """Return whether an array of this shape holds an image or a stack of images."""
    return len(shape) in (3, 4) or (len(shape) == 2 and min(shape) > 1)


def part_of(array: NDArray[np.generic], position: str) -> Value:
    """Return a part of an array's first axis as an image; flat numbers become a square one."""
    i = number_of(position, len(array))
    check_array(array.shape[1:], array.dtype.kind)
    values = np.array(array[i])
    return shaped(values) if values.ndim == 1 else values  # type: ignore[return-value]  # numbers, as checked


def _head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[tuple[int, ...], str]:
    """Return the shape of an array and numpy's kind of its values, from its header.

    Raises:
        ValueError: It is no array, or larger than the memory allows or than the file says.
    """
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        n_bytes = dtype.itemsize * int(np.prod([float(side) for side in shape]))
        if dtype.hasobject:
            return shape, "O"
        check_size(n_bytes, f"its array {member.filename}")
        if n_bytes > member.file_size:
            raise ValueError(f"its array {member.filename} has {member.file_size:,} of {n_bytes:,} bytes")
    return shape, dtype.kind
