"""Find images by the names that tables give them: paths, bare names, with or without suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from kagglekit.data.listing import stem_of, suffix_of


class ImageLookup:
    """The images of some folders, found by any name that a table may give them.

    Args:
        paths: The images' paths, with ``/`` between folders.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, list[str]] = {}
        for path in paths:
            self._by_stem[stem_of(path.rpartition("/")[2])].append(path)

    def find(self, name: str) -> list[str]:
        """Return the images that `name` may mean.

        A name may leave out upper folders and the suffix. If it has a suffix, images with exactly this one come before
        images with it in another case, and these before images with another suffix.
        """
        name = name.removeprefix("./")
        base = name.rpartition("/")[2]
        without_suffix = stem_of(name)
        found = self._in_folder(self._by_stem.get(stem_of(base), ()), without_suffix)
        if without_suffix == name:
            return found
        whole = self._in_folder(self._by_stem.get(base, ()), name)  # x.png names x.png.jpg, too
        exact = [path for path in found if path == name or path.endswith(f"/{name}")]
        suffix = suffix_of(base).lower()
        return exact or [path for path in found if suffix_of(path).lower() == suffix] or found or whole

    def find_all(self, names: Sequence[str]) -> list[list[str]]:
        """Return the images that each name may mean.

        If no name is found with the folders before it, folders are left out: ``test/1.jpg`` is then any ``1.jpg``.
        If still none is, case and leading zeros are: ``img_1`` is then ``IMG_1.jpg``, and ``1`` is ``0001.jpg``.
        An image that another name means for certain is no candidate for a name that fits several.
        """
        found = [self.find(name) for name in names]
        if not any(found) and any("/" in name for name in names):
            found = [self.find(name.rpartition("/")[2]) for name in names]
        if not any(found):
            found = [self._find_loosely(name.rpartition("/")[2]) for name in names]
        certain = {paths[0] for paths in found if len(paths) == 1}
        return [
            [path for path in paths if path not in certain] or paths if len(paths) > 1 else paths for paths in found
        ]

    def _find_loosely(self, name: str) -> list[str]:
        if not self._loose:
            for stem, paths in self._by_stem.items():
                self._loose.setdefault(_loosely(stem), []).extend(paths)
        return list(self._loose.get(_loosely(stem_of(name)), ()))

    @staticmethod
    def _in_folder(paths: Sequence[str], stem: str) -> list[str]:
        if "/" not in stem:
            return list(paths)
        return [path for path in paths if stem_of(path) == stem or stem_of(path).endswith(f"/{stem}")]


def _loosely(stem: str) -> str:
    """Return a name without case, and a number without leading zeros."""
    return str(int(stem)) if stem.isascii() and stem.isdigit() else stem.casefold()
