"""The text of `kagglekit look`: splits, class balance, image sizes, mismatches with the sample submission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.data.listing import suffix_of
from kagglekit.data.long_form import split_ids
from kagglekit.data.sample import Sample, no_sample, sample_for
from kagglekit.eda.anomalies import warn_of_blank, warn_of_thin
from kagglekit.eda.headers import MOST_HEADERS, read_headers
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import listing
from kagglekit.types.image_table import COLUMNS, OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from kagglekit.eda.headers import Header
    from kagglekit.eda.target import Target
    from kagglekit.hooks.calls import Hooks
    from kagglekit.system.display.console import Display
    from kagglekit.types.competition import Competition

MOST_NAMED = 5  # unreadable files
MOST_DECODED = 1_000  # images whose header Pillow cannot read
SHARED = {"group": "groups of labelled images, which splits keep whole", "row": "rows that labelled images share"}


def show_summary(
    target: Target[Any], folder: Path, hooks: Hooks, display: Display, sample: Path | None = None
) -> list[Header]:
    """Print a summary of an image table; return the headers of its images.

    Args:
        target: What is predicted, in an image table as read by `read_table`.
        folder: The data folder.
        hooks: The plugins.
        display: Where to print.
        sample: The sample submission; None to look for one.

    Raises:
        UserError: The sample submission cannot be read, or several files could be it.
    """
    table = target.table
    _show_splits(target, hooks.competition(), display)
    target.show(display)
    _show_shared(target, display)
    known = (*COLUMNS, *OPTIONAL, *hooks.competition().targets)
    if further := [str(name) for name in table.columns if name not in known]:
        display.report(f"further columns: {listing(further)}")
    headers = _show_sizes(table, hooks, display)
    warn_of_thin(headers, display)
    warn_of_blank(table["path"].tolist(), hooks, display)
    if found := sample_for(table, folder, target.task.columns, sample):
        _show_sample(target, found, hooks.competition(), display)
    elif (table["split"] == "test").any() and hooks.competition().slug:
        display.warn(no_sample(folder))
    return headers


def _show_splits(target: Target[Any], facts: Competition, display: Display) -> None:
    rows = []
    for split, part in target.table.groupby("split", sort=False):
        rows.append((split, f"{len(part):,}", f"{part['label'].notna().sum():,}", *target.of_split(part)))
    display.table(("split", "images", "labelled", *target.heads), rows)
    if not (target.table["split"] == "valid").any():
        display.report("valid: each run holds out a stratified part of train")
    if facts.known_test_labels:
        display.report("test labels are known: they score finished predictions, and nothing else")


def _show_shared(target: Target[Any], display: Display) -> None:
    """Print how many labelled images share a group, and how many share a row of the CSV."""
    for column, what in SHARED.items():
        if column in target.labelled and len(sizes := target.labelled[column].value_counts()):
            display.report(
                f"{what}: {len(sizes):,}, with {sizes.min():,} to {sizes.max():,} images, median {sizes.median():g}"
            )


def _show_sizes(table: pd.DataFrame, hooks: Hooks, display: Display) -> list[Header]:
    """Print the images' sizes and formats; return their headers."""
    paths = table["path"].tolist()
    step = -(-len(paths) // MOST_HEADERS)
    headers, broken = read_headers(paths[::step], display)
    if broken and not hooks.reads_files_as_they_are():
        display.report(f"{len(broken):,} files are read by plugins ({hooks.reader()}): their sizes are not shown")
        broken = []
    decoded = {path: header for path, _ in broken[:MOST_DECODED] if (header := _header_by_decoding(path, hooks))}
    headers += decoded.values()
    broken = [each for each in broken if each[0] not in decoded]
    for path, reason in broken[:MOST_NAMED]:
        display.warn(f"cannot read {printable(path)}: {reason}")
    if len(broken) > MOST_NAMED:
        display.warn(f"cannot read {len(broken) - MOST_NAMED} more images")
    if not headers:
        return headers
    quantities: dict[str, Sequence[float]] = {
        "short side, px": [min(h.width, h.height) for h in headers],
        "long side, px": [max(h.width, h.height) for h in headers],
        "width / height": [h.aspect for h in headers],
    }
    rows = [(name, *(f"{value:.4g}" for value in _quantiles(values))) for name, values in quantities.items()]
    display.table((f"sizes of {len(headers):,} images", "min", "10 %", "median", "90 %", "max"), rows)
    forms = sorted({h.form for h in headers})
    display.report(f"formats: {', '.join(f'{form} {sum(h.form == form for h in headers):,}' for form in forms)}")
    return headers


def _header_by_decoding(path: str, hooks: Hooks) -> Header | None:
    """Return size and format of an image whose header Pillow cannot read; None if it cannot be decoded either."""
    try:
        height, width = hooks.read_values(Path(path), 0).shape[:2]
    except Exception:  # readers raise anything on damaged files
        return None
    return Header(width, height, suffix_of(path).lstrip(".").upper() or "other", path)


def _quantiles(values: Sequence[float]) -> Iterator[float]:
    ordered = sorted(values)
    return (ordered[round(share * (len(ordered) - 1))] for share in (0, 0.1, 0.5, 0.9, 1))


def _show_sample(target: Target[Any], sample: Sample, competition: Competition, display: Display) -> None:
    """Print the sample submission's form; warn if it is about other images, or other rows of several images."""
    name, rows = sample.file.name, sample.rows
    display.report(f"sample submission: {name}, {len(rows):,} rows, columns {listing(list(rows.columns))}")
    test = target.table[target.table["split"] == "test"]
    there = set(test["row"].astype("str") if competition.rows else test["id"])
    wanted = _named_by(rows.iloc[:, 0].tolist(), there, target)
    images = "rows of test images" if competition.rows else "test images"
    if wanted - there:
        display.warn(f"ids in {name} without a test image: {listing(sorted(wanted - there))}")
    if there - wanted:
        display.warn(f"{images} missing from {name}: {listing(sorted(there - wanted))}")


def _named_by(ids: Sequence[str], known: set[str], target: Target[Any]) -> set[str]:
    """Return what ids of a CSV name: what is before the target where there is a row for each one, else the ids."""
    pairs = None if known & set(ids) else split_ids(ids, target.task.targets, known)
    return {image for image, _ in pairs} if pairs else set(ids)
