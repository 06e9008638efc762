"""Labelled images that no training sees (``--drop``), for example those whose label is probably wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.planning.plan import Plan


def read_dropped(file: Path) -> tuple[str, ...]:
    """Return the different ids in the column ``id`` of a CSV, in their order.

    Raises:
        UserError: There is no such file or column, or it has no ids.
    """
    from kagglekit.data.csv_file import read_csv

    rows = read_csv(file)
    if list(rows.columns).count("id") != 1:
        raise UserError(
            f"{file} has the columns {listing(list(rows.columns))}, but no column id",
            "--drop needs a CSV with the ids of labelled images in the column id, such as a run's label-errors.csv",
        )
    ids = tuple(dict.fromkeys(image for image in rows["id"] if image))
    if not ids:
        raise UserError(f"{file} has no ids", "leave out --drop, or list the ids of labelled images")
    return ids


def check_known(table: pd.DataFrame, dropped: Sequence[str], data: Path) -> None:
    """Refuse ids that no labelled image has: they would be left in training without a word.

    Raises:
        UserError: There are some; the message names the first ones.
    """
    known = set(table.loc[table["split"] != "test", "id"])
    if unknown := [image for image in dropped if image not in known]:
        raise UserError(
            f"--drop: {len(unknown)} of {len(dropped)} ids are not labelled images of {data}: {listing(unknown)}",
            "list ids as in the image table: those in a run's valid.csv",
        )


def hash_of(dropped: Sequence[str]) -> str:
    """Return a hash of the ids, whatever their order; empty for none."""
    return blake2b(json.dumps(sorted(dropped)).encode(), digest_size=16).hexdigest() if dropped else ""


def without_dropped(plan: Plan) -> pd.DataFrame:
    """Return the plan's image table without the dropped training images.

    Valid images stay: a score without its most difficult images would flatter.

    Raises:
        UserError: No training image would be left, or none of a class.
    """
    if not plan.dropped:
        return plan.table
    gone = (plan.table["split"] == "train") & plan.table["id"].isin(plan.dropped)
    table = plan.table[~gone].reset_index(drop=True)
    labels = table.loc[table["split"] == "train", "label"].tolist()
    missing = plan.task.unseen(plan.task.encode(labels)) if labels else ["any class"]
    if not labels or (missing and plan.task.needs_each):
        raise UserError(f"--drop leaves no training image of {listing(missing)}", "leave some of their ids in training")
    return table


def describe_dropped(plan: Plan, table: pd.DataFrame) -> str:
    """Return the line that says how many images were dropped from a plan's table."""
    gone, before = len(plan.table) - len(table), int((plan.table["split"] == "train").sum())
    held = int(((plan.table["split"] == "valid") & plan.table["id"].isin(plan.dropped)).sum())
    stay = f"; {held:,} of the {len(plan.dropped):,} ids are valid images, which stay valid" if held else ""
    return f"dropped {gone:,} of {before:,} training images{stay}"
