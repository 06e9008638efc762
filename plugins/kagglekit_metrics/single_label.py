"""Choose the functions of metrics for one class an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kagglekit import BUILT_IN_METRICS, Competition, Score, UserError, listing
from kagglekit_metrics.of_classes import balanced_accuracy, macro_f, quadratic_kappa, weighted_f1
from kagglekit_metrics.of_images import accuracy, brier, log_loss, map_at, probabilistic_f1, top_error
from kagglekit_metrics.of_order import partial_auc_80, roc_auc, roc_auc_value, weighted_auc
from kagglekit_metrics.scoring import Asked, Scoring

if TYPE_CHECKING:
    from kagglekit_metrics.errors import Numbers, Table, Truth

    Scored = Callable[[Truth, Table], Score]

ONES = ("1", "1.0", "true")


def of_one_label(asked: Asked) -> Scoring:
    """Return the function of a metric of classes.

    Raises:
        UserError: It cannot be computed for these classes.
    """
    return Scoring(
        _score(asked.name, asked.competition, asked.columns), roc_auc_value if asked.name == "roc_auc" else None
    )


def _score(name: str, competition: Competition, classes: Sequence[str]) -> Scored:
    """Return the function of a metric; without classes, that of one which needs them fails when it is called."""
    if name in _OF_CLASS_NAMES and not classes:
        return partial(_without_classes, name)
    if name == "quadratic_kappa":
        return partial(quadratic_kappa, _values(name, classes))
    if name in _OF_TWO:
        return partial(_OF_TWO[name], _positive(name, competition, classes))
    return SCORES[name]


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


_OF_TWO: dict[str, Callable[[int, Truth, Table], Score]] = {
    "partial_auc_80": partial_auc_80,
    "weighted_auc": weighted_auc,
    "probabilistic_f1": probabilistic_f1,
}
_OF_CLASS_NAMES = ("quadratic_kappa", *_OF_TWO)
SCORES: dict[str, Scored] = {
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    # of one class an image, a wrong prediction is one false positive and one false negative
    **dict.fromkeys(("micro_f1", "micro_f2", "sets_f1", "sets_f2"), accuracy),
    "balanced_accuracy": balanced_accuracy,
    "roc_auc": roc_auc,
    "macro_f1": partial(macro_f, 1),
    "macro_f2": partial(macro_f, 2),
    "weighted_f1": weighted_f1,
    **{name: partial(map_at, facts.ranks) for name, facts in BUILT_IN_METRICS.items() if name.startswith("map_at_")},
    **{name: partial(top_error, facts.ranks) for name, facts in BUILT_IN_METRICS.items() if name.startswith("top_")},
}
