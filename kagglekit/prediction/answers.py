"""What predictions say about an image, for people: the best classes, the labels, the numbers, the grade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kagglekit.data.scoring import scorer_of
from kagglekit.prediction.load import task_of
from kagglekit.system.errors import listing
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.several import Several
from kagglekit.tasks.single_label import SingleLabel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.hooks.calls import Hooks
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.tasks.task import Task

    Row = NDArray[np.floating]
    Say = Callable[[Task, Row, Row, int], "Answer"]

TOP = 5  # classes
CLOSE = 5e-5  # probabilities that are nearer are equal in four digits


@dataclass(frozen=True)
class Answer:
    """What is predicted for an image.

    Attributes:
        cells: Texts by heading, for a table.
        record: The same as plain data.
        best: The best classes or labels with their probabilities, the best first; empty for numbers and grades.
        tie: Says that classes are equally probable, in a sentence; empty if they are not.
    """

    cells: dict[str, str]
    record: dict[str, Any] = field(default_factory=dict)
    best: tuple[tuple[str, float], ...] = ()
    tie: str = ""


def answers(loaded: LoadedRun, hooks: Hooks, table: pd.DataFrame, top: int = TOP) -> list[Answer]:
    """Return what a run's predictions say, decided as in its CSV.

    Args:
        loaded: The run.
        hooks: Its plugins.
        table: Predictions (N, C).
        top: Maximum number of classes to name for an image.
    """
    task, info = task_of(hooks, loaded.info), loaded.info
    values = table.to_numpy()
    scorer = scorer_of(hooks, hooks.competition(), loaded.recipe, task)
    decided = scorer.decided(values, info.decision.found if info.decision else None)
    return [answer(task, *rows, top) for rows in zip(values, decided, strict=True)]


def answer(task: Task, values: Row, decided: Row, top: int = TOP) -> Answer:
    """Return what the predictions (C,) for one image say, of which `decided` are those of the CSV."""
    say = next((_KINDS[kind] for kind in type(task).__mro__ if kind in _KINDS), _numbers)
    return say(task, values, decided, top)


def _classes(task: Task, p: Row, decided: Row, top: int) -> Answer:
    order = np.argsort(-decided, kind="stable")[:top]
    named = [(task.columns[number], float(p[number])) for number in order]
    cells = {"class": named[0][0], "probability": f"{named[0][1]:.4f}"}
    if top > 1:
        cells["next"] = ", ".join(f"{name} {value:.4f}" for name, value in named[1:])
    record = {"class": named[0][0], "probability": named[0][1], "probabilities": _by_column(task, p)}
    return Answer(cells, record, tuple(named), _tie(task, p, decided))


def _tie(task: Task, p: Row, decided: Row) -> str:
    """Return which classes share the first place in all digits that are shown; empty if one has it alone."""
    first = int(np.argmax(decided))
    equal = [
        number
        for number in range(len(p))
        if f"{p[number]:.4f}" == f"{p[first]:.4f}" and decided[first] - decided[number] < CLOSE
    ]
    if len(equal) < 2:
        return ""
    names = listing([task.columns[number] for number in equal], 3)
    return f"a tie: {names} are equally probable ({p[first]:.4f} each)"


def _labels(task: Task, p: Row, decided: Row, top: int) -> Answer:
    found = [number for number in np.argsort(-p, kind="stable") if decided[number] > 0.5]
    best = int(p.argmax())
    text = ", ".join(f"{task.columns[number]} {p[number]:.4f}" for number in found)
    record = {"labels": [task.columns[number] for number in found], "probabilities": _by_column(task, p)}
    order = np.argsort(-p, kind="stable")[: max(top, len(found))]
    bars = tuple((task.columns[number], float(p[number])) for number in order)
    if len(task.columns) == 1:
        return Answer({task.columns[0]: f"{'yes' if found else 'no'} {p[0]:.4f}"}, record, bars)
    return Answer({"labels": text or f"none (highest: {task.columns[best]} {p[best]:.4f})"}, record, bars)


def _numbers(task: Task, values: Row, decided: Row, top: int) -> Answer:
    """Return all numbers; what those of a plugin's own kind of task mean is only known to the plugin."""
    named = _by_column(task, decided)
    return Answer({name: f"{value:.5g}" for name, value in named.items()}, {"predictions": named})


def _grade(task: Task, values: Row, decided: Row, top: int) -> Answer:
    grades, number = cast("Ordinal", task).grades, float(values[0])
    grade = int(np.floor(float(decided[0]) + 0.5).clip(grades[0], grades[-1]))
    return Answer({"grade": str(grade), "number": f"{number:.4f}"}, {"grade": grade, "number": number})


def _several(task: Task, values: Row, decided: Row, top: int) -> Answer:
    cells, targets = {}, {}
    for block in cast("Several", task).blocks:
        said = answer(block.task, values[block.columns], decided[block.columns], 1)
        targets[block.name] = said.record
        cells[block.name] = " ".join(said.cells.values())
    return Answer(cells, {"targets": targets})


def _by_column(task: Task, values: Row) -> dict[str, float]:
    return {name: float(value) for name, value in zip(task.columns, values, strict=True)}


_KINDS: dict[type[Task], Say] = {
    SingleLabel: _classes,
    MultiLabel: _labels,
    Ordinal: _grade,
    Regression: _numbers,
    Several: _several,
}
