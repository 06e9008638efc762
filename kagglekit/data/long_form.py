"""CSV files with a row for each image and target: ``ID_4821_any``, ``IMG7__Dry_Clover_g``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ("__", "_", "-", ":", "/", ".", " ")


def split_ids(ids: Sequence[str], columns: Sequence[str], images: Container[str] = ()) -> list[tuple[str, str]] | None:
    """Return the image and the column that each id names; None if not all of them do.

    Args:
        ids: Of the rows of a CSV.
        columns: The columns of predictions.
        images: Known images: they decide where the name of one column ends with another one's.
    """
    separator = _separator(ids[0], columns) if len(ids) else None
    if separator is None:
        return None
    longest = sorted(columns, key=len, reverse=True)  # one name may end with another one
    found = []
    for each in ids:
        fitting = [name for name in longest if each.endswith(separator + name)]
        if not fitting:
            return None
        column = next((name for name in fitting if each[: -len(separator + name)] in images), fitting[0])
        found.append((each[: -len(separator + column)], column))
    return found


def _separator(first: str, columns: Iterable[str]) -> str | None:
    ends = [first.removesuffix(name) for name in columns if first.endswith(name) and first != name]
    return next((each for each in SEPARATORS for end in ends if end.endswith(each)), None)


def rows_about(sample: pd.DataFrame, images: Iterable[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a sample submission that are about some images: of a limited run."""
    wanted, ids = set(images), sample.iloc[:, 0]
    if ids.isin(wanted).any():
        return sample[ids.isin(wanted)]
    pairs = split_ids(ids.tolist(), columns, wanted)
    return sample[[image in wanted for image, _ in pairs]] if pairs else sample[ids.isin(wanted)]
