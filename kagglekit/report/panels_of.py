"""The panels of each kind of target: the only place of the report that knows the kinds apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kagglekit.report.label_errors import class_errors, label_set_errors
from kagglekit.report.label_sections import label_part, threshold_section
from kagglekit.report.number_sections import grade_part, number_part
from kagglekit.report.predicted import Predicted
from kagglekit.report.predictions import single_label_part
from kagglekit.report.sections import Sections
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.several import Block, Several
from kagglekit.tasks.single_label import SingleLabel

if TYPE_CHECKING:
    from kagglekit.report.sections import Part
    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.tasks.task import Task

    Build = Callable[[Predicted, Thumbnails], list[Part]]


@dataclass(frozen=True)
class Kind:
    """How the report shows a kind of target.

    Attributes:
        build: Its panels.
        one_unit: Its training and valid loss are the same quantity, in nats.
        errors: The rows of label-errors.csv.
    """

    build: Build
    one_unit: bool = True
    errors: Callable[[Predicted], list[dict[str, Any]]] = lambda _: []


def kind_of(task: type[Task]) -> Kind | None:
    """Return how a kind of task is shown; a plugin's own like the one that it extends, or None."""
    return next((_KINDS[each] for each in task.__mro__ if each in _KINDS), None)


def parts_of(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    """Return the panels of predictions; none for a kind that has none."""
    kind = kind_of(type(seen.task))
    return kind.build(seen, pictures) if kind and seen.ids else []


def label_errors_of(seen: Predicted) -> list[dict[str, Any]]:
    """Return the rows of label-errors.csv; none for a kind whose labels cannot be judged."""
    kind = kind_of(type(seen.task))
    return kind.errors(seen) if kind and seen.ids else []


def _single(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    decision = [Sections([threshold_section(seen)]).part()] if seen.decided.curves else []
    return [single_label_part(seen, pictures), *decision]


def _labels(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    return [label_part(seen, pictures)]


def _numbers(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    return [number_part(seen, pictures)]


def _grades(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    return [grade_part(seen, pictures, cast("Ordinal", seen.task))]


def _several(seen: Predicted, pictures: Thumbnails) -> list[Part]:
    """Return the panels of each target; targets of labels, and those of numbers, share theirs."""
    blocks = cast("Several", seen.task).blocks
    joined: dict[object, list[Block]] = {}
    for block in blocks:
        alone = not isinstance(block.task, MultiLabel) and type(block.task) is not Regression
        joined.setdefault(block.name if alone else type(block.task), []).append(block)
    found = []
    for number, group in enumerate(joined.values(), 1):
        title = group[0].name if len(group) == 1 else ", ".join(block.name for block in group)
        for part in parts_of(_own(seen, group), pictures):
            found.append(replace(part, title=title, prefix=f"target{number}-"))
    return found


def _own(seen: Predicted, group: Sequence[Block]) -> Predicted:
    """Return the predictions of targets of one kind, for the images that at least one of them is known for."""
    if len(group) == 1:
        known, truth = group[0].own_truth(seen.truth)
        task, columns = group[0].task, np.arange(group[0].columns.start, group[0].columns.stop)
    else:
        columns = np.concatenate([np.arange(block.columns.start, block.columns.stop) for block in group])
        all_truth = seen.truth[:, columns]
        known = ~np.isnan(all_truth).all(axis=1)
        task, truth = _joined([block.task for block in group]), all_truth[known]
    ids = tuple(image for image, there in zip(seen.ids, known, strict=True) if there)
    return Predicted(ids, task, truth, seen.values[known][:, columns], seed=seen.seed, out_of_fold=seen.out_of_fold)


def _joined(tasks: Sequence[Task]) -> Task:
    columns = tuple(name for task in tasks for name in task.columns)
    if isinstance(tasks[0], Regression):
        numbers = cast("Sequence[Regression]", tasks)
        mean, std = (tuple(x for task in numbers for x in getattr(task, name)) for name in ("mean", "std"))
        return Regression(columns, mean, std)
    return MultiLabel(columns)


_KINDS: dict[type[Task], Kind] = {
    SingleLabel: Kind(_single, errors=class_errors),
    MultiLabel: Kind(_labels, errors=label_set_errors),
    Regression: Kind(_numbers, one_unit=False),
    Ordinal: Kind(_grades, one_unit=False),
    Several: Kind(_several, one_unit=False),
}
