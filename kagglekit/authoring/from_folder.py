"""Run a folder that has no plugin: recognise its layout, write a plugin for it, and use that."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kagglekit.authoring.as_recognised import check_as_recognised
from kagglekit.authoring.competition_source import metric_of
from kagglekit.authoring.detect.beside import parts_beside
from kagglekit.authoring.detect.data_folder import detect_layout
from kagglekit.authoring.detect.notes import NO_TEST_IMAGES
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import USUAL, plugin_text, summary
from kagglekit.data.packed_folder import see_through
from kagglekit.hooks.manager import competition_names
from kagglekit.hooks.trust import is_path
from kagglekit.planning.choose import check_request, choose
from kagglekit.system.errors import UsageError
from kagglekit.system.files import write_text
from kagglekit.system.paths import own_place

if TYPE_CHECKING:
    from kagglekit.authoring.detect.layout import DataLayout
    from kagglekit.planning.request import Request
    from kagglekit.system.display.console import Display

NAMELESS = ("data", "dataset", "input", "download", "downloads", "files", "images")


def competition_of(argument: str, data: Path | None, display: Display) -> tuple[str, Path | None]:
    """Return the competition and the data folder that a command's argument means.

    Args:
        argument: A competition's name, a plugin file, or a folder: anything with a slash, and ``.`` or ``..``.
        data: The data folder that was asked for; None without one.
        display: Reports what was recognised in a folder, and doubts.

    Returns:
        For a folder, the path of a plugin that was written for it, and the folder; else the arguments.

    Raises:
        UsageError: A folder is given together with `data`.
        UserError: The layout of the folder is not supported, or the plugin reads something else.
    """
    folder = Path(argument).expanduser()
    if not is_folder(argument):
        if argument in competition_names() and folder.is_dir():
            display.report(f"{argument} is the installed plugin; the folder of this name is ./{argument}")
        return argument, data
    if data:
        raise UsageError(f"{argument} is the data folder; --data names a different folder", "use one or the other")
    return str(_plugin_for(folder.absolute(), display)), folder


def recognised(request: Request, display: Display, resume_latest: bool = False) -> Request:
    """Return a request whose competition and data folder are those that its argument means.

    Args:
        request: The user's request.
        display: Reports what was recognised in a folder, and doubts.
        resume_latest: Whether it asks for the latest interrupted run.

    Raises:
        UserError: See `competition_of`; or it names something that does not exist, which is said before a folder is
            read.
    """
    _check_before_reading(request, resume_latest)
    competition, data = competition_of(request.competition, request.data, display)
    return replace(request, competition=competition, data=data)


def _check_before_reading(request: Request, resume_latest: bool) -> None:
    """Refuse what can be refused of a request for a folder without a plugin, before the folder is read.

    A plugin for any folder stands in for the one that the folder will get: names and settings are checked, and nothing
    that depends on the data. Other requests are not checked here.
    """
    if not is_folder(request.competition):
        return
    check_request(request, resume_latest)
    if request.full or any(setting.startswith("teacher=") for setting in request.settings):  # compared with the data's
        return
    name = _name(Path(request.competition).expanduser().absolute())
    with TemporaryDirectory(prefix="kagglekit-") as place:
        file = Path(place) / f"{name}.py"
        write_text(file, plugin_text(Facts(name), USUAL))
        choose(replace(request, competition=str(file), data=None))


def is_folder(argument: str) -> bool:
    """Return whether a command's argument is a data folder rather than a competition's name or plugin file."""
    return bool(argument) and (is_path(argument) or argument in (".", "..")) and Path(argument).expanduser().is_dir()


def _plugin_for(folder: Path, display: Display) -> Path:
    """Write a plugin for a folder into the cache, under a name that changes with its text."""
    data, name = see_through(folder, display), _name(folder)
    layout = detect_layout(data)
    text = plugin_text(Facts(name), _without_filling(layout))
    file = own_place("recognised", sha256(text.encode()).hexdigest()[:32], own_root=True) / f"{name}.py"
    write_text(file, text)
    display.report(f"recognised in {folder}: {summary(layout)}")
    check_as_recognised(file, data, layout)
    if name in competition_names():
        display.report(f"reading the folder {name}/; for the plugin of that name, leave out the slash")
    metric, why = metric_of(Facts(name), layout)
    for note in (*layout.notes, f"metric {metric}: {why.removeprefix('CHECK: ')}"):
        if note != NO_TEST_IMAGES:  # the check of the image table will say so
            display.warn(f"check: {note}")
    if layout.test is None and (part := parts_beside(data)):
        display.warn(part)
    display.report(f"hint: to change what was recognised: kagglekit new {name} --from-data {folder}")
    return file


def _without_filling(layout: DataLayout) -> DataLayout:
    """Leave it to the user to fill columns of classes without images: data may be incomplete, which a run refuses."""
    return replace(layout, sample=layout.sample and replace(layout.sample, unlabelled=()))


def _name(folder: Path) -> str:
    """Return a plugin's name for a folder; one that says nothing takes the name of the folder above."""
    place = folder.resolve()
    named = place.parent if place.name.lower() in NAMELESS and place.parent.name else place
    words = re.sub(r"[^a-z0-9]+", "-", named.name.lower()).strip("-")
    return words if words[:1].isalpha() else f"data-{words}".strip("-")
