"""Compare a plugin's image table with the containers that its images are members of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.authoring.detect.asked import plain
from kagglekit.authoring.fact import Evidence
from kagglekit.containers.shapes import shape_in
from kagglekit.data.labels.containers import as_text, facts_of, members
from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import Member, members_of

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.authoring.findings import Status


class _Used(NamedTuple):
    """An image of a table that is a member of a file."""

    key: str
    label: str | None


def of_containers(table: pd.DataFrame) -> Iterator[Evidence]:
    """Yield how many members of the table's containers it has, and what the containers call its labels.

    Args:
        table: A checked image table.
    """
    used: defaultdict[str, list[_Used]] = defaultdict(list)
    known = table["label"].where(table["split"] != "test", None)
    for member, label in zip(members_of(table["path"]), known, strict=True):
        if isinstance(member, Member):
            used[member.container].append(_Used(shape_in(member.key)[1], label if isinstance(label, str) else None))
    there = {container: _keys(Path(container)) for container in used}
    if not used:
        return
    gone = [f"{Path(name).name}/{each.key}" for name in used for each in used[name] if each.key not in there[name]]
    if gone:
        yield Evidence("problem", f"images that are not in their files: {listing(gone)}", "correct paths or keys")
        return
    n, total = sum(map(len, used.values())), sum(map(len, there.values()))
    files = f"{len(used):,} file{'s' * (len(used) > 1)} ({listing([Path(name).name for name in used], 3)})"
    status: Status = "ok" if n >= total else "note"
    yield Evidence(status, f"{n:,} of {total:,} images in {files} are used")
    if any(each.label for name in used for each in used[name]) and (found := list(_fields(used, there))):
        yield Evidence("ok", f"their labels are in {listing(found, 3)}")


def _keys(file: Path) -> dict[str, int]:
    """Return the position of each key; none if the file cannot be read."""
    try:
        return {key: i for i, key in enumerate(members(file))}
    except UserError:
        return {}


def _fields(used: dict[str, list[_Used]], there: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield the fields that hold the labels of all images, in any spelling."""
    labelled = {name: rows for name, all_rows in used.items() if (rows := [each for each in all_rows if each.label])}
    facts = {name: facts_of(Path(name)) for name in labelled}
    for field in next(iter(facts.values()), {}):
        if all(field in facts[name] and _agrees(facts[name][field], there[name], labelled[name]) for name in labelled):
            yield field


def _agrees(values: Sequence[object], places: dict[str, int], rows: Sequence[_Used]) -> bool:
    if len(values) != len(places):
        return False
    return all(plain(as_text(values[places[key]]) or "") == plain(label or "") for key, label in rows)
