"""Define the image table: its columns, classes, groups and folds, and the key of its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


SPLITS = ("train", "valid", "test")
COLUMNS = ("id", "path", "label", "split")
OPTIONAL = ("group",)


def classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the class names of the labelled images, sorted: the order of probabilities everywhere.

    Raises:
        UserError: There are fewer than two.
    """
    classes = tuple(sorted(set(table.loc[table["split"] != "test", "label"])))
    if len(classes) < 2:
        raise UserError(
            f"at least two classes are needed; the labelled images have {listing(classes) or 'none'}",
            "check the labels",
        )
    return classes


def data_key(table: pd.DataFrame, data: Path, classes: Sequence[str]) -> str:
    """Hash the image table (ids, names below the data folder, labels, split) and the classes."""
    hashed = blake2b(json.dumps(list(classes)).encode(), digest_size=16)
    for image, path, label, split in table[["id", "path", "label", "split"]].itertuples(index=False):
        name = str(path).removeprefix(str(data))
        hashed.update(json.dumps([str(image), name, label if isinstance(label, str) else None, split]).encode())
    return hashed.hexdigest()


def fold_table(table: pd.DataFrame, folds: NDArray[np.int64], number: int) -> pd.DataFrame:
    """Return the image table of one fold: its images are valid, all other labelled ones train."""
    splits = np.where(folds == 0, "test", np.where(folds == number, "valid", "train")).astype(object)
    return table.assign(split=splits)


def group_numbers(table: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Number the groups of rows; an image without a group forms its own. Return None if there are no groups."""
    if "group" not in table or not table["group"].notna().any():
        return None
    known, names = table["group"].notna().to_numpy()[rows], table["group"].to_numpy(dtype=object)[rows]
    keys = [
        f"group {name}" if there else f"image {i}" for i, (name, there) in enumerate(zip(names, known, strict=True))
    ]
    numbers: NDArray[np.int64] = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return numbers
