"""Write a checked CSV for test images that the run never saw, as code competitions need.

This takes the run's folder, the competition's plugin and the test folder, but no training images or network access.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kagglekit.compute.device import choose_device
from kagglekit.compute.memory import memory_returned
from kagglekit.data.listing import check_unicode, images_below, in_order
from kagglekit.data.long_form import split_ids
from kagglekit.data.sample import Sample, Wanted, checked_against, find_sample, names_of, no_sample
from kagglekit.data.scoring import for_csv, scorer_of
from kagglekit.data.submission import check_replaceable, check_submission, write_submission
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.images.cache import cached_stores, remove
from kagglekit.prediction.load import task_of
from kagglekit.prediction.new_images import (
    Family,
    NewImages,
    combine_members,
    members_of_new_images,
    predict_new_images,
)
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError, listing
from kagglekit.system.offline import offline
from kagglekit.system.output_marker import mark_output
from kagglekit.types.predictions import make_predictions, with_missing_rows

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.system.display.console import Display
    from kagglekit.tasks.task import Task
    from kagglekit.types.competition import Competition

T = TypeVar("T")
BLOCK, BLOCK_SIZE = 8_000, 224  # images decoded at once, if predicted at this side, px: 4 GB, copies have 3/2 of it


def submit_test_folder(
    run: Run, data: Path, file: Path, device: str, display: Display, sample: Path | None = None
) -> pd.DataFrame:
    """Predict the test images of a folder as the run did its own, without network access, and write a checked CSV.

    All members predict, of all folds or of all runs of a blend, with the recipe's test-time augmentation; the run's
    ensemble combines them. Images that cannot be decoded get the mean prediction.

    Args:
        run: A finished run.
        data: The folder with the test images.
        file: The CSV.
        device: Where to compute.
        display: Shows warnings.
        sample: The sample submission: a file, or its name in `data`; None to look for one.

    Returns:
        The rows of the CSV.

    Raises:
        UserError: The run is not finished, the test images cannot be found, something needs network access, or the CSV
            fails its check.
    """
    with offline(), memory_returned():
        return _submitted(run, data, file, device, display, sample)


def _submitted(run: Run, data: Path, file: Path, device: str, display: Display, requested: Path | None) -> pd.DataFrame:
    family = Family.read(run)
    info, recipe = family.own.info, family.own.recipe
    hooks = Hooks(load_for(info), display.warn)
    competition, task = hooks.competition(), task_of(hooks, info)
    found_sample = find_sample(data, _wanted(hooks, data, info.classes), requested)
    sample, name = (found_sample.rows, found_sample.file.name) if found_sample else (None, "")
    files = find_test_images(hooks, data, None if sample is None else images_in(sample, competition, task))
    ids = list(files)
    table = _table(hooks, data, ids)
    scorer = scorer_of(hooks, competition, recipe, task)
    decided = info.decision.found if info.decision else None

    def rows_of(predictions: pd.DataFrame) -> pd.DataFrame:
        test = for_csv(scorer, predictions, table, decided, recipe.clip)
        rows = hooks.submission(competition, test, sample, task)
        check_submission(rows, sample, test, competition, task, name)
        return rows

    if file.exists():  # before the images are predicted
        _check_replaceable(file, found_sample, rows_of(make_predictions(ids, info.classes, task.placeholder(len(ids)))))
    images = NewImages(ids, ids, list(files.values()), choose_device(device), skip_bad=True, table=table)
    found = _in_blocks(family, images)
    if bad := sorted(set(ids) - set(found.index)):
        display.warn(f"{len(bad)} test images cannot be decoded and get the mean prediction: {listing(bad)}")
    rows = rows_of(with_missing_rows(found, ids))
    mark_output(file)
    write_submission(rows, file)
    display.report(f"submission: {file} with {len(rows):,} rows{checked_against(found_sample)}")
    if found_sample is None and competition.slug:
        display.warn(no_sample(data))
    return rows


def _check_replaceable(file: Path, sample: Sample | None, rows: pd.DataFrame) -> None:
    """Refuse to replace a file that is no submission like this one; the sample has the same columns."""
    if sample and file.samefile(sample.file):
        raise UserError(f"{file} is the sample submission, which must stay as it is", "choose another name")
    check_replaceable(file, list(rows.columns))


def _in_blocks(family: Family, images: NewImages) -> pd.DataFrame:
    """Predict images some thousands at a time: the disk may not hold the decoded ones of a hidden test set at once."""
    import pandas as pd

    n, most = len(images.ids), max(1, int(BLOCK * min(1.0, (BLOCK_SIZE / _largest(family)) ** 2)))
    if n <= most or family.ranks_blended:
        return predict_new_images(family, images)
    parts = [slice(start, start + most) for start in range(0, n, most)]
    blocks = [
        replace(images, ids=images.ids[part], names=images.names[part], files=images.files[part]) for part in parts
    ]
    if not family.ranks_members:
        return pd.concat([_without_copies(predict_new_images, family, block) for block in blocks])
    found = [_without_copies(members_of_new_images, family, block) for block in blocks]
    members = [replace(each[0], test=pd.concat([member.test for member in each])) for each in zip(*found, strict=True)]
    return combine_members(family, images, members)


def _largest(family: Family) -> int:
    """Return the largest side of the images that a family predicts, px."""
    return max([*family.own.recipe.sizes, *map(_largest, family.blended)])


def _without_copies(predict: Callable[[Family, NewImages], T], family: Family, images: NewImages) -> T:
    """Predict images, and remove the decoded copies that were made for it, to make room for those of the next ones."""
    before = {store.folder for store in cached_stores()}
    found = predict(family, images)
    for store in cached_stores():
        if store.folder not in before and store.images == len(images.files):
            remove(store)
    return found


def images_in(sample: pd.DataFrame, competition: Competition, task: Task) -> list[str] | None:
    """Return the ids of the images that a sample submission is about; None where it only names rows of several."""
    if competition.rows:
        return None
    ids = sample.iloc[:, 0].tolist()
    pairs = split_ids(ids, task.targets) if len(sample.columns) == 2 and task.n_outputs > 1 else None
    return list(dict.fromkeys(image for image, _ in pairs)) if pairs else ids


def _table(hooks: Hooks, data: Path, ids: Sequence[str]) -> pd.DataFrame:
    """Return the image table's rows of test images, as far as the plugin can tell."""
    import pandas as pd

    try:
        table = hooks.labels(data.absolute())
    except UserError:
        return pd.DataFrame({"id": list(ids)})
    return table[table["split"] == "test"]


