"""Detect what a sample submission asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.layout import Form, Labels, Sample, target_of
from kagglekit.authoring.detect.tables.cells import separator_of
from kagglekit.authoring.detect.tables.target import Target
from kagglekit.types.metric import needs

if TYPE_CHECKING:
    import pandas as pd

ONE, ZERO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def form_of(asked: Asked, labels: Labels, metric: str, name: str) -> Sample:
    """Detect what a sample submission asks for, given what is predicted.

    Args:
        asked: The sample submission.
        labels: The labels.
        metric: The competition's; empty if it is unknown.
        name: The sample's path, relative to the data folder.
    """
    target = target_of(labels)
    if target.task in ("single-label", "ordinal"):
        return sample_form(asked.rows, labels.classes, metric, name)
    columns = (asked.long.id_column, asked.long.value_column) if asked.long else tuple(map(str, asked.rows.columns))
    values = tuple(dict.fromkeys(asked.rows.iloc[:, 1]))
    form = _form_of_targets(asked, labels.classes, target)
    separator = separator_of([*values, *labels.classes]) or target.separator or " "
    return Sample(form, columns, None, {}, values[:5], name=name, separator=separator, long=asked.long)


def _form_of_targets(asked: Asked, names: Sequence[str], target: Target) -> Form:
    """Return the form of a sample submission for several labels, numbers or several targets."""
    kind: Form = "a column a target"
    if target.task == "multi-label":
        kind = "a column a label"
    elif target.task == "regression":
        kind = "a column a number"
    if asked.long:
        return "a row a target"
    if set(asked.columns) == set(names) and (not asked.is_single or target.task == "regression"):
        return kind if not asked.is_single else "one number"
    if asked.is_single and target.task == "regression" and len(names) == 1:
        return "one number"
    return "sets of labels" if asked.is_single and target.task == "multi-label" else "unknown"


def sample_form(
    sample: pd.DataFrame, classes: Sequence[str], metric: str, name: str = "sample_submission.csv"
) -> Sample:
    """Detect what a sample submission asks for.

    Args:
        sample: Its rows, all as text.
        classes: Of the labels.
        metric: The competition's, which decides where the values fit several forms; empty if it is unknown.
        name: Its path, relative to the data folder.
    """
    columns = tuple(map(str, sample.columns))
    values = tuple(dict.fromkeys(sample.iloc[:, 1]))
    spelling = _spelling(classes, columns[1:] if len(columns) > 2 else values)
    renamed = {spelling.get(name, name) for name in classes}
    form: Form = "unknown"
    unlabelled: tuple[str, ...] = ()
    if set(columns[1:]) == renamed:
        form = "a column a class"
    elif len(columns) > 2 and (renamed < set(columns[1:]) or set(columns[1:]) < renamed):
        form = "a column a class"  # some of the images are missing, or of the columns
        unlabelled = tuple(name for name in columns[1:] if name not in renamed)
    elif len(columns) == 2:
        form = _one_column(values, renamed, metric)
    positive = _positive(columns[1], classes) if form == "probability of one class" else None
    doubtful = not metric and len(columns) == 2 and _are_zero_and_one(classes) and set(values) <= renamed
    used = {} if form == "probability of one class" else spelling  # a CSV of numbers names no class
    ranked = form == "class names" and not set(values) <= renamed  # a class may have blanks in its name
    names = max(len(value.split()) for value in values) if ranked else 1
    return Sample(form, columns, positive, used, values[:5], doubtful, name, max(names, 1), unlabelled=unlabelled)


def _one_column(values: Sequence[str], classes: set[str], metric: str) -> Form:
    if len(classes) == 2 and needs(metric) == "probabilities":
        return "probability of one class"
    if not metric and _are_zero_and_one(classes) and len(values) == 1 and set(values) <= classes:
        return "probability of one class"  # a column of zeros is a placeholder, most often of a competition for AUC
    if set(values) <= classes:
        return "class names"
    if {word for value in values for word in value.split()} <= classes:
        ranked = any(len(value.split()) > 1 for value in values)
        blanks = any(len(name.split()) > 1 for name in classes)  # then nobody could read where a name ends
        return "unknown" if ranked and blanks else "class names"
    return "probability of one class" if len(classes) == 2 and _are_numbers(values) and not metric else "unknown"


def _positive(column: str, classes: Sequence[str]) -> str | None:
    """Return the class whose probability a column holds, if its name or the classes' names say so."""
    ones = [name for name in classes if name.lower() in ONE]
    return column if column in classes else ones[0] if _are_zero_and_one(classes) else None


def _are_zero_and_one(classes: Sequence[str] | set[str]) -> bool:
    names = {name.lower() for name in classes}
    return len(names) == 2 and any({zero, one} == names for zero, one in zip(ZERO, ONE, strict=True))


def _are_numbers(values: Sequence[str]) -> bool:
    import pandas as pd

    return bool(pd.to_numeric(pd.Series(values), errors="coerce").notna().all())


def _spelling(classes: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Match names that differ only in case, blanks, hyphens and underscores."""
    plain = {re.sub(r"[\W_]+", "", name).lower(): name for name in wanted}
    found = {name: plain.get(re.sub(r"[\W_]+", "", name).lower(), name) for name in classes}
    return {name: other for name, other in found.items() if other != name} if len(set(found.values())) > 1 else {}
