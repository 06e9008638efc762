"""`kagglekit new`: a competition's plugin, begun from a look at its data."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.errors import UsageError, UserError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kagglekit.progress import Display
    from kagglekit.recognise import Seen
    from kagglekit.scaffold import Facts

METRICS = (  # how Kaggle's names for a metric begin or what they hold, and ours
    (r"log\s*loss|multi-?class\s*loss|cross.?entropy", "log_loss"),
    (r"balanced.*accuracy", "balanced_accuracy"),
    (r"accuracy", "accuracy"),
    (r"\bauc\b|roc", "roc_auc"),
    (r"macro.*f1|f1.*macro|f-?score.*macro", "macro_f1"),
)


@click.command()
@click.argument("name")
@click.option("--from-data", type=click.Path(path_type=Path), metavar="DIR", help="The unpacked data to look at.")
@click.option("--slug", default="", metavar="NAME", help="The competition's name in Kaggle's addresses.")
@click.option("--package", is_flag=True, help="Make a folder to install: pyproject.toml, README, a test.")
@click.option("--force", is_flag=True, help="Replace files that are there already; each is named.")
def new(name: str, from_data: Path | None, slug: str, package: bool, force: bool) -> None:
    """Begin a plugin for the competition NAME: ./NAME.py, which runs at once.

    With --from-data it recognises folders of classes, a CSV file of images and labels, and sample_submission.csv; its
    comments say what was recognised and what to check.
    """
    from kagglekit.progress import for_people

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"{name!r} is no name for a plugin", "write small letters, digits and hyphens: dog-breed")
    display = for_people(False)
    facts = _facts(name, slug, display)
    seen = _look(from_data)
    for note in seen.notes if seen else ():
        display.warn(f"check: {note}")
    files = _files(facts, seen, package)
    _write(files, force, display)
    _say_next(name, from_data, package, display)


def _facts(name: str, slug: str, display: Display) -> Facts:
    """Collect what is known besides the data; Kaggle is asked where a slug was given, and can do without an answer."""
    from kagglekit.scaffold import Facts

    if not slug:
        return Facts(name)
    try:
        title, said = _from_kaggle(slug)
    except (ImportError, UserError) as error:
        reason = error.what if isinstance(error, UserError) else "this kagglekit cannot ask"
        display.warn(f"title and metric were not taken from Kaggle: {reason}")
        return Facts(name, slug)
    metric = next((ours for pattern, ours in METRICS if re.search(pattern, said, re.IGNORECASE)), "")
    display.say(f"Kaggle: {title}, metric {said}")
    return Facts(name, slug, title, metric, said)


def _from_kaggle(slug: str) -> tuple[str, str]:
    """Ask Kaggle for a competition's title and metric."""
    client = importlib.import_module("kagglekit.online.login")
    found = client.competition(slug)
    return str(found.title), str(found.metric)


def _look(data: Path | None) -> Seen | None:
    if data is None:
        return None
    from kagglekit.recognise import recognise

    return recognise(data)


def _files(facts: Facts, seen: Seen | None, package: bool) -> dict[Path, str]:
    from kagglekit.scaffold import plugin_text
    from kagglekit.scaffold_package import package_files

    if not package:
        return {Path(f"{facts.name}.py"): plugin_text(facts, seen)}
    folder = Path(f"kagglekit-{facts.name}")
    return {folder / file: text for file, text in package_files(facts, seen).items()}


def _write(files: Mapping[Path, str], force: bool, display: Display) -> None:
    """Write the files, all or none.

    Raises:
        UserError: Some are there already.
    """
    from kagglekit.files import write_text

    there = [file for file in files if file.exists()]
    if there and not force:
        raise UserError(f"already there: {listing(there)}", "choose another name, or replace them with --force")
    for file, text in files.items():
        write_text(file, text)
        display.say(f"{'replaced' if file in there else 'wrote'} {file}")


def _say_next(name: str, data: Path | None, package: bool, display: Display) -> None:
    plugin, place = (name, data or "DIR") if package else (f"./{name}.py", data or "DIR")
    display.say("next: read the lines marked CHECK, then")
    if package:
        display.say(f"  pip install -e kagglekit-{name}")
    for command in ("look", "check", "run"):
        display.say(f"  kagglekit {command} {plugin} --data {place}")
