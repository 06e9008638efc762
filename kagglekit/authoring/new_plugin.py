"""`kagglekit new`: facts from Kaggle, a look at the data, and the files of a plugin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.detect.file_list import guess_layout
from kagglekit.authoring.detect.unexplained import Unexplained
from kagglekit.authoring.kaggle_facts import ask_kaggle
from kagglekit.authoring.package import package_files
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import USUAL, plugin_text, skeleton_text
from kagglekit.data.location import data_place, existing_data
from kagglekit.data.packed_folder import see_through
from kagglekit.kaggle.data_folder import download_from_kaggle
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import write_text
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kagglekit.authoring.detect.layout import DataLayout
    from kagglekit.system.display.console import Display


@dataclass(frozen=True)
class NewPlugin:
    """The request to `kagglekit new`.

    Attributes:
        name: The plugin's name.
        data: The unpacked data; None without any.
        slug: The competition's name in Kaggle's addresses; empty if it is not there.
        download: Download the data of `slug` first, unless they exist.
        package: Write a distribution instead of one file.
        force: Replace existing files.
    """

    name: str
    data: Path | None = None
    slug: str = ""
    download: bool = False
    package: bool = False
    force: bool = False


@dataclass(frozen=True)
class Written:
    """The basis of a written plugin.

    Attributes:
        data: The data folder; None if none was looked at.
        from_listing: The labels are guessed from Kaggle's list of files.
    """

    data: Path | None
    from_listing: bool


def create_plugin(asked: NewPlugin, display: Display) -> Written:
    """Write a competition's plugin; report doubts and files.

    Raises:
        UserError: Files exist already, Kaggle refuses, or nothing explains the data: then a plugin is written whose
            labels hook fails until it is completed.
    """
    _refuse_to_replace(asked)
    facts, listed = ask_kaggle(asked.name, asked.slug, asked.download, display)
    data = _downloaded(facts, display) if asked.download else asked.data
    try:
        layout = _layout(data, facts, listed, display)
    except Unexplained as error:
        raise _with_skeleton(error, facts, asked) from error
    for note in layout.notes if data else ():
        display.warn(f"check: {note}")
    _write(_files(facts, layout, asked.package), display)
    return Written(data, bool(listed) and data is None)


def _refuse_to_replace(asked: NewPlugin) -> None:
    """Check for existing files before asking Kaggle or downloading.

    Raises:
        UserError: Some files exist already.
    """
    there = [file for file in _files(Facts(asked.name), USUAL, asked.package) if file.exists()]
    if there and not asked.force:
        raise UserError(f"already there: {listing(there)}", "choose another name, or replace them with --force")


def _layout(data: Path | None, facts: Facts, listed: Mapping[str, int], display: Display) -> DataLayout:
    if data:
        return detect_layout(see_through(data, display), facts.metric)
    return guess_layout(list(listed)) if listed else USUAL


def _with_skeleton(error: Unexplained, facts: Facts, asked: NewPlugin) -> UserError:
    """Write a plugin that lacks its labels hook; return the error that says so."""
    if asked.package or not error.helper:
        return error
    file = Path(f"{asked.name}.py")
    write_text(file, skeleton_text(facts, error.facts, error.helper))
    todo = f"{file} was written, but fails until you write its kagglekit_labels, for example with {error.helper}"
    return UserError(error.what, f"{todo}; {error.hint}")


def _downloaded(facts: Facts, display: Display) -> Path:
    """Return the data folder; download it if it does not exist."""
    competition = Competition(title=facts.title, slug=facts.slug, metric="accuracy")  # any metric: it plays no part
    if there := existing_data(competition, facts.name):
        display.report(f"using the data in {there}")
        return there
    return download_from_kaggle(competition, data_place(facts.name), DownloadOptions(display))


def _files(facts: Facts, layout: DataLayout, package: bool) -> dict[Path, str]:
    """Return the text of each file to write."""
    if not package:
        return {Path(f"{facts.name}.py"): plugin_text(facts, layout)}
    folder = Path(f"kagglekit-{facts.name}")
    return {folder / file: text for file, text in package_files(facts, layout).items()}


def _write(files: Mapping[Path, str], display: Display) -> None:
    there = [file for file in files if file.exists()]
    for file, text in files.items():
        write_text(file, text)
        display.report(f"{'replaced' if file in there else 'wrote'} {file}")
