"""The pictures that a run's trainings left in their folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import UserError

DEEPEST = 4  # a blend of blends of zoos of folds


@dataclass(frozen=True)
class Left:
    """What one training left.

    Attributes:
        label: What it is called in the run: ``fold 2``; empty for the run's only training.
        folder: The pictures.
        attention: Facts of the maps on its worst valid images, the worst one first.
        augmented: Facts of the strips of training images.
    """

    label: str
    folder: Path
    attention: list[dict[str, Any]]
    augmented: list[dict[str, Any]]


def left_pictures(run: Run, info: RunInfo | None = None, label: str = "", depth: int = 0) -> Iterator[Left]:
    """Yield what a run's trainings left: its own, or those of its folds, or of the runs that it blends.

    What is missing or damaged is left out: a page works without it.
    """
    try:
        facts = json.loads((run.pictures / "pictures.json").read_text(encoding="utf-8"))
        left = Left(label, run.pictures, *(_there(run.pictures, facts[key]) for key in ("attention", "augmented")))
    except (OSError, ValueError, KeyError, TypeError):
        left = None
    if left:
        yield left
        return
    if depth == DEEPEST:
        return
    with suppress(UserError):
        for name, part in parts_of(run, info or run.info()):
            yield from left_pictures(part, label=", ".join(filter(None, (label, name))), depth=depth + 1)


def parts_of(run: Run, info: RunInfo) -> list[tuple[str, Run]]:
    """Return the runs that a run joins, with their names: its folds, or those that it blends; of others none."""
    if info.blend_of:
        return [(name, run.blended(name)) for name in info.blend_of]
    return [(f"fold {number}", run.fold(number)) for number in info.folds]


def _there(folder: Path, facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the facts of pictures whose file is in the folder."""
    return [each for each in facts if (folder / Path(each["file"]).name).is_file()]
