"""`kagglekit new`: create a competition's plugin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.system.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.authoring.new_plugin import NewPlugin, Written
    from kagglekit.system.display.console import Display


@click.command()
@click.argument("name")
@click.option(
    "--from-data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Data folder, packed or not, to detect labels in.",
)
@click.option(
    "--slug",
    default="",
    metavar="NAME",
    callback=lambda _context, _option, text: _slug(text) if text else "",
    help="The competition's name in Kaggle's addresses, or such an address.",
)
@click.option("--download", is_flag=True, help="Download the data of --slug to ./data/NAME and use them.")
@click.option("--package", is_flag=True, help="Write an installable folder: pyproject.toml, README, a test.")
@click.option("--force", is_flag=True, help="Replace existing files; each is named.")
def new(name: str, from_data: Path | None, slug: str, download: bool, package: bool, force: bool) -> None:
    """Create a plugin for the competition NAME: ./NAME.py, ready to run.

    With --from-data it detects class folders, CSV and JSON files of labels, labels in file names, groups, and the
    sample submission; comments in the plugin say what was detected and what to check. If nothing explains the data, it
    fails, and writes a plugin to complete. With --slug it takes title and metric from Kaggle. Without data, it guesses
    the labels from the names of Kaggle's files.
    """
    from kagglekit.authoring.new_plugin import NewPlugin, create_plugin
    from kagglekit.system.display.console import for_people

    _check_usage(name, from_data, slug, download)
    asked, display = NewPlugin(name, from_data, slug, download, package, force), for_people(False)
    _show_next_steps(asked, create_plugin(asked, display), display)


def _slug(text: str) -> str:
    from kagglekit.types.competition import parse_slug

    try:
        return parse_slug(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_usage(name: str, from_data: Path | None, slug: str, download: bool) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"{name!r} is not a plugin name", "use lower-case letters, digits and hyphens: dog-breed")
    if download and not slug:
        raise UsageError("--download needs the competition's name on Kaggle", "add --slug NAME")
    if download and from_data:
        raise UsageError("--download cannot be combined with --from-data", "leave out --download to use existing data")


def _show_next_steps(asked: NewPlugin, written: Written, display: Display) -> None:
    from kagglekit.data.location import data_place

    plugin = asked.name if asked.package else f"./{asked.name}.py"
    if written.from_listing:
        options = f"--slug {asked.slug}{' --package' * asked.package} --download --force"
        display.report("labels are guessed from file names alone; to detect them in the data:")
        display.report(f"  kagglekit new {asked.name} {options}")
    display.report("next: read the lines marked CHECK, then")
    if asked.package:
        display.report(f"  pip install -e kagglekit-{asked.name}")
    usual = written.data is not None and written.data.absolute() == data_place(asked.name)
    place = "" if usual else f" --data {written.data or 'DIR'}"
    for command in ("look", "check", "run"):
        display.report(f"  kagglekit {command} {plugin}{place}")