def _wanted(hooks: Hooks, data: Path, classes: Sequence[str]) -> Wanted:
    """Return what a sample submission for the folder's test images must contain."""
    listed = _listed(hooks, data)
    pools = [] if listed else _pools(data)
    files = list(listed.items()) or [(name, data.absolute() / name) for pool in pools[:1] for name in pool]
    return Wanted([names_of(image, path, data.absolute()) for image, path in files], frozenset(classes))


def find_test_images(hooks: Hooks, data: Path, ids: Sequence[str] | None) -> dict[str, Path]:
    """Find the test images: those the competition's plugin lists, else those that the sample's ids name.

    The plugin may need files that are missing: labels, training images.

    Args:
        hooks: The plugins.
        data: The data folder.
        ids: The sample submission's; None if there is none.

    Returns:
        Their files by id, in the sample's order.

    Raises:
        UserError: There are none, or the ids do not match their stems, names or paths.
    """
    found = _listed(hooks, data)
    if not found or (ids is not None and not set(ids) <= set(found)):
        found = _by_name(data, ids)
    check_unicode(map(str, found.values()))
    return found if ids is None else {image: found[image] for image in ids}


def _listed(hooks: Hooks, data: Path) -> dict[str, Path]:
    """Return the test images by id that the competition's plugin lists; empty if it needs files that are missing."""
    data = data.absolute()  # the plugin's paths may begin with it, or be relative to it
    try:
        table = hooks.labels(data)
    except UserError:
        return {}
    listed = table[table["split"] == "test"]
    return {str(row.id): data / str(row.path) for row in listed.itertuples()}


def _pools(data: Path) -> list[list[str]]:
    """Return the relative paths of the images below folders named test..., if there are any, then of all images."""
    everything = in_order(images_below(data))
    within = [name for name in everything if name.lower().startswith("test")]
    return [pool for pool in (within, everything) if pool]


def _by_name(data: Path, ids: Sequence[str] | None) -> dict[str, Path]:
    """Match the images below folders named test..., else all, by stem, name or path."""
    pools = _pools(data)
    if not pools:
        raise UserError(f"there are no images in {data}", "pass the folder of the test images: --data DIR")
    for pool in pools:
        paths = [data / name for name in pool]
        for keys in ([p.stem for p in paths], [p.name for p in paths], pool):
            if paths and len(set(keys)) == len(keys) and (ids is None or set(ids) <= set(keys)):
                return {key: path.absolute() for key, path in zip(keys, paths, strict=True)}
    reason = (
        "there is no sample submission" if ids is None else f"the sample submission has ids such as {listing(ids, 3)}"
    )
    raise UserError(
        f"the images in {data} cannot be identified: {reason}, the files are {listing(pools[-1], 3)}",
        "pass the sample submission of these images: --sample FILE",
    )
