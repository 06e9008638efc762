"""Check that the plugin written for a folder reads what was recognised in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.cut_off import MOST_NAMED
from kagglekit.authoring.detect.layout import DataLayout, count_labelled, target_of
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.errors import PluginError, UserError, listing
from kagglekit.types.predictions import difference

if TYPE_CHECKING:
    import pandas as pd


def check_as_recognised(plugin: Path, data: Path, layout: DataLayout) -> None:
    """Compare the image table of a plugin that was written for a folder with the folder's layout.

    Args:
        plugin: The plugin's file.
        data: The folder, as it is once its archives are unpacked.
        layout: What was recognised in it.

    Raises:
        UserError: They differ in images or classes, so that a run would train on something else than it says.
    """
    try:
        table = Hooks(load(str(plugin))).labels(data)
    except PluginError:
        raise
    except UserError:  # the run itself reports it, with hints that are not known here
        return
    if problems := [*_differences(table, layout)]:
        raise UserError(
            f"the folder {data} is read differently from how it was recognised: {'; '.join(problems)}",
            f"move what is no labelled image out of it, or write a plugin: kagglekit new NAME --from-data {data}",
        )


def _differences(table: pd.DataFrame, layout: DataLayout) -> Iterator[str]:
    """Yield the differences between an image table and a layout."""
    test = table["split"] == "test"
    labels, read = layout.labels, table[table["split"] == "train"]
    given = isinstance(labels, Table) and bool(labels.split_column)  # which counts valid images, too
    n = int((~test).sum()) if given else len(read)
    broken = len(layout.cut_off)
    least = count_labelled(labels) - (broken if broken <= MOST_NAMED else 0)
    if not least <= n <= count_labelled(labels):
        yield f"{n:,} labelled images are read, and {count_labelled(labels):,} were recognised"
    if target_of(labels).task == "single-label":
        spelling = layout.sample.spelling if layout.sample else {}
        wanted = [spelling.get(name, name) for name in labels.classes]
        if differing := difference(map(str, read["label"].unique()), wanted):
            yield f"classes: {differing}"
    if bool(test.any()) != (layout.test is not None):
        folders = listing(layout.test.folders) if layout.test else ""
        yield f"no test images are read from {folders}" if layout.test else f"{test.sum():,} test images are read"
