"""Rows of an image table, as the functions that read labels return them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.data.listing import stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd


def rows_of(ids: Sequence[str], paths: Sequence[str], labels: Sequence[str | None] | None, split: str) -> pd.DataFrame:
    """Return rows of one split; `labels` None for unknown ones."""
    import pandas as pd

    columns = {"id": ids, "path": paths, "label": [None] * len(ids) if labels is None else labels}
    return pd.DataFrame({**columns, "split": [split] * len(ids)}, dtype=object)


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several tables."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def stems_of(names: Iterable[str]) -> list[str]:
    """Return file names without their image suffixes."""
    return [stem_of(name) for name in names]
