"""Define the image table: its columns, classes, groups and folds, and the key of its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.system.errors import UserError, listing
from kagglekit.system.members import why_no_key

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


SPLITS = ("train", "valid", "test")
COLUMNS = ("id", "path", "label", "split")
OPTIONAL = ("group", "row", "weight")
KEY = "key"  # of an image in a container, before it is joined to the path


def with_joined_keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return an image table whose paths are those of members, ``train.h5/images/17``, instead of paths and keys.

    A table without the column ``key`` is returned as it is; rows without a key are files.

    Raises:
        UserError: A key cannot be a part of a path.
    """
    if KEY not in table:
        return table
    keys = [_as_key(value) if there else None for value, there in zip(table[KEY], table[KEY].notna(), strict=True)]
    if wrong := [f"{key!r} ({why})" for key in keys if key is not None and (why := why_no_key(key))]:
        raise UserError(f"keys that cannot name a member of a file: {listing(wrong)}", "fix the labels hook's table")
    paths = [path if key is None else f"{path}/{key}" for path, key in zip(table["path"], keys, strict=True)]
    return table.drop(columns=KEY).assign(path=paths)


def _as_key(value: object) -> object:
    """Return a position as text; pandas turns whole numbers into floating-point ones if some are missing."""
    whole = isinstance(value, (int, np.integer)) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if whole and not isinstance(value, bool) else value  # type: ignore[call-overload]


def labelled_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the train and valid images."""
    return table[table["split"] != "test"]


def data_key(table: pd.DataFrame, data: Path, classes: Sequence[str]) -> str:
    """Hash the image table (ids, names below the data folder, labels, split) and the columns of predictions."""
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
