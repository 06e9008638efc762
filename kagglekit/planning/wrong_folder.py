"""Hints for a data folder that is not the one meant: a part of it, the folder above, or another competition's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kagglekit.data.listing import subfolders
from kagglekit.data.packed_folder import source_of
from kagglekit.data.part_names import TRAIN, is_named
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import competition_names, load
from kagglekit.system.errors import UserError

MOST_TRIED = 8  # folders in the folder


@contextmanager
def pointing_elsewhere(hooks: Hooks, data: Path) -> Iterator[None]:
    """Add a hint to an error that the labels hook raises in the block, if it works in a folder close by.

    Args:
        hooks: The competition's.
        data: The data folder, or the folder of links that shows it unpacked. Messages name the user's.
    """
    try:
        yield
    except UserError as error:
        hint, source = _elsewhere(hooks, data) or error.hint, source_of(data)
        if hint == error.hint and source == data:
            raise
        raise type(error)(*(text.replace(str(data), str(source)) for text in (error.what, hint))) from error


def check_not_above(hooks: Hooks, data: Path, name: str) -> None:
    """Refuse a folder of data sets, one of which is the competition's, before the archives of all are unpacked.

    Args:
        hooks: The competition's.
        data: The user's folder.
        name: The competition's name.

    Raises:
        UserError: A folder in it has what the labels hook looks for, and it has not.
    """
    if not _fits(hooks, data) and (folder := next((each for each in _inside(data) if _fits(hooks, each)), None)):
        raise UserError(f"{data} does not hold the data of {name}, but one of its folders does", _hint(data, folder))


def _elsewhere(hooks: Hooks, data: Path) -> str:
    if _fits(hooks, data):  # it is the right folder, with something wrong in it
        return ""
    inside, above = _inside(data), source_of(data).parent
    trains = [folder for folder in inside if is_named(folder.name, TRAIN)]  # the parent of any folders has folders, too
    for folder in (*trains, above, *inside):
        if folder != folder.parent and _fits(hooks, folder):
            return _hint(data, folder)
    for name in competition_names():
        try:
            fits = _fits(Hooks(load(name)), data)
        except UserError:  # another plugin that is broken is no help here
            continue
        if fits:
            return f"these are the data of {name}: kagglekit run {name} --data {data}"
    return ""


def _hint(data: Path, folder: Path) -> str:
    where = "the folder in it" if folder.parent == data else "the folder above"
    return f"{where} has what the plugin looks for: --data {folder}"


def _inside(data: Path) -> list[Path]:
    with suppress(UserError):
        return subfolders(data)[:MOST_TRIED]
    return []


def _fits(hooks: Hooks, folder: Path) -> bool:
    """Return whether a competition's labels hook finds labelled images in a folder."""
    try:
        return len(hooks.labels(folder)) > 0
    except Exception:  # a plugin may raise anything on data that are not its own
        return False
