"""Decode and open the copies of images that a run's stages need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kagglekit.hooks.calls import Hooks
from kagglekit.images.dataset import ImageSet, Stream, usable_rows
from kagglekit.images.decode import made_store
from kagglekit.images.placement import Keep, describe_kept, deterministic_keep, in_memory, why_stream
from kagglekit.images.store import ImageStore, StoreSpec, bad_images_error
from kagglekit.images.warp import copy_side
from kagglekit.system.errors import SameAgain, UserError, listing
from kagglekit.types.data_config import DataConfig
from kagglekit.types.decoded import Decoded, Kind
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage, predicting_stages
from kagglekit.types.view import CropMode

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.system.display.console import Display
    from kagglekit.tasks.task import Task


def prepare_images(
    table: pd.DataFrame,
    task: Task,
    data: Path,
    hooks: Hooks,
    recipe: Recipe,
    stages: Iterable[Stage],
    config: DataConfig,
    device: torch.device,
    display: Display,
    skip_bad: bool,
    keep: Keep = "auto",
    deterministic: bool = False,
    form: PixelForm = RGB,
    follows: bool = False,
) -> ImageSet:
    """Build the missing stores, open all of them and report where they are kept.

    With `deterministic`, only ``device`` copies pixels to the device: see `deterministic_keep`. With `follows`, another
    process has prepared the same images on this machine a moment ago, and this one does as it did.

    Raises:
        UserError: Images cannot be decoded (unless `skip_bad`), or the cache folder is too small.
    """
    tables: dict[Kind, pd.DataFrame] = {
        "labelled": table[table["split"] != "test"].reset_index(drop=True),
        "test": table[table["split"] == "test"].reset_index(drop=True),
    }
    stages = list(stages)
    needs = _needs(hooks, recipe, stages, config)
    first = {copy_side(stage.largest): stage.name for stage in reversed(stages)}
    decoded: list[Decoded] = []
    specs: dict[Kind, dict[tuple[CropMode, int], StoreSpec]] = {}
    for kind, rows in tables.items():
        files = tuple(Path(path) for path in rows["path"])
        specs[kind] = dict(_specs(files, data, hooks.reader(), sorted(needs[kind]), form)) if files else {}
    stream = _stream(keep, specs, hooks, display, follows)
    stores = {
        (kind, fit, side): made_store(spec, hooks, display, kind, first, decoded)
        for kind, by_size in specs.items()
        if kind == "labelled" or not stream
        for (fit, side), spec in by_size.items()
    }
    keep = deterministic_keep(keep) if deterministic else keep
    if keep == "ram":
        read = {store.folder: in_memory(store) for store in {each.folder: each for each in stores.values()}.values()}
        stores = {which: read[store.folder] for which, store in stores.items()}
    display.report(describe_kept(keep, list(stores.values()), device))
    usable = {kind: usable_rows(kind, len(rows), stores) for kind, rows in tables.items()}
    if not skip_bad:
        _refuse_bad(stores.values())
    _warn_of_constant(stores.values(), display)
    return ImageSet(tables, task, stores, config, device, recipe.seed, usable, keep, stream, decoded, display)


def _stream(
    keep: Keep, specs: dict[Kind, dict[tuple[CropMode, int], StoreSpec]], hooks: Hooks, display: Display, follows: bool
) -> Stream | None:
    """Decide whether the test images are streamed, and report why."""
    why = why_stream(keep, specs["labelled"].values(), list(specs["test"].values()), follows)
    if not why:
        return None
    stream = Stream(specs["test"], hooks.read_values)
    n = len(next(iter(specs["test"].values())).files)
    rows = min(n, stream.rows())
    display.report(f"test images are decoded during prediction, in about {-(-n // rows):,} blocks of {rows:,}: {why}")
    return stream


def _needs(
    hooks: Hooks, recipe: Recipe, stages: list[Stage], config: DataConfig
) -> dict[Kind, set[tuple[int, CropMode]]]:
    """Return the sides and fits that the stages' views need; test images appear only at prediction."""
    labelled: set[tuple[int, CropMode]] = set()
    test: set[tuple[int, CropMode]] = set()
    for stage in stages:
        plain = hooks.views(recipe, stage, "plain", config).fit
        seen = {stage.size, stage.largest} if stage.size not in stage.stack_sizes else {stage.largest}
        labelled |= {(copy_side(size), plain) for size in seen}
        if not stage.precompute:
            labelled.add((copy_side(stage.size), hooks.views(recipe, stage, "train", config).fit))
    for stage in predicting_stages(stages):
        for size in recipe.predicting_sizes(stage, config.multiple):
            test.add((copy_side(size), hooks.views(recipe, stage, "plain", config).fit))
            if recipe.tta:
                test.add((copy_side(size), hooks.views(recipe, stage, "tta", config).fit))
        own = copy_side(stage.largest if stage.stacks else recipe.predict_size or stage.size)
        largest = copy_side(max(recipe.finishing_sizes(stage, config)))
        test |= {(max(each, largest), fit) for each, fit in test if each == own}
    return {"labelled": labelled | test, "test": test}


def _specs(
    files: tuple[Path, ...], data: Path, reader: str, needs: list[tuple[int, CropMode]], form: PixelForm
) -> Iterator[tuple[tuple[CropMode, int], StoreSpec]]:
    """Yield the store of each copy: the largest is decoded from the files, the others are reduced from it."""
    largest = StoreSpec(files, data, max(side for side, _ in needs), "short", reader, form=form)
    for side, fit in reversed(needs):
        yield (fit, side), largest if (side, fit) == (largest.side, "short") else largest.smaller(side, fit)


def _refuse_bad(stores: Iterable[ImageStore]) -> None:
    by_names = {
        store.names: store for store in stores if store.bad
    }  # one store of each kind reports for all its copies
    errors = [bad_images_error(store) for store in by_names.values()]
    if errors:
        raise SameAgain("\n".join(error.what for error in errors), errors[0].hint)


def _warn_of_constant(stores: Iterable[ImageStore], display: Display) -> None:
    by_names = {store.names: store for store in stores}  # one store of each kind reports for all its copies
    names = [store.names[row] for store in by_names.values() for row in store.constant]
    if names:
        total = sum(map(len, by_names))
        display.warn(f"{len(names):,} of {total:,} images are nearly uniform (for example black): {listing(names, 3)}")


def require_images(images: ImageSet, to_validate: bool = True) -> None:
    """Check that every class still has a training image and, with `to_validate`, that a valid image is left.

    Raises:
        UserError: A class or the valid split has no usable image.
    """
    missing, task = images.task.unseen(images.truth("train")), images.task
    if missing and task.needs_each:
        raise UserError(
            f"classes without a usable training image: {listing(missing)}",
            "fix their images, or hold out a smaller share: --set valid=0.1",
        )
    if missing and images.display:
        images.display.warn(f"no training image has {listing(missing)}: predictions of them are guesses")
    if to_validate and not len(images.rows("valid")):
        raise UserError("no usable image is left for validation", "hold out a larger share: --set valid=0.3")
