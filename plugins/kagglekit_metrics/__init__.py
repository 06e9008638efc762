"""Provide the built-in metrics, each with its standard error.

All are a few lines of numpy: importing scikit-learn would take longer than most runs spend on scoring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kagglekit import BUILT_IN_METRICS, Competition, Metric, Provides, UserError, hookimpl, listing
from kagglekit_metrics.multi_label import of_several_labels
from kagglekit_metrics.ordinal import of_grades
from kagglekit_metrics.regression import of_numbers
from kagglekit_metrics.scoring import Asked, Scoring, is_known
from kagglekit_metrics.several import of_blocks
from kagglekit_metrics.single_label import of_one_label

if TYPE_CHECKING:
    from kagglekit import Task

MOST_NAMED = 50  # metrics that fit, in a hint


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the metrics' names."""
    return Provides(metric=tuple(BUILT_IN_METRICS))


def kagglekit_metric(competition: Competition, classes: Sequence[str] = (), task: Task | None = None) -> Metric | None:
    """Return a metric like `metric_of`, without classes and task: for other plugins that call this one."""
    return metric_of(competition, classes, task)


@hookimpl(specname="kagglekit_metric")
def metric_of(competition: Competition, classes: Sequence[str], task: Task | None) -> Metric | None:
    """Return the competition's metric if it is one of these; without a task, that of the first kind it is for.

    Raises:
        UserError: It cannot be computed for this task or these classes.
    """
    name = competition.metric
    if name not in BUILT_IN_METRICS:
        return None
    columns = tuple(classes) or (task.columns if task else ())
    scoring = _scoring(Asked(name, competition, columns, task))
    quick = _checked(name, scoring.value) if scoring.value else None
    return Metric(name, _checked(name, scoring.score), BUILT_IN_METRICS[name].greater_is_better, quick)


def _checked(name: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a function that refuses images without labels."""

    def checked(truth: Any, predictions: Any) -> Any:
        if not is_known(truth):
            raise UserError(f"cannot compute {name} without labelled images", "hold out more images")
        return function(truth, predictions)

    return checked


def _scoring(asked: Asked) -> Scoring:
    """Return the function of a metric for a kind of task.

    Raises:
        UserError: It is for other kinds, or cannot be computed for these columns.
    """
    fitting = BUILT_IN_METRICS[asked.name].tasks
    if asked.task is None:
        needs_task = fitting[0] in NEED_A_TASK
        return Scoring(partial(_without_task, asked.name)) if needs_task else _KINDS[fitting[0]](asked)
    kind = next((each for each in asked.task.kinds() if each in _KINDS), None)
    if kind is None or kind not in fitting:
        raise UserError(
            f"{asked.name} is for {_and(fitting)} tasks, but {asked.competition.title} is a {asked.task.kind} task",
            f"{_task_for(asked.name)}set Competition.metric to one of "
            f"{listing(_metrics_of(kind), MOST_NAMED) or 'a plugin'}",
        )
    return _KINDS[kind](asked)


def _task_for(name: str) -> str:
    """Return the beginning of a hint: the task that a metric is for, if it is for numbers or for one kind alone."""
    facts = BUILT_IN_METRICS[name]
    one = facts.needs == "numbers" or len(facts.tasks) == 1
    return f'set Competition(task="{facts.tasks[0]}"), or ' if one else ""


def _metrics_of(kind: str | None) -> list[str]:
    return [name for name, facts in BUILT_IN_METRICS.items() if kind in facts.tasks]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _without_task(name: str, truth: Any, predictions: Any) -> Any:
    raise UserError(f"{name} cannot be computed without a task", "pass a task to Hooks.metric")


NEED_A_TASK = ("ordinal", "several")
_KINDS: dict[str, Callable[[Asked], Scoring]] = {
    "single-label": of_one_label,
    "multi-label": of_several_labels,
    "regression": of_numbers,
    "ordinal": of_grades,
    "several": lambda asked: of_blocks(asked, _scoring),
}
