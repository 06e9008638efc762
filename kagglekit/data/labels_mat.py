"""Build an image table from MATLAB files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.data.label_rows import joined, rows_of, stems_of
from kagglekit.data.listing import existing_file
from kagglekit.system.damage import reason
from kagglekit.system.errors import UserError, listing, unknown

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
    numbers = [str(number) for number in _mat_variables(labels, [label_variable])[label_variable]]
    if class_names is not None:
        numbers = _named(numbers, class_names)
    tables = []
    for variable, wanted in _mat_variables(splits, list(variables)).items():
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


def _mat_variables(file: Path, wanted: Sequence[str]) -> dict[str, list[int]]:
    """Return the whole numbers in some variables of a MATLAB file."""
    from scipy.io import loadmat

    try:
        content = loadmat(existing_file(file))
    except UserError:
        raise
    except Exception as error:  # scipy raises anything on a damaged file, MemoryError for its sizes too
        raise UserError(f"cannot read {file} as a MATLAB file: {reason(error)}", "download it again") from error
    there = [variable for variable in content if not variable.startswith("__")]
    for variable in wanted:
        if variable not in there:
            raise UserError(f"{file}: {unknown('variable', variable, there)}")
    return {variable: _whole_numbers(content[variable], variable, file) for variable in wanted}


def _whole_numbers(values: Any, variable: str, file: Path) -> list[int]:
    import numpy as np

    array = np.asarray(values).ravel()
    if array.dtype.kind not in "iuf" or not bool((array == np.rint(array)).all()):
        raise UserError(f"{file}: {variable} does not hold whole numbers", "name another variable in the plugin")
    return [int(number) for number in array]


def _named(numbers: Sequence[str], class_names: Mapping[str, str]) -> list[str]:
    without = sorted({number for number in numbers if number not in class_names}, key=int)
    if without:
        raise UserError(f"class numbers without a name: {listing(without)}")
    used = sorted(class_names[number] for number in set(numbers))
    twice = sorted({name for name, other in pairwise(used) if name == other})
    if twice:
        raise UserError(f"several class numbers have the same name: {listing(twice)}")
    return [class_names[number] for number in numbers]
