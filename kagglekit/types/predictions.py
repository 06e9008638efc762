"""Define the table of predictions, the same from one TTA pass to the final ensemble.

A DataFrame: index ``id`` (str), one column a class in the competition's fixed order, float32 probabilities.
Rows are found by id, never by position.
"""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.system.damage import BROKEN, reason
from kagglekit.system.errors import SameAgain, UserError, listing
from kagglekit.system.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

SUM_TOLERANCE = 1e-4  # float32 softmax over a thousand classes stays well within


def make_predictions(ids: Iterable[str], classes: Iterable[str], probabilities: ArrayLike) -> pd.DataFrame:
    """Make the table of predictions from ids (N), class names (C) and probabilities (N, C)."""
    import pandas as pd

    index = pd.Index([str(image) for image in ids], dtype="str", name="id")
    columns = pd.Index(list(classes), dtype="str")
    return pd.DataFrame(np.asarray(probabilities, dtype=np.float32), index=index, columns=columns)


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for a column of ours beside the classes' own: ``id``, or ``id_2`` if a class is called ``id``."""
    known = set(taken)
    return next(free for free in chain([name], (f"{name}_{n}" for n in count(2))) if free not in known)


def difference(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Describe how two sets of names differ: ``missing a, b; not expected: c``; empty if they do not."""
    import pandas as pd

    have, want = (pd.Index(list(names), dtype="str").unique() for names in (found, wanted))
    missing, extra = want[~want.isin(have)], have[~have.isin(want)]
    parts = [f"missing {listing(list(missing))}"] if len(missing) else []
    return "; ".join(parts + ([f"not expected: {listing(list(extra))}"] if len(extra) else []))


def check_predictions(table: pd.DataFrame, classes: Sequence[str], ids: Sequence[str] | None = None) -> None:
    """Check a table of predictions for one label an image.

    Args:
        table: The table that a model or plugin returned.
        classes: Its columns, in this order.
        ids: Its ids, in any order; None for no such check.

    Raises:
        UserError: Columns, ids, dtype or values are wrong; names the first offenders and their number.
    """
    check_columns_and_ids(table, classes, ids)
    check_probabilities(table.to_numpy(), table.index, "predictions", sum_to_1=True)


def check_columns_and_ids(table: pd.DataFrame, columns: Sequence[str], ids: Sequence[str] | None = None) -> None:
    """Check everything about a table of predictions but its values.

    Raises:
        UserError: Columns, ids or dtype are wrong; names the first offenders and their number.
    """
    _check_columns(table, columns)
    _check_index(table, ids)
    if any(dtype != np.float32 for dtype in table.dtypes.unique()):
        found = listing([str(dtype) for dtype in table.dtypes.unique()])
        raise UserError(f"predictions have columns of dtype {found}, not float32", "use make_predictions")


def check_finite(values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
    """Check that numbers (N, C) are finite.

    Raises:
        UserError: They are not. The message names the first ids at fault and their number.
    """
    finite: NDArray[np.bool_] = np.all(np.isfinite(values), axis=1)
    refuse_rows(ids, ~finite, f"{whose} are not finite", "the training may have diverged: try a lower lr")


def check_probabilities(values: NDArray[np.floating], ids: pd.Index, whose: str, *, sum_to_1: bool) -> None:
    """Check that numbers (N, C) are probabilities, optionally that each row sums to 1.

    Raises:
        UserError: They are not. The message names the first ids at fault and their number.
    """
    check_finite(values, ids, whose)
    inside: NDArray[np.bool_] = np.all((values >= 0) & (values <= 1), axis=1)
    refuse_rows(ids, ~inside, f"{whose} are not within [0, 1]", "return probabilities, not logits or percentages")
    if sum_to_1:
        sums: NDArray[np.float64] = values.sum(axis=1, dtype=np.float64)
        off: NDArray[np.bool_] = np.greater(np.abs(sums - 1), SUM_TOLERANCE)
        refuse_rows(ids, off, f"{whose} do not sum to 1 over the classes", "divide each row by its sum")


def _check_columns(table: pd.DataFrame, classes: Sequence[str]) -> None:
    if list(table.columns) == list(classes):
        return
    differences = difference(table.columns, classes) or "wrong order, or duplicates"
    raise UserError(f"predictions have the wrong columns: {differences}", "keep the order of the given classes")


def _check_index(table: pd.DataFrame, ids: Sequence[str] | None) -> None:
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].unique()
        raise UserError(f"predictions have duplicate ids: {listing(list(twice))}", "give each id one row")
    if ids is not None and (differences := difference(table.index, ids)):
        raise UserError(f"predictions have the wrong ids: {differences}", "give each image one row, under its id")


def refuse_rows(ids: pd.Index, bad: NDArray[np.bool_], what: str, hint: str) -> None:
    """Refuse the rows (N,) that are bad.

    Raises:
        SameAgain: There are some. The message names the first ids and their number.
    """
    if bad.any():
        raise SameAgain(f"{what} in {bad.sum()} of {len(ids)} rows: ids {listing(list(ids[bad]))}", hint)


def truth_numbers(labels: pd.Series[str], predictions: pd.DataFrame) -> NDArray[np.int64]:
    """Number the labels in the order of the predictions' rows.

    Args:
        labels: Class names by id; may hold further ids.
        predictions: A table of predictions, (N, C).

    Returns:
        (N,) int64: column of each row's class.

    Raises:
        UserError: An id has no label or several, or a label is no column.
    """
    import pandas as pd

    names = labels_in_order(labels, predictions)
    numbers = predictions.columns.get_indexer(pd.Index(names))
    if (numbers < 0).any():
        strange = names[numbers < 0].unique()
        raise UserError(
            f"labels that are not classes of the predictions: {listing(list(strange))}",
            "score with labels of the classes that were trained",
        )
    return np.asarray(numbers, dtype=np.int64)


def labels_in_order(labels: pd.Series[str], predictions: pd.DataFrame) -> pd.Series[str]:
    """Return the labels of the predictions' rows, in their order.

    Args:
        labels: Labels by id; may hold further ids.
        predictions: A table of predictions, (N, C).

    Raises:
        UserError: An id has no label or several.
    """
    known = labels.dropna()
    if not known.index.is_unique:
        raise UserError(
            f"ids with two labels: {listing(list(known.index[known.index.duplicated()].unique()))}",
            "keep one row for each id",
        )
    missing = predictions.index[~predictions.index.isin(known.index)]
    if len(missing):
        raise UserError(f"predicted ids without a label: {listing(list(missing))}", "score labelled images only")
    return known.loc[predictions.index]


def average(tables: Sequence[pd.DataFrame], weights: Sequence[float] | None = None) -> pd.DataFrame:
    """Average tables by id: sum in float64, in the first one's row order.

    Args:
        tables: Tables of the same ids and classes, at least one.
        weights: Weight of each table; None for the arithmetic mean (of equal tables: that table, bit for bit).

    Raises:
        UserError: Two tables differ in ids or classes.
    """
    first = tables[0]
    total = np.zeros(first.shape)
    for table, weight in zip(tables, weights or [1.0] * len(tables), strict=True):
        total += weight * aligned(table, first)
    return make_predictions(first.index, first.columns, total if weights else total / len(tables))


def aligned(table: pd.DataFrame, like: pd.DataFrame) -> NDArray[np.float64]:
    """Return a table's probabilities (N, C) float64 in the row order of another one.

    Raises:
        UserError: The tables differ in ids or classes.
    """
    _check_columns(table, list(like.columns))
    if table.index.equals(like.index):
        return table.to_numpy(dtype=np.float64)
    _check_index(table, list(like.index))
    return table.loc[like.index].to_numpy(dtype=np.float64)


def with_missing_rows(table: pd.DataFrame, ids: Sequence[str]) -> pd.DataFrame:
    """Return rows for all `ids`, in their order; ids that the table lacks get its mean prediction.

    Raises:
        UserError: The table is empty, or has rows of other ids.
    """
    import pandas as pd

    if list(table.index) == list(ids):
        return table
    strange = table.index[~table.index.isin(ids)]
    if len(strange):
        raise UserError(
            f"predictions have ids without an image: {listing(list(strange))}", "predict the listed images only"
        )
    if table.empty:
        raise UserError(f"none of {len(ids)} images could be read", "check the files")
    rows = table.reindex(pd.Index(list(ids), dtype="str", name="id"))
    rows.loc[~rows.index.isin(table.index)] = table.to_numpy().mean(axis=0, dtype=np.float64).astype(np.float32)
    return rows


def save_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write a table as .npz without loss; equal tables give equal bytes.

    It is not compressed: probabilities hardly shrink (4 %), and compression would take 50 times as long.
    """
    ids, classes = (np.array([name.encode() for name in names], "S") for names in (table.index, table.columns))
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, ids=ids, classes=classes, probabilities=np.ascontiguousarray(table.to_numpy(np.float32)))


def load_predictions(path: Path) -> pd.DataFrame:
    """Read a table that `save_predictions` wrote.

    Raises:
        UserError: The file does not exist, or holds no predictions.
    """
    try:
        with path.open("rb") as file, np.load(file) as stored:
            ids, classes = ([name.decode() for name in stored[key].tolist()] for key in ("ids", "classes"))
            return make_predictions(ids, classes, stored["probabilities"])
    except FileNotFoundError:
        raise UserError(f"there are no predictions at {path}", "predict again with that run") from None
    except (*BROKEN, OSError, MemoryError) as error:
        raise UserError(
            f"cannot read predictions from {path}: {reason(error)}", "delete it and predict again"
        ) from error
