"""The plots of `kagglekit look`: the data, and the data as the network sees them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kagglekit.data.duplicates import describe_unread, fingerprints, near_duplicates
from kagglekit.eda.anomalies import read_or_nothing
from kagglekit.eda.canvas import COLUMNS, draw_grid
from kagglekit.eda.plots import draw_histograms, draw_numbers
from kagglekit.hooks.calls import Hooks
from kagglekit.images.decode import built_store
from kagglekit.images.loader import Loader
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side
from kagglekit.system.files import replacing
from kagglekit.types.data_config import DataConfig
from kagglekit.types.randomness import image_keys
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.eda.canvas import Cell
    from kagglekit.eda.headers import Header
    from kagglekit.eda.target import Target
    from kagglekit.hooks.specs import ViewMode as Mode
    from kagglekit.system.display.console import Display

CONFIG = DataConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # any will do: it is undone
PASSES = COLUMNS  # views of each stage: a row
THUMBNAIL = 136  # minimum short side, px
MOST_PAIRS = 24  # drawn near-duplicates
NOTHING = np.zeros((0, 0, 3), np.uint8)


def draw_all(
    target: Target[Any], headers: Sequence[Header], hooks: Hooks, recipe: Recipe, folder: Path, display: Display
) -> None:
    """Draw what is predicted, groups, sizes, samples, near-duplicates, and one image as each stage sees it.

    Args:
        target: What is predicted, in an image table.
        headers: Of its images.
        hooks: The plugins.
        recipe: Its stages are drawn.
        folder: Where to write.
        display: Shows progress and the near-duplicates.
    """
    table = target.table
    with display.status("drawing targets, sizes and samples"):
        for file, draw in target.drawings().items():
            draw(folder / file)
        if "group" in table and len(sizes := target.labelled["group"].value_counts()):
            draw_numbers({"labelled images of a group": sizes.tolist()}, folder / "groups.png", y="groups")
        if headers:
            _draw_sizes(headers, folder / "sizes.png")
        draw_grid([((text,), _read(hooks, path)) for text, path in target.samples()], folder / "samples.png")
    _draw_duplicates(target, hooks, folder, display)
    with display.status("drawing the views of each stage"):
        draw_views(recipe, Path(str(table["path"].iloc[0])), hooks, folder / "views.png")


def _draw_sizes(headers: Sequence[Header], file: Path) -> None:
    forms = {form: sum(h.form == form for h in headers) for form in sorted({h.form for h in headers})}
    quantities: dict[str, list[float]] = {
        "columns, px": [h.width for h in headers],
        "rows, px": [h.height for h in headers],
        "width / height": [h.aspect for h in headers],
    }
    draw_histograms(quantities, forms, file)


def _read(hooks: Hooks, path: object) -> NDArray[np.uint8]:
    pixels = read_or_nothing(hooks, str(path), THUMBNAIL) if path else None
    return NOTHING if pixels is None else pixels


def _draw_duplicates(target: Target[Any], hooks: Hooks, folder: Path, display: Display) -> None:
    """Report the number of near-duplicates, list them in a CSV file, and draw some."""
    table = target.table
    paths = [Path(str(path)) for path in table["path"]]
    found = list(display.track("comparing images", len(paths), fingerprints(paths, hooks)))
    with display.status("comparing their fingerprints"):
        pairs = near_duplicates(found)
    display.report(describe_duplicates(table, pairs, target.word))
    if unread := describe_unread(paths, found):
        display.warn(unread)
    if not pairs:
        return
    columns = [table[name].astype(object).where(table[name].notna(), "").tolist() for name in ("id", "split", "label")]
    ids, splits, labels = columns[0], columns[1], [target.text(label) if label else "" for label in columns[2]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["first", "first_split", "first_label", "second", "second_split", "second_label"])
    writer.writerows([ids[i], splits[i], labels[i], ids[j], splits[j], labels[j]] for i, j in pairs)
    with replacing(folder / "near-duplicates.csv") as part:
        part.write_bytes(text.getvalue().encode(errors="surrogateescape"))  # names of files need not be UTF-8
    shown = [n for pair in pairs[:MOST_PAIRS] for n in pair]
    grid = [((str(ids[n]), f"{splits[n]} {labels[n]}"), _read(hooks, paths[n])) for n in shown]
    draw_grid(grid, folder / "near-duplicates.png")


def describe_duplicates(table: pd.DataFrame, pairs: Sequence[tuple[int, int]], word: str = "classes") -> str:
    """Return a sentence with the number of pairs within and across the labelled and test images."""
    test = (table["split"] == "test").tolist()
    labels = table["label"].tolist()
    across = sum(test[i] != test[j] for i, j in pairs)
    both = sum(test[i] and test[j] for i, j in pairs)
    differ = sum(not test[i] and not test[j] and labels[i] != labels[j] for i, j in pairs)
    within = len(pairs) - across - both
    return (
        f"pairs of near-duplicates: {within:,} among labelled images ({differ:,} with different {word}), "
        f"{across:,} between labelled and test images, {both:,} among test images"
    )


def draw_views(recipe: Recipe, path: Path, hooks: Hooks, file: Path) -> None:
    """Draw one image as the network sees it in each stage: plain, then in the stage's first epochs.

    Args:
        recipe: Draw a row for each of its stages.
        path: The image.
        hooks: The plugins.
        file: The PNG to write.
    """
    cells: list[Cell] = []
    for number, stage in enumerate(recipe.stages, 1):
        squares = list(_squares(recipe, stage, path, hooks))
        titles = [
            (f"{number} {stage.name}", f"plain, {stage.size} px"),
            *(("", f"epoch {pass_number}") for pass_number in range(1, PASSES)),
        ]
        squares += [NOTHING] * (PASSES - len(squares))
        cells += [(title if pixels.size else (), pixels) for title, pixels in zip(titles, squares, strict=True)]
    draw_grid(cells, file)


def _squares(recipe: Recipe, stage: Stage, path: Path, hooks: Hooks) -> Iterator[NDArray[np.uint8]]:
    yield _view_of(recipe, stage, path, hooks, "plain", 0)
    if not stage.precompute:
        for pass_number in range(PASSES - 1):
            yield _view_of(recipe, stage, path, hooks, "train", pass_number)


def _view_of(recipe: Recipe, stage: Stage, path: Path, hooks: Hooks, mode: Mode, pass_number: int) -> NDArray[np.uint8]:
    """Return one view of an image (S, S, 3) as a stage sees it."""
    view = hooks.views(recipe, stage, mode, CONFIG)
    spec = StoreSpec((path.absolute(),), Path(path.absolute().anchor), copy_side(stage.size), view.fit, hooks.reader())
    store = built_store(spec, hooks.read_image)
    if store.bad:
        return NOTHING
    keys = image_keys([path.stem], recipe.seed, stage.name)
    loader = Loader(store, view, stage.size, CONFIG, keys, torch.device("cpu"))
    pixels = loader.batch(np.zeros(1, np.int64), pass_number)[0].permute(1, 2, 0).numpy()
    shown: NDArray[np.uint8] = ((pixels * CONFIG.std + CONFIG.mean) * 255).round().clip(0, 255).astype(np.uint8)
    return shown
