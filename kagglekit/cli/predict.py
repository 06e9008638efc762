"""`kagglekit predict`: predict new images, or a competition's test images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import (
    data_option,
    device_option,
    json_option,
    out_option,
    plugin_option,
    sample_option,
    threads_option,
    top_option,
)
from kagglekit.data.listing import image_files, is_image
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from kagglekit.prediction.answers import Answer
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.system.display.console import Display
    from kagglekit.system.limits import Threads


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("paths", metavar="PATH...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--tta", is_flag=True, help="Average the predictions over the recipe's augmented views.")
@top_option(5, "K", "Show the K best classes of an image that has one class.")
@json_option("Print all predictions as JSON: of classes and labels, the probabilities.")
@click.option(
    "--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write all predictions: a column for each class."
)
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
@threads_option()
@out_option()
def predict(
    run: str,
    paths: tuple[Path, ...],
    tta: bool,
    top: int,
    as_json: bool,
    csv: Path | None,
    submission: Path | None,
    data: Path | None,
    sample: Path | None,
    plugin: tuple[str, ...],
    device: str,
    threads: Threads,
    out: Path,
) -> None:
    """Predict images with RUN's final weights. A PATH is an image, or a folder of images.

    This prints the best classes with their probabilities, the labels above their thresholds, the numbers, or the grade.
    It also says when classes are equally probable.
    A cross-validation run predicts with the members of all folds. A blend predicts with those of its runs, which must
    be in the same folder. With --submission, all members of RUN predict the test images in --data DIR. Neither the
    training images nor the internet are needed. Predictions are made in fp32: if RUN predicted in bf16 or fp16, they
    differ from its own in the last digits.
    """
    from kagglekit.compute.accelerators import check_device
    from kagglekit.data.labels.containers import with_members
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.prediction.ready import ready_run
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.display.console import for_people
    from kagglekit.system.files import check_writable

    display = for_people(as_json)
    if submission:
        _check_submission_options(paths, tta or as_json or bool(csv), data)
    elif data or sample:
        raise UsageError("--data and --sample need --submission FILE", "to predict other images, give them as PATH")
    elif not paths:
        first = f"name the run first: kagglekit predict latest {run}" if _names_image(run) else ""
        raise UsageError("no images to predict", first or "give files or folders as PATH; see kagglekit predict --help")
    found, files = find_run(run, out), image_files(with_members(paths))
    check_device(device)  # here and below: errors are reported before anything slow
    for file in filter(None, (csv, submission)):
        check_writable(file.parent, "choose another place")
    with plugins_named(plugin):
        loaded, named = ready_run(found)
        if csv:
            from kagglekit.data.submission import check_replaceable, columns_of_probabilities

            check_replaceable(csv, columns_of_probabilities(loaded.info.classes))
        display.report(f"predicting with {named}")
    if submission and data:
        from kagglekit.data.packed_folder import see_through
        from kagglekit.data.sample import asked_sample

        data = see_through(data, display)
        if sample:
            asked_sample(data, sample)
        with for_people(json_output=True).status("loading torch and timm"):  # apart from the table
            from kagglekit.compute.device import choose_device
            from kagglekit.compute.threads import free_threads
            from kagglekit.prediction.test_folder import submit_test_folder
        status = for_people(json_output=True).status("predicting the test images")
        with plugins_named(plugin), free_threads(threads, choose_device(device)), status:
            submit_test_folder(found, data, submission, device, display, sample)
        return
    table, said = _predicted(loaded, files, plugin, (device, threads), tta, top, display)
    if csv:
        from kagglekit.data.submission import write_probabilities

        write_probabilities(table, csv)
        display.report(f"predictions: {csv}")
    if as_json:
        click.echo(json.dumps([{"path": path, **each.record} for path, each in zip(table.index, said, strict=True)]))
    else:
        _show([str(path) for path in table.index], said, top, display)


def _names_image(text: str) -> bool:
    return Path(text).is_file() or is_image(text)


def _predicted(
    loaded: LoadedRun,
    files: Sequence[Path],
    plugins: Sequence[str],
    on: tuple[str, Threads],
    tta: bool,
    top: int,
    display: Display,
) -> tuple[pd.DataFrame, list[Answer]]:
    """Predict image files, and return also what the predictions say; warn if the numbers are ranks."""
    from kagglekit.system.display.console import for_people

    with for_people(json_output=True).status("loading torch and timm"):  # apart from the table
        from kagglekit.compute.device import choose_device
        from kagglekit.compute.memory import memory_returned
        from kagglekit.compute.threads import free_threads
        from kagglekit.hooks.calls import Hooks
        from kagglekit.hooks.manager import load_for
        from kagglekit.hooks.trust import plugins_named
        from kagglekit.prediction.answers import answers
        from kagglekit.prediction.new_images import Family, predict_paths

    found, family = loaded.run, Family.read(loaded.run, loaded)
    if family.ranks_images:
        display.warn(
            f"{found.name} combines its members by rank, so these numbers are ranks among the given images, not "
            "probabilities, and a single image gets equal numbers for all classes; give all images at once, or predict "
            "with one of its folds or runs"
        )
    device, threads = on
    with plugins_named(plugins), memory_returned(), free_threads(threads, chosen := choose_device(device)):
        with for_people(json_output=True).status(f"predicting {len(files):,} image{'s' * (len(files) != 1)}"):
            table = predict_paths(family, files, chosen, tta=tta)
        return table, answers(family.own, Hooks(load_for(family.own.info)), table, top)


def _show(paths: Sequence[str], said: Sequence[Answer], top: int, display: Display) -> None:
    """Print the best classes of one image below each other, or a row for each of several; then which are ties."""
    if len(said) == 1 and "class" in said[0].cells:
        display.report(paths[0])
        shown = said[0].best[: max(top, 1)]
        display.table(("probability", "class"), [(f"{value:.4f}", name) for name, value in shown])
    else:
        rows = [(path, *each.cells.values()) for path, each in zip(paths, said, strict=True)]
        display.table(("image", *said[0].cells), rows)
    for path, each in zip(paths, said, strict=True):
        if each.tie:
            display.report(each.tie if len(said) == 1 else f"{path}: {each.tie}")


def _check_submission_options(paths: Sequence[Path], others: bool, data: Path | None) -> None:
    if paths or others:
        raise UsageError("--submission predicts the test images like the run: it takes no PATH, --tta, --json or --csv")
    if data is None:
        raise UsageError("--submission needs --data DIR", "DIR holds the test images and sample_submission.csv")
    if not data.is_dir():
        raise UserError(f"the folder {data} does not exist", "--data names the folder of the test images")
