"""Decide whether a competition's data should lead to a submission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.data.listing import entries_of, is_hidden
from kagglekit.data.sample import samples_named
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from kagglekit.types.competition import Competition


def why_submission(data: Path, competition: Competition) -> str:
    """Return why a submission is expected, as a sentence; empty if nothing says so.

    Args:
        data: The data folder.
        competition: The competition's facts.
    """
    if files := samples_named(data):
        return f"{files[0].name} asks for predictions"
    named = [entry.name for entry in entries_of(data) if entry.name.lower().startswith("test")]
    if tests := sorted(name for name in named if not is_hidden(name)):
        return f"{data} has {listing(tests, 3)}"
    return f"the competition is on Kaggle as {competition.slug}" if competition.slug else ""


def check_tests(table: pd.DataFrame, data: Path, competition: Competition) -> None:
    """Check that there are test images where a submission is expected.

    Args:
        table: The image table.
        data: The data folder.
        competition: The competition's facts.

    Raises:
        UserError: There are none, so that no CSV could be written.
    """
    if not (table["split"] == "test").any() and (why := why_submission(data, competition)):
        raise UserError(
            f"no test images, so no submission could be written, but {why}",
            "return rows of split 'test' from kagglekit_labels, or train without a submission: --no-submission",
        )
