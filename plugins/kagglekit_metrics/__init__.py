"""Provide the built-in metrics, each with its standard error.

All are a few lines of numpy: importing scikit-learn would take longer than most runs spend on scoring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import BUILT_IN_METRICS, Competition, Metric, Provides, Score, UserError, hookimpl, listing
from kagglekit_metrics.of_classes import balanced_accuracy, macro_f, quadratic_kappa, weighted_f1
from kagglekit_metrics.of_images import accuracy, brier, log_loss, map_at, probabilistic_f1, top_error
from kagglekit_metrics.of_order import partial_auc_80, roc_auc, roc_auc_value

if TYPE_CHECKING:
    from kagglekit_metrics.errors import Numbers, Table, Truth

    Scored = Callable[[Truth, Table], Score]

ONES = ("1", "1.0", "true")


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the metrics' names."""
    return Provides(metric=tuple(BUILT_IN_METRICS))


def kagglekit_metric(competition: Competition, classes: Sequence[str] = ()) -> Metric | None:
    """Return a metric like `metric_of`, without the names of the classes: for other plugins that call this one."""
    return metric_of(competition, classes)


@hookimpl(specname="kagglekit_metric")
def metric_of(competition: Competition, classes: Sequence[str]) -> Metric | None:
    """Return the competition's metric if it is one of these.

    Raises:
        UserError: It cannot be computed for these classes.
    """
    name = competition.metric
    if name not in BUILT_IN_METRICS:
        return None
    score = _score(name, competition, classes)

    def checked(truth: Truth, probabilities: Table) -> Score:
        if not len(truth):
            raise UserError(f"cannot compute {name} without labelled images", "hold out more images")
        return score(truth, probabilities)

    quick = roc_auc_value if name == "roc_auc" else None
    return Metric(name, checked, BUILT_IN_METRICS[name].greater_is_better, quick)


def _score(name: str, competition: Competition, classes: Sequence[str]) -> Scored:
    """Return the function of a metric; without classes, that of one which needs them fails when it is called."""
    if name in _OF_CLASS_NAMES and not classes:
        return partial(_without_classes, name)
    if name == "quadratic_kappa":
        return partial(quadratic_kappa, _values(name, classes))
    if name in ("partial_auc_80", "probabilistic_f1"):
        function = partial_auc_80 if name == "partial_auc_80" else probabilistic_f1
        return partial(function, _positive(name, competition, classes))
    return _SCORES[name]


def _without_classes(name: str, truth: Truth, probabilities: Table) -> Score:
    raise UserError(f"{name} cannot be computed without the names of the classes", "pass classes to Hooks.metric")


def _values(name: str, classes: Sequence[str]) -> Numbers:
    """Return the number (C,) that each class is."""
    wrong = [each for each in classes if not _is_number(each)]
    if wrong:
        raise UserError(
            f"{name} needs classes that are numbers, but these are not: {listing(wrong)}",
            "name the classes 0, 1, 2, ... in the labels hook, or choose another metric",
        )
    return np.array([float(each) for each in classes])


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _positive(name: str, competition: Competition, classes: Sequence[str]) -> int:
    """Return the number of the positive class: `Competition.positive`, or the class called 1."""
    if len(classes) != 2:
        raise UserError(f"{name} is computed for two classes, but there are {len(classes)}", "choose another metric")
    ones = [each for each in classes if each.lower() in ONES]
    positive = competition.positive or (ones[0] if len(ones) == 1 else "")
    if positive not in classes:
        raise UserError(
            f"{name} needs the positive class, which is not known: the classes are {listing(classes)}",
            "set Competition.positive to one of them",
        )
    return list(classes).index(positive)


_OF_CLASS_NAMES = ("quadratic_kappa", "partial_auc_80", "probabilistic_f1")
_SCORES: dict[str, Scored] = {
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "micro_f1": accuracy,  # of one class an image, a wrong prediction is one false positive and one false negative
    "balanced_accuracy": balanced_accuracy,
    "roc_auc": roc_auc,
    "macro_f1": partial(macro_f, 1),
    "macro_f2": partial(macro_f, 2),
    "weighted_f1": weighted_f1,
    **{name: partial(map_at, facts.ranks) for name, facts in BUILT_IN_METRICS.items() if name.startswith("map_at_")},
    **{name: partial(top_error, facts.ranks) for name, facts in BUILT_IN_METRICS.items() if name.startswith("top_")},
}
