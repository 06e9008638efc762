"""A checked CSV for test images that the run never saw: what a code competition needs.

Neither training images nor a network are needed: the run's folder, the competition's plugin and the test folder do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.compute.device import choose_device
from kagglekit.compute.memory import memory_returned
from kagglekit.data.listing import IMAGE_SUFFIXES, in_order
from kagglekit.data.submission import check_submission, clip_predictions, read_sample, write_submission
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.prediction.new_images import NewImages, predict_new_images
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError, listing
from kagglekit.system.offline import offline
from kagglekit.types.predictions import with_missing_rows

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.system.console import Display


def submit_test_folder(run: Run, data: Path, file: Path, device: str, display: Display) -> pd.DataFrame:
    """Predict the test images of a folder as the run did its own, without a network, and write a checked CSV.

    All members predict, of all folds or of all runs of a blend, with the recipe's test-time augmentation; the run's
    ensemble combines them. Images that can't
    be decoded get the mean prediction.

    Returns:
        The rows of the CSV.

    Raises:
        UserError: The run is not finished, the test images can't be found, something needs a network, or the CSV is not
            what it must be.
    """
    with offline(), memory_returned():
        return _submitted(run, data, file, device, display)


def _submitted(run: Run, data: Path, file: Path, device: str, display: Display) -> pd.DataFrame:
    hooks = Hooks(load_for(run), display.warn)
    competition, sample = hooks.competition(), read_sample(data)
    files = find_test_images(hooks, data, None if sample is None else sample.iloc[:, 0].tolist())
    ids = list(files)
    found = predict_new_images(run, NewImages(ids, ids, list(files.values()), choose_device(device), skip_bad=True))
    if bad := sorted(set(ids) - set(found.index)):
        display.warn(f"{len(bad)} test images cannot be decoded and get the mean prediction: {listing(bad)}")
    test = clip_predictions(with_missing_rows(found, ids), run.recipe().clip)
    rows = hooks.submission(competition, test, sample)
    check_submission(rows, sample, test, competition)
    write_submission(rows, file)
    return rows


def find_test_images(hooks: Hooks, data: Path, ids: Sequence[str] | None) -> dict[str, Path]:
    """Find the test images: those the competition's plugin lists, else those that the sample's ids name.

    The plugin may need files that are not there: labels, training images.

    Args:
        hooks: The plugins.
        data: The data folder.
        ids: Of sample_submission.csv, where there is one.

    Returns:
        Their files by id, in the sample's order.

    Raises:
        UserError: There are none, or the ids fit no way of naming them.
    """
    try:
        table = hooks.labels(data)
        listed = table[table["split"] == "test"]
        found = {str(row.id): data.absolute() / str(row.path) for row in listed.itertuples()}
    except UserError:
        found = {}
    if not found or (ids is not None and not set(ids) <= set(found)):
        found = _by_name(data, ids)
    return found if ids is None else {image: found[image] for image in ids}


def _by_name(data: Path, ids: Sequence[str] | None) -> dict[str, Path]:
    """Match the images below folders named test..., else all, by stem, name or path."""
    names = [p.relative_to(data).as_posix() for p in data.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES]
    everything = in_order(names)
    within = [name for name in everything if name.lower().startswith("test")]
    if not everything:
        raise UserError(f"there are no images in {data}", "--data names the folder with the test images in it")
    for pool in (within, everything):
        paths = [data / name for name in pool]
        for keys in ([p.stem for p in paths], [p.name for p in paths], pool):
            if paths and len(set(keys)) == len(keys) and (ids is None or set(ids) <= set(keys)):
                return {key: path.absolute() for key, path in zip(keys, paths, strict=True)}
    asked = "no sample_submission.csv" if ids is None else f"sample_submission.csv has ids such as {listing(ids, 3)}"
    raise UserError(f"the images in {data} can't be told apart by id: {asked}, files are {listing(everything, 3)}")
