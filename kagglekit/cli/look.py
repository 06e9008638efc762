"""`kagglekit look`: what is in a data folder, and whether a run could use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.cli.options import data_option, pictures_option, preset_option
from kagglekit.eda.headers import MOST_HEADERS, read_headers

if TYPE_CHECKING:
    from kagglekit.eda.headers import Header


from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from kagglekit.hooks.calls import Hooks
    from kagglekit.system.console import Display
    from kagglekit.types.competition import Competition


@click.command()
@click.argument("competition")
@data_option("Unpacked data.")
@pictures_option("the plots")
@click.option("--no-pictures", is_flag=True, help="Print text only; compare no images.")
@preset_option("Preset whose views are drawn.")
def look(competition: str, data: Path | None, pictures: Path | None, no_pictures: bool, preset: str) -> None:
    """Check the images of COMPETITION in a data folder: classes, counts, sizes, and what is odd about them.

    Pictures show classes, sizes, samples of each class, near-duplicates, and an image as each stage sees it.
    """
    from kagglekit.data.table import check_table
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.planning.make import find_data
    from kagglekit.system.console import for_people
    from kagglekit.types.download import DownloadOptions
    from kagglekit.types.image_table import classes_of

    plugins, display = load(competition), for_people(False)
    for line in plugins.warnings:
        display.warn(line)
    hooks = Hooks(plugins, display.warn)
    facts = hooks.competition()
    folder = find_data(hooks, facts, plugins.competition, data, DownloadOptions(display))
    table, warnings = check_table(hooks.labels(folder), folder)
    display.report(f"{facts.title}: {len(table):,} images of {len(classes_of(table))} classes in {folder}")
    _show_splits(table, facts, display)
    _show_balance(table, display)
    headers = _show_sizes(table, hooks, display)
    for warning in [*warnings, *_sample_warnings(table, folder)]:
        display.warn(warning)
    if not no_pictures:
        _draw(table, headers, hooks, preset, pictures or Path("pictures") / plugins.competition, display)


def _draw(
    table: pd.DataFrame, headers: Sequence[Header], hooks: Hooks, preset: str, folder: Path, display: Display
) -> None:
    from kagglekit.eda.gallery import draw_data, draw_views
    from kagglekit.planning.choose import auto_preset

    forms = {form: sum(h.form == form for h in headers) for form in sorted({h.form for h in headers})}
    quantities = {"columns, px": [h.width for h in headers], "rows, px": [h.height for h in headers]}
    draw_data(table, {**quantities, "width / height": _aspects(headers)}, forms, hooks, folder, display)
    recipe = hooks.recipe(auto_preset("auto") if preset == "auto" else preset)
    draw_views(recipe, Path(str(table["path"].iloc[0])), hooks, folder / "views.png")
    display.report(f"pictures: {folder}")


def _aspects(headers: Sequence[Header]) -> list[float]:
    return [h.width / h.height for h in headers]


def _show_splits(table: pd.DataFrame, facts: Competition, display: Display) -> None:
    rows = []
    for split, part in table.groupby("split", sort=False):
        counts = part["label"].value_counts()
        fewest, most = (counts.min(), counts.max()) if len(counts) else ("", "")
        rows.append((split, f"{len(part):,}", f"{part['label'].notna().sum():,}", len(counts), fewest, most))
    display.table(("split", "images", "labelled", "classes", "fewest of a class", "most"), rows)
    if not (table["split"] == "valid").any():
        display.report("valid: a stratified part of train, held out by each run")
    if facts.known_test_labels:
        display.report("the test labels are known: they score finished predictions and nothing else")


def _show_balance(table: pd.DataFrame, display: Display) -> None:
    """Name the rarest and the most frequent classes among the labelled images."""
    labels = table.loc[table["split"] != "test", "label"]
    counts = labels.value_counts().sort_index().sort_values(kind="stable")
    words = [f"{label} {count:,}" for label, count in counts.items()]
    shown = words if len(words) <= 10 else [*words[:5], "...", *words[-5:]]
    display.report(f"labelled images of each class, the rarest first: {', '.join(shown)}")


def _show_sizes(table: pd.DataFrame, hooks: Hooks, display: Display) -> list[Header]:
    """Print how large the images are; return what their files say."""
    paths = table["path"].tolist()
    step = -(-len(paths) // MOST_HEADERS)
    headers, broken = read_headers(paths[::step], display)
    if broken and not hooks.reads_files_as_they_are():
        display.report(f"{len(broken):,} files are left to plugins ({hooks.reader()}): their sizes are not shown")
        broken = []
    for path, reason in broken[:5]:
        display.warn(f"cannot read {path}: {reason}")
    if len(broken) > 5:
        display.warn(f"cannot read {len(broken) - 5} more images")
    if not headers:
        return headers
    quantities: dict[str, Sequence[float]] = {
        "short side, px": [min(h.width, h.height) for h in headers],
        "long side, px": [max(h.width, h.height) for h in headers],
        "width / height": _aspects(headers),
    }
    rows = [(name, *(f"{value:.4g}" for value in _quantiles(values))) for name, values in quantities.items()]
    display.table((f"sizes of {len(headers):,} images", "least", "10 %", "half", "90 %", "most"), rows)
    forms = sorted({h.form for h in headers})
    display.report(f"formats: {', '.join(f'{form} {sum(h.form == form for h in headers):,}' for form in forms)}")
    return headers


def _quantiles(values: Sequence[float]) -> Iterator[float]:
    ordered = sorted(values)
    return (ordered[round(share * (len(ordered) - 1))] for share in (0, 0.1, 0.5, 0.9, 1))


def _sample_warnings(table: pd.DataFrame, folder: Path) -> Iterator[str]:
    """Compare the test images with sample_submission.csv, where there is one."""
    from kagglekit.data.submission import read_sample
    from kagglekit.system.errors import listing

    sample = read_sample(folder)
    if sample is None:
        return
    asked, there = set(sample.iloc[:, 0]), set(table.loc[table["split"] == "test", "id"])
    if asked - there:
        yield f"sample_submission.csv has ids without a test image: {listing(sorted(asked - there))}"
    if there - asked:
        yield f"test images are not in sample_submission.csv: {listing(sorted(there - asked))}"
