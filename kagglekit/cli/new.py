"""`kagglekit new`: a competition's plugin, begun from a look at its data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.errors import UsageError, UserError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kagglekit.progress import Display
    from kagglekit.scaffold import Facts
    from kagglekit.seen import Seen

METRICS = (  # how Kaggle's names for a metric begin or what they hold, and ours
    (r"log\s*loss|multi-?class\s*loss|cross.?entropy", "log_loss"),
    (r"balanced.*accuracy", "balanced_accuracy"),
    (r"accuracy", "accuracy"),
    (r"\bauc\b|roc", "roc_auc"),
    (r"macro.*f1|f1.*macro|f-?score.*macro", "macro_f1"),
)
SECONDS = 30  # without an answer of Kaggle


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
    from kagglekit.progress import for_people

    _check_usage(name, from_data, slug, download)
    display = for_people(False)
    _refuse_to_replace(name, package, force)
    facts, listed = _from_kaggle(name, slug, download, display)
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


def _from_kaggle(name: str, slug: str, needed: bool, display: Display) -> tuple[Facts, dict[str, int]]:
    """Ask Kaggle for title, metric and files where a slug was given; unless `needed`, it can do without an answer.

    Raises:
        UserError: There is no such competition, or Kaggle can't be asked though it must.
    """
    from kagglekit.scaffold import Facts

    if not slug:
        return Facts(name), {}
    from kagglekit.online.failures import UnknownSlug

    try:
        return _asked(name, slug, display)
    except UnknownSlug:
        raise
    except UserError as error:
        if needed:
            raise
        display.warn(f"title, metric and files were not taken from Kaggle: {error.what}")
        if error.hint:
            display.say(error.hint)
    return Facts(name, slug), {}


def _asked(name: str, slug: str, display: Display) -> tuple[Facts, dict[str, int]]:
    from kagglekit.online.client import MOST_FILES
    from kagglekit.online.login import connect
    from kagglekit.online.patience import Patience
    from kagglekit.scaffold import Facts

    kaggle = connect(Patience(SECONDS))
    facts, files = kaggle.competition(slug), kaggle.files(slug)
    metric = next((ours for pattern, ours in METRICS if re.search(pattern, facts.metric, re.IGNORECASE)), "")
    least = "at least " if len(files) >= MOST_FILES else ""
    many = f"{least}{len(files):,} files, {least}{sum(files.values()) / 1e6:,.1f} MB"
    display.say(f"Kaggle: {facts.title}, metric {facts.metric or 'not named'}; {many}: {_few(list(files))}")
    return Facts(name, slug, facts.title, metric, facts.metric), files


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _downloaded(facts: Facts, display: Display) -> Path:
    """Return the data folder, downloaded unless it is there."""
    from kagglekit.competition import Competition
    from kagglekit.data_place import data_place, existing_data
    from kagglekit.fetching import Fetching
    from kagglekit.online.data import download_from_kaggle

    competition = Competition(title=facts.title, slug=facts.slug, metric="accuracy")  # the metric does not matter here
    if there := existing_data(competition, facts.name):
        display.say(f"the data are in {there}")
        return there
    return download_from_kaggle(competition, data_place(facts.name), Fetching(display))


def _seen(data: Path | None, listed: Mapping[str, int]) -> Seen:
    if data:
        from kagglekit.recognise import recognise

        return recognise(data)
    from kagglekit.recognise_listing import guess_layout
    from kagglekit.scaffold import USUAL

    return guess_layout(list(listed)) if listed else USUAL


def _files(facts: Facts, seen: Seen, package: bool) -> dict[Path, str]:
    from kagglekit.scaffold import plugin_text
    from kagglekit.scaffold_package import package_files

    if not package:
        return {Path(f"{facts.name}.py"): plugin_text(facts, seen)}
    folder = Path(f"kagglekit-{facts.name}")
    return {folder / file: text for file, text in package_files(facts, seen).items()}


def _refuse_to_replace(name: str, package: bool, force: bool) -> None:
    """Look before anything is asked or downloaded.

    Raises:
        UserError: Some files are there already.
    """
    from kagglekit.scaffold import USUAL, Facts

    there = [file for file in _files(Facts(name), USUAL, package) if file.exists()]
    if there and not force:
        raise UserError(f"already there: {listing(there)}", "choose another name, or replace them with --force")


def _write(files: Mapping[Path, str], display: Display) -> None:
    from kagglekit.files import write_text

    there = [file for file in files if file.exists()]
    for file, text in files.items():
        write_text(file, text)
        display.say(f"{'replaced' if file in there else 'wrote'} {file}")


def _say_next(facts: Facts, data: Path | None, package: bool, listed: bool, display: Display) -> None:
    from kagglekit.data_place import data_place

    plugin = facts.name if package else f"./{facts.name}.py"
    if listed and not data:
        display.say("the labels are guessed from file names alone; to have the data looked at:")
        display.say(f"  kagglekit new {facts.name} --slug {facts.slug}{' --package' * package} --download --force")
    display.say("next: read the lines marked CHECK, then")
    if package:
        display.say(f"  pip install -e kagglekit-{facts.name}")
    usual = data is not None and data.absolute() == data_place(facts.name)
    place = "" if usual else f" --data {data or 'DIR'}"
    for command in ("look", "check", "run"):
        display.say(f"  kagglekit {command} {plugin}{place}")
