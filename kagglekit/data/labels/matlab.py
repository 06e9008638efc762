"""Build an image table from MATLAB files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.labels.mat_file import mat_numbers
from kagglekit.data.labels.rows import joined, rows_of, stems_of
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def labels_from_mat(
    labels: Path,
    splits: Path,
    *,
    images: Path,
    name: str,
    variables: Mapping[str, str],
    label_variable: str = "labels",
    class_names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read labels and splits from two MATLAB files (up to version 7).

    Args:
        labels: The file with the class number of every image, in `label_variable`.
        splits: The file with the image numbers, from 1, of each split.
        images: The folder of the images.
        name: File name by number: ``image_{:05d}.jpg``. Ids are file names without suffix.
        variables: The split of each variable of `splits`: ``{"trnid": "train", "tstid": "test"}``.
        label_variable: The variable of `labels` that holds the class numbers.
        class_names: Names by number, both text; None for the numbers themselves.

    Raises:
        UserError: A file or variable is missing, an image number has no label, or a class number no name.
    """
    read, of_splits = mat_numbers({labels: [label_variable], splits: list(variables)})
    numbers = [str(number) for number in read[label_variable]]
    if class_names is not None:
        numbers = _named(numbers, class_names)
    tables = []
    for variable, wanted in of_splits.items():
        beyond = [number for number in wanted if not 1 <= number <= len(numbers)]
        if beyond:
            raise UserError(
                f"{splits}: {variable} has image numbers outside 1 to {len(numbers)}, the labelled images: "
                f"{listing(beyond)}"
            )
        names = [name.format(number) for number in wanted]
        paths = [str(images / file) for file in names]
        tables.append(rows_of(stems_of(names), paths, [numbers[number - 1] for number in wanted], variables[variable]))
    return joined(tables)


def _named(numbers: Sequence[str], class_names: Mapping[str, str]) -> list[str]:
    without = sorted({number for number in numbers if number not in class_names}, key=int)
    if without:
        raise UserError(f"class numbers without a name: {listing(without)}")
    used = sorted(class_names[number] for number in set(numbers))
    twice = sorted({name for name, other in pairwise(used) if name == other})
    if twice:
        raise UserError(f"several class numbers have the same name: {listing(twice)}")
    return [class_names[number] for number in numbers]
