"""The files behind one row of an image table: one, or one a channel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHANNELS = re.compile(r"\{([^{}]*,[^{}]*)\}")


def channel_files(path: Path) -> tuple[Path, ...]:
    """Return the files of an image whose channels lie apart: ``cell_{red,green}.png``, in the order of the braces.

    Returns:
        `path` alone if its name has no such braces, or if there is a file of this very name.
    """
    if "{" not in path.name:  # nearly all: there may be a million of them
        return (path,)
    names = channel_names(path.name)
    return (path,) if len(names) == 1 or path.is_file() else tuple(map(path.with_name, names))


def channel_names(name: str) -> tuple[str, ...]:
    """Return a name, or the end of one, for each channel in its braces; the name itself if it has none."""
    found = _CHANNELS.search(name)
    if found is None:
        return (name,)
    before, after = name[: found.start()], name[found.end() :]
    return tuple(f"{before}{channel.strip()}{after}" for channel in found[1].split(","))


def all_files(paths: Sequence[str]) -> Sequence[str]:
    """Return the files of each image, as text."""
    if not any("{" in path for path in paths):  # in the time of one look at each
        return paths
    return [str(file) for path in paths for file in channel_files(Path(path))]


def stacked(planes: Sequence[NDArray[Any]], files: Sequence[Path]) -> NDArray[Any]:
    """Stack the channels of an image, (H, W, C), each from a file of its own.

    Args:
        planes: What was read from each file, (H, W) or (H, W, C'). Of several channels the largest number counts: grey
            ones are equal, and in a picture of one colour only one is not black.
        files: For the message.

    Raises:
        ValueError: The sizes differ.
    """
    grey = [plane if plane.ndim == 2 else plane.max(axis=2) for plane in planes]
    sizes = {file.name: f"{plane.shape[1]} x {plane.shape[0]}" for file, plane in zip(files, grey, strict=True)}
    if len(set(sizes.values())) > 1:
        raise ValueError("channels of different sizes: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    return np.stack(grey, axis=2)
