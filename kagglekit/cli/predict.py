"""`kagglekit predict`: predict new images, or a competition's test images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import data_option, device_option, json_option, out_option, plugin_option, sample_option
from kagglekit.data.listing import image_files
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from kagglekit.runs.folder import Run
    from kagglekit.system.console import Display


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("paths", metavar="PATH...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--tta", is_flag=True, help="Average the predictions over the recipe's augmented views.")
@json_option("Print the probabilities of all classes as JSON.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write the probabilities of all classes.")
@click.option(
    "--submission",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a checked submission for the test images in --data DIR, like the run's own.",
)
@data_option("Folder of the test images.")
@sample_option()
@plugin_option()
@device_option()
@out_option()
def predict(
    run: str,
    paths: tuple[Path, ...],
    tta: bool,
    as_json: bool,
    csv: Path | None,
    submission: Path | None,
    data: Path | None,
    sample: Path | None,
    plugin: tuple[str, ...],
    device: str,
    out: Path,
) -> None:
    """Predict the classes of images with RUN's final weights. A PATH is an image, or a folder of images.

    A cross-validation run predicts with the members of all folds. A blend predicts with those of its runs, which must
    be in the same folder. With --submission, all members of RUN predict the test images in --data DIR. Neither the
    training images nor the internet are needed.
    """
    from kagglekit.data.labels.containers import with_members
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.console import for_people

    display = for_people(as_json)
    if submission:
        _check_submission_options(paths, tta or as_json or bool(csv), data)
    elif data or sample:
        raise UsageError("--data and --sample need --submission FILE", "to predict other images, give them as PATH")
    elif not paths:
        raise UsageError("no images to predict", "give files or folders as PATH; see kagglekit predict --help")
    found = find_run(run, out)
    if submission and data:
        from kagglekit.data.packed_folder import see_through
        from kagglekit.hooks.trust import plugins_named
        from kagglekit.prediction.test_folder import submit_test_folder

        with plugins_named(plugin):
            submit_test_folder(found, see_through(data, display), submission, device, display, sample)
        return
    table = _predicted(found, image_files(with_members(paths)), plugin, device, tta, display)
    if csv:
        from kagglekit.data.submission import write_probabilities

        write_probabilities(table, csv)
        display.report(f"probabilities: {csv}")
    if as_json:
        click.echo(json.dumps(_as_records(table)))
    else:
        display.table(("image", "class", "probability"), _lines(table))


def _predicted(
    found: Run, files: Sequence[Path], plugins: Sequence[str], device: str, tta: bool, display: Display
) -> pd.DataFrame:
    """Predict image files; warn if the numbers are ranks."""
    from kagglekit.compute.device import choose_device
    from kagglekit.compute.memory import memory_returned
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.prediction.new_images import Family, predict_paths

    family = Family.read(found)
    if family.ranks_images:
        display.warn(
            f"{found.name} combines its members by rank, so these numbers are ranks among the given images, not "
            "probabilities, and a single image gets equal numbers for all classes; give all images at once, or predict "
            "with one of its folds or runs"
        )
    with plugins_named(plugins), memory_returned():
        return predict_paths(family, files, choose_device(device), tta=tta)


def _check_submission_options(paths: Sequence[Path], others: bool, data: Path | None) -> None:
    if paths or others:
        raise UsageError("--submission predicts the test images like the run: it takes no PATH, --tta, --json or --csv")
    if data is None:
        raise UsageError("--submission needs --data DIR", "DIR holds the test images and sample_submission.csv")
    if not data.is_dir():
        raise UserError(f"the folder {data} does not exist", "--data names the folder of the test images")


def _as_records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return one record for each image: path, predicted class, its probability, and all probabilities."""
    return [
        {"path": path, "class": best, "probability": row[best], "probabilities": row}
        for path, best, row in zip(table.index, table.idxmax(axis=1), table.to_dict("records"), strict=True)
    ]


def _lines(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    best = zip(table.index, table.idxmax(axis=1), table.max(axis=1), strict=True)
    return [(str(path), str(name), f"{probability:.4f}") for path, name, probability in best]
