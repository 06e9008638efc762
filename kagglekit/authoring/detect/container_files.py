"""Find the files in a data folder that hold many images, and what they say of each image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.containers.opening import kind_of, read_member
from kagglekit.data.labels.containers import as_text, facts_of, members
from kagglekit.data.listing import entries_of, folders_below, in_order, is_hidden
from kagglekit.data.sample import is_sample_name
from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.members import Member

if TYPE_CHECKING:
    import pandas as pd

_PART = re.compile(r"(?<![a-z])(train|valid|val|dev|test)(ing|idation)?(?![a-z])")
_SPLITS = {"train": "train", "valid": "valid", "val": "valid", "dev": "valid", "test": "test"}


@dataclass(frozen=True)
class ContainerFiles:
    """Files of one kind that belong together: of one folder, but for the folders of train and test images.

    Attributes:
        data: The data folder.
        files: The paths of the files of each split, relative to it; ``train`` has those of no split, too.
    """

    data: Path
    files: dict[str, list[str]]

    def keys(self, split: str) -> list[tuple[str, str]]:
        """Return the file and the key of each image of a split."""
        return [(name, key) for name in self.files.get(split, ()) for key in members(self.data / name)]

    def facts(self, split: str) -> pd.DataFrame:
        """Return what the files say of each image of a split, all as text; empty where they say nothing."""
        import pandas as pd

        parts = [pd.DataFrame(dict(facts_of(self.data / name))) for name in self.files.get(split, ())]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        return pd.DataFrame({str(name): [as_text(value) or "" for value in table[name]] for name in table})

    @cached_property
    def is_readable(self) -> bool:
        """The first and the last image of each file can be read."""
        for name in (name for names in self.files.values() for name in names):
            file = self.data / name
            try:
                keys = members(file)
                for key in (*keys[:1], *keys[-1:]):
                    read_member(Member(str(file), key))
            except UsageError:
                raise
            except (UserError, OSError, ValueError):
                return False
        return True


def find_containers(data: Path) -> Iterator[ContainerFiles]:
    """Yield the files that hold many images and can be read, those that belong together at once.

    Raises:
        UserError: A package that reads such files is not installed.
    """
    found: defaultdict[tuple[str, str], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders_below(data):
        there = [entry.name for entry in entries_of(folder)]
        names = in_order(name for name in there if kind_of(name) and not is_hidden(name))
        for name in names:
            if not is_sample_name(name) and (folder / name).is_file():
                path = (folder / name).relative_to(data).as_posix()
                above, split = _split_of(path)
                found[kind_of(name), above][split or "train"].append(path)
    for files in found.values():
        group = ContainerFiles(data, dict(files))
        if group.is_readable:
            yield group


def _split_of(path: str) -> tuple[str, str]:
    """Return the folder above the part of a path that names a split, and the split; empty if no part does."""
    parts = path.split("/")
    for i in reversed(range(len(parts))):
        found = _PART.search(parts[i].lower())
        if found:
            return "/".join(parts[:i]), _SPLITS[found[1]]
    return "/".join(parts[:-1]), ""


def glob_of(data: Path, files: Sequence[str]) -> tuple[str, str] | None:
    """Return the folder and the pattern that mean just these files, if there are several; else None."""
    folders = {name.rpartition("/")[0] for name in files}
    if len(files) < 2 or len(folders) > 1:
        return None
    names = [name.rpartition("/")[2] for name in files]
    start, end = _common(names), _common([name[::-1] for name in names])[::-1]
    start, end = start.rstrip("0123456789"), end[max(0, end.find(".")) :]
    folder = folders.pop()
    plain = not set("[]*?") & set(start + end)
    there = sorted(path.name for path in (data / folder).glob(f"{start}*{end}")) if plain else []
    return (folder, f"{start}*{end}") if there == sorted(names) else None


def _common(names: Sequence[str]) -> str:
    """Return the letters with which all names begin."""
    alike = [letters[0] if len(set(letters)) == 1 else "" for letters in zip(*names, strict=False)]
    return "".join(alike[: alike.index("")] if "" in alike else alike)


def numbered_from(ids: Sequence[str]) -> int | None:
    """Return the first of ids that are whole numbers one after the other; None if they are not."""
    if not ids or not all(each.isascii() and each.isdigit() for each in ids):
        return None
    first = int(ids[0])
    return first if list(map(int, ids)) == list(range(first, first + len(ids))) else None
