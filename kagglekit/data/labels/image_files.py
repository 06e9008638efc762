"""Find the file of each image that a label file names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kagglekit.data.labels.channel_names import with_channels
from kagglekit.data.labels.image_lookup import ImageLookup
from kagglekit.data.listing import IMAGE_SUFFIXES, images_below, images_beside, stem_of, suffix_of
from kagglekit.system.errors import UserError, listing


def files_of(names: Sequence[str], folders: Sequence[Path], suffix: str) -> tuple[list[str], list[str]]:
    """Return the path of each image, and the other images of those folders that no row names.

    A file is named by `names` and `suffix`. If there is none and `suffix` is an image's or empty, the one image with
    the same stem is taken, whatever its suffix: ``1.png`` or ``1.JPG`` for ``1.jpg``; else one of this name below the
    folders.

    Raises:
        UserError: A name fits several images.
    """
    wanted = [f"{name}{suffix}" for name in names]
    direct = _beside(wanted, folders[0], suffix) if len(folders) == 1 else None
    if direct and 2 * direct.found >= len(names):  # else a few images are missing, or all are in subfolders
        return direct.paths, direct.others
    below = {
        str(folder / name): name
        for folder in folders
        if folder.is_dir()
        for name in with_channels(images_below(folder), suffix)
    }
    spelt = {path.replace("\\", "/"): path for path in below}
    found = ImageLookup(spelt).find_all(wanted)
    if direct and direct.found >= sum(map(bool, found)):
        return direct.paths, direct.others
    if ambiguous := next(((name, paths) for name, paths in zip(wanted, found, strict=True) if len(paths) > 1), None):
        raise UserError(
            f"the name {ambiguous[0]} fits {len(ambiguous[1])} images: {listing(ambiguous[1], 3)}",
            "name the folder of the right ones: images=data / FOLDER",
        )
    paths = [spelt[each[0]] if each else str(folders[0] / name) for name, each in zip(wanted, found, strict=True)]
    used = set(paths)
    return paths, [name for path, name in below.items() if path not in used]


@dataclass(frozen=True)
class _Direct:
    """The files that names give directly.

    Attributes:
        paths: Their paths, whether they exist or not.
        others: The other images of those folders.
        found: Number of files that exist.
    """

    paths: list[str]
    others: list[str]
    found: int


def _beside(names: list[str], folder: Path, suffix: str) -> _Direct:
    """Return the files that the names give directly, and the images beside them."""
    there = with_channels(images_beside(folder, names), suffix) if folder.is_dir() else []
    known = set(there)
    if suffix and suffix.lower() not in IMAGE_SUFFIXES:
        named = set(names)
        rest = [name for name in there if name not in named]
    else:
        by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for name in there:
            by_stem[stem_of(name)].append(name)
        names = [name if name in known else _alone(by_stem.get(stem_of(name), []), name) for name in names]
        stems = {stem_of(name) for name in names}
        rest = [name for name in there if stem_of(name) not in stems]
    return _Direct([str(folder / name) for name in names], rest, sum(name in known for name in names))


def _alone(found: Sequence[str], name: str) -> str:
    """Return the one file that was found, or the one whose suffix differs in case only; else `name`."""
    alike = [file for file in found if suffix_of(file).lower() == suffix_of(name).lower()] or found
    return alike[0] if len(alike) == 1 else name
