"""The targets of each kind of task: the only place of `kagglekit look` that knows the kinds apart."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.eda.target import Target
from kagglekit.eda.target_classes import Classes
from kagglekit.eda.target_labels import Labels
from kagglekit.eda.target_numbers import Grades, Numbers
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.several import Several
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.records import read_record, write_record

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.eda.target import Draw
    from kagglekit.system.display.console import Display
    from kagglekit.tasks.several import Block
    from kagglekit.tasks.task import Task


def target_of(task: Task, table: pd.DataFrame, name: str = "") -> Target[Any]:
    """Return the targets of an image table; of a plugin's own kind, those of the kind that it extends."""
    kind = next((_KINDS[each] for each in type(task).__mro__ if each in _KINDS), Target)
    return kind(task, table, name)


class Blocks(Target[Several]):
    """Several targets side by side."""

    @cached_property
    def parts(self) -> list[Target[Any]]:
        """Each target by itself."""
        return [target_of(block.task, _own(self.table, block), block.name) for block in self.task.blocks]

    def show(self, display: Display) -> None:
        """Print what each target has."""
        for part in self.parts:
            part.show(display)

    def text(self, label: object) -> str:
        """Return the values of an image's targets."""
        record = read_record(str(label))
        values = [(block.name, record.get(block.name, 0)) for block in self.task.blocks]
        return ", ".join(f"{name} {'?' if value is None else value}" for name, value in values)

    def drawings(self) -> dict[str, Draw]:
        """Return the plots of each target, whose names begin with the target's number."""
        return {
            f"{number}-{file}": draw
            for number, part in enumerate(self.parts, 1)
            for file, draw in part.drawings().items()
        }


def _own(table: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Return the image table with the labels of one target, as its kind writes them."""
    labels = np.array([_own_label(label, block) for label in table["label"]], dtype=object)
    return table.assign(label=labels)


def _own_label(label: object, block: Block) -> str | None:
    value = read_record(label).get(block.name, 0.0) if isinstance(label, str) else None
    return value if value is None or isinstance(value, str) else write_record({block.name: value})


_KINDS: dict[type[Task], type[Target[Any]]] = {
    SingleLabel: Classes,
    MultiLabel: Labels,
    Regression: Numbers,
    Ordinal: Grades,
    Several: Blocks,
}
