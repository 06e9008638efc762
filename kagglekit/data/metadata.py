"""Read the columns beside the images that `Competition.metadata` names, and check them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError, listing
from kagglekit.types.ensemble import Metadata
from kagglekit.types.image_table import labelled_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

MOST_CATEGORIES = 250  # of a column; histogram-based trees know 255


def metadata_of(labelled: pd.DataFrame, test: pd.DataFrame, names: Sequence[str]) -> Metadata | None:
    """Return the columns `names` of rows with an ``id``; None if there are no names.

    A column is numerical if all known values of labelled images are numbers; a test image's value that is none is then
    missing. All other columns hold categories, as text.

    Args:
        labelled: The image table's rows of labelled images.
        test: Its rows of test images.
        names: Names of columns that both have.

    Returns:
        Float64 columns, nan where missing, and columns of text, None where missing.
    """
    import pandas as pd

    if not names:
        return None
    found = []
    for rows in (labelled, test):
        columns = {}
        for name in names:
            texts = [_text(value) for value in rows[name]]
            if _are_numbers(_text(value) for value in labelled[name]):
                columns[name] = pd.Series([_number(text) for text in texts], dtype="float64")
            else:
                columns[name] = pd.Series(texts, dtype=object)
        found.append(pd.DataFrame(columns).set_axis(pd.Index([str(image) for image in rows["id"]], name="id")))
    return Metadata(*found)


def metadata_rows(labelled: pd.DataFrame, ids: Iterable[str], names: Sequence[str]) -> list[dict[str, str]]:
    """Return ``id`` and the columns `names` of some labelled images as text, for the run's folder."""
    rows = labelled.set_index(labelled["id"].astype("str")).loc[list(ids)]
    texts = [[_text(value) or "" for value in rows[name]] for name in names]
    return [dict(zip(("id", *names), row, strict=True)) for row in zip(rows.index, *texts, strict=True)]


def check_metadata(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Check the columns that `Competition.metadata` names.

    Raises:
        UserError: The image table lacks them, or trees could not use them; lists every problem.
    """
    if missing := [name for name in names if name not in table]:
        raise UserError(
            f"the image table lacks columns that Competition.metadata names: {listing(missing)}",
            "return them from the labels hook, as labels_from_csv(..., metadata=[...]) does, or leave them out",
        )
    labelled, test = labelled_rows(table), table[table["split"] == "test"]
    if problems := [text for name in names if (text := _problem(name, labelled[name], test[name]))]:
        raise UserError(
            "columns of Competition.metadata cannot be used:\n" + "\n".join(f"  - {text}" for text in problems),
            "fix the labels hook, or leave these columns out of Competition.metadata",
        )


def _problem(name: str, labelled: pd.Series, test: pd.Series) -> str:
    known = [text for value in labelled if (text := _text(value)) is not None]
    if not known:
        return f"{name}: no labelled image has a value"
    if len(test) and all(_text(value) is None for value in test):
        return f"{name}: no test image has a value, so what is learnt from it could not be used"
    different = len(set(known))
    if different > MOST_CATEGORIES and not _are_numbers(known):
        return f"{name}: {different:,} different texts; at most {MOST_CATEGORIES} can be told apart as categories"
    return ""


def _text(value: object) -> str | None:
    """Return a cell as text; None for a missing one, which a CSV may hold as an empty or blank cell."""
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("<NA>", "NaT")
    return None if missing else str(value).strip() or None


def _number(text: str | None) -> float:
    try:
        number = float(text or "nan")
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _are_numbers(texts: Iterable[str | None]) -> bool:
    return all(text is None or not math.isnan(_number(text)) for text in texts)
