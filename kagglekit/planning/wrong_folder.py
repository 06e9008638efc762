"""Hints for a data folder that is not the one meant: a part of it, the folder above, or another competition's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import competition_names, load
from kagglekit.system.errors import UserError

MOST_TRIED = 8  # folders in the folder


@contextmanager
def pointing_elsewhere(hooks: Hooks, data: Path) -> Iterator[None]:
    """Add a hint to an error that the labels hook raises in the block, if it works in a folder close by.

    Args:
        hooks: The competition's.
        data: The data folder.
    """
    try:
        yield
    except UserError as error:
        if hint := _elsewhere(hooks, data):
            raise type(error)(error.what, hint) from error
        raise


def _elsewhere(hooks: Hooks, data: Path) -> str:
    if _fits(hooks, data):  # it is the right folder, with something wrong in it
        return ""
    inside = [folder for folder in sorted(data.iterdir()) if folder.is_dir()][:MOST_TRIED] if data.is_dir() else []
    for folder in (data.parent, *inside):
        if folder != folder.parent and _fits(hooks, folder):
            where = "the folder above" if folder == data.parent else "the folder in it"
            return f"{where} has what the plugin looks for: --data {folder}"
    for name in competition_names():
        try:
            fits = _fits(Hooks(load(name)), data)
        except UserError:  # another plugin that is broken is no help here
            continue
        if fits:
            return f"these are the data of {name}: kagglekit run {name} --data {data}"
    return ""


def _fits(hooks: Hooks, folder: Path) -> bool:
    """Return whether a competition's labels hook finds labelled images in a folder."""
    try:
        return len(hooks.labels(folder)) > 0
    except Exception:  # a plugin may raise anything on data that are not its own
        return False
