"""Remember what the list of runs shows of each run until its files change, so that thousands are listed at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from kagglekit._version import __version__
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.system.paths import own_place
from kagglekit.types.metric import Score

T = TypeVar("T")
FEW = 500  # runs: so many are read faster than they are remembered
_SCORES = ("valid", "test")
_STAMPED = tuple(file.name for file in (Run(Path()).recipe_file, Run(Path()).info_file, Run(Path()).score_file))


class Index:
    """The remembered entries of a folder of runs, in the user's cache.

    Args:
        root: The folder of all runs.
        number: How many runs there are; of few, nothing is remembered.
    """

    def __init__(self, root: Path, number: int) -> None:
        self._file: Path | None = None
        self._known: dict[str, list[Any]] = {}
        self._seen: dict[str, list[Any]] = {}
        self._stamps: dict[str, list[Sequence[int] | None]] = {}
        if number > FEW:
            name = f"{sha256(os.fsencode(root.absolute())).hexdigest()[:32]}.json"
            self._file = own_place("history", files=(name,)) / name
            self._known = _read(self._file)

    def entry(self, run: Run, make: Callable[..., T]) -> T | None:
        """Return what is remembered of a run, if its files have not changed since; `make` makes it from its values."""
        if self._file is None:
            return None
        key, stamp = str(run.folder), _stamp(run)
        self._stamps[key] = stamp  # of before it is read: what changes meanwhile is read again
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            return None
        self._seen[key] = known
        return make(**_unpacked(known[1]))

    def add(self, run: Run, entry: Any) -> None:
        """Remember what was read of a run after `entry` did not know it, a dataclass."""
        if self._file is not None:
            key = str(run.folder)
            self._seen[key] = [self._stamps[key], _packed(vars(entry))]

    def write(self) -> None:
        """Keep what is remembered, if it has changed; without a cache that can be written, nothing is kept."""
        if self._file is None or self._seen == self._known:
            return
        try:
            write_text(self._file, json.dumps({"version": __version__, "runs": self._seen}))
        except UserError:
            return


def _read(file: Path) -> dict[str, list[Any]]:
    """Return what a file has; nothing if it is of another version, damaged or not there."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return dict(content["runs"]) if content["version"] == __version__ else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _stamp(run: Run) -> list[Sequence[int] | None]:
    folder = str(run.folder)
    return [_status(os.path.join(folder, name)) for name in _STAMPED]  # noqa: PTH118  # as `_status`


def _status(file: str) -> Sequence[int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  # called for each file of each run
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _packed(values: dict[str, Any]) -> dict[str, Any]:
    packed = {name: value for name, value in values.items() if value is not None}
    for name in _SCORES:
        if name in packed:
            packed[name] = [packed[name].value, packed[name].error]
    if "date" in packed:
        packed["date"] = packed["date"].isoformat()
    return packed


def _unpacked(packed: dict[str, Any]) -> dict[str, Any]:
    values = {**_NOTHING, **packed}
    for name in _SCORES:
        if values[name] is not None:
            values[name] = Score(*values[name])
    if values["date"] is not None:
        values["date"] = datetime.fromisoformat(values["date"])
    return values


_NOTHING = dict.fromkeys(
    ("date", "limit", "valid", "test", "public", "private", "best", "gap", "time"),
)
