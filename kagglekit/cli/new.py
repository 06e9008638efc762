"""`kagglekit new`: a competition's plugin, begun from a look at its data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.authoring.kaggle_facts import ask_kaggle
from kagglekit.system.errors import UsageError, UserError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kagglekit.authoring.detect.layout import DataLayout
    from kagglekit.authoring.scaffold import Facts
    from kagglekit.system.console import Display


@click.command()
@click.argument("name")
@click.option("--from-data", type=click.Path(path_type=Path), metavar="DIR", help="The unpacked data to look at.")
@click.option("--slug", default="", metavar="NAME", help="The competition's name in Kaggle's addresses.")
@click.option("--download", is_flag=True, help="Download the data of --slug to ./data/NAME first, and look at them.")
@click.option("--package", is_flag=True, help="Make a folder to install: pyproject.toml, README, a test.")
@click.option("--force", is_flag=True, help="Replace files that are there already; each is named.")
def new(name: str, from_data: Path | None, slug: str, download: bool, package: bool, force: bool) -> None:
    """Begin a plugin for the competition NAME: ./NAME.py, which runs at once.

    With --from-data it recognises folders of classes, a CSV file of images and labels, labels in file names, and
    sample_submission.csv; its comments say what was recognised and what to check. With --slug it takes title and metric
    from Kaggle, and guesses the labels from the names of its files where there are no data to look at.
    """
    from kagglekit.system.console import for_people

    _check_usage(name, from_data, slug, download)
    display = for_people(False)
    _refuse_to_replace(name, package, force)
    facts, listed = ask_kaggle(name, slug, download, display)
    data = _downloaded(facts, display) if download else from_data
    seen = _seen(data, listed)
    for note in seen.notes if data else ():
        display.warn(f"check: {note}")
    _write(_files(facts, seen, package), display)
    _say_next(facts, data, package, bool(listed), display)


def _check_usage(name: str, from_data: Path | None, slug: str, download: bool) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"{name!r} is no name for a plugin", "write small letters, digits and hyphens: dog-breed")
    if download and not slug:
        raise UsageError("--download needs the competition's name on Kaggle", "add --slug NAME")
    if download and from_data:
        raise UsageError(
            "--download and --from-data exclude each other", "leave --download out for data that are there"
        )


def _downloaded(facts: Facts, display: Display) -> Path:
    """Return the data folder, downloaded unless it is there."""
    from kagglekit.data.location import data_place, existing_data
    from kagglekit.kaggle.data_folder import download_from_kaggle
    from kagglekit.types.competition import Competition
    from kagglekit.types.download import DownloadOptions

    competition = Competition(title=facts.title, slug=facts.slug, metric="accuracy")  # the metric does not matter here
    if there := existing_data(competition, facts.name):
        display.report(f"the data are in {there}")
        return there
    return download_from_kaggle(competition, data_place(facts.name), DownloadOptions(display))


def _seen(data: Path | None, listed: Mapping[str, int]) -> DataLayout:
    if data:
        from kagglekit.authoring.detect.data_folder import recognise

        return recognise(data)
    from kagglekit.authoring.detect.file_list import guess_layout
    from kagglekit.authoring.scaffold import USUAL

    return guess_layout(list(listed)) if listed else USUAL


def _files(facts: Facts, seen: DataLayout, package: bool) -> dict[Path, str]:
    from kagglekit.authoring.package import package_files
    from kagglekit.authoring.scaffold import plugin_text

    if not package:
        return {Path(f"{facts.name}.py"): plugin_text(facts, seen)}
    folder = Path(f"kagglekit-{facts.name}")
    return {folder / file: text for file, text in package_files(facts, seen).items()}


def _refuse_to_replace(name: str, package: bool, force: bool) -> None:
    """Look before anything is asked or downloaded.

    Raises:
        UserError: Some files are there already.
    """
    from kagglekit.authoring.scaffold import USUAL, Facts

    there = [file for file in _files(Facts(name), USUAL, package) if file.exists()]
    if there and not force:
        raise UserError(f"already there: {listing(there)}", "choose another name, or replace them with --force")


def _write(files: Mapping[Path, str], display: Display) -> None:
    from kagglekit.system.files import write_text

    there = [file for file in files if file.exists()]
    for file, text in files.items():
        write_text(file, text)
        display.report(f"{'replaced' if file in there else 'wrote'} {file}")


def _say_next(facts: Facts, data: Path | None, package: bool, listed: bool, display: Display) -> None:
    from kagglekit.data.location import data_place

    plugin = facts.name if package else f"./{facts.name}.py"
    if listed and not data:
        display.report("the labels are guessed from file names alone; to have the data looked at:")
        display.report(f"  kagglekit new {facts.name} --slug {facts.slug}{' --package' * package} --download --force")
    display.report("next: read the lines marked CHECK, then")
    if package:
        display.report(f"  pip install -e kagglekit-{facts.name}")
    usual = data is not None and data.absolute() == data_place(facts.name)
    place = "" if usual else f" --data {data or 'DIR'}"
    for command in ("look", "check", "run"):
        display.report(f"  kagglekit {command} {plugin}{place}")
