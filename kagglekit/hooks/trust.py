"""Decide which plugin files may be imported on behalf of a run.

run.json may come from anywhere, and it names the plugin of its run. Importing a file runs its code. So a file is only
imported if it was named on this command line, or if this user's own cache has recorded the same path with the same
content, when a run was made with it here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path

from kagglekit.system.errors import UsageError, UserError, listing
from kagglekit.system.files import write_bytes, write_text
from kagglekit.system.paths import own_place

_named: ContextVar[tuple[Path, ...]] = ContextVar("named", default=())
_loaded: dict[Path, bytes] = {}  # the plugin files that were named in this process, with their content


class UntrustedPlugin(UserError):
    """The plugin file of a run may not be imported."""


def is_path(plugin: str) -> bool:
    """Return whether a competition's plugin is given by the path of its file."""
    return plugin.endswith(".py") or "/" in plugin or os.sep in plugin


@contextmanager
def plugins_named(files: Sequence[str | Path]) -> Iterator[None]:
    """Take files in the block for the plugin files of every run, whatever run.json names."""
    token = _named.set(tuple(Path(file).expanduser().absolute() for file in files))
    try:
        yield
    finally:
        _named.reset(token)


def trusted_plugins(plugin: str, files: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return what may be loaded for a run: the plugins that its run.json names, or the files named by the user.

    A named file takes the place of the run's file of the same path or name. A single one that has no such place takes
    that of the run's only file, or of its competition.

    Args:
        plugin: The competition's name, or the path of its plugin file, from run.json.
        files: The paths of the further plugin files, from run.json.

    Returns:
        The competition's plugin and the further files.

    Raises:
        UntrustedPlugin: A file was neither named by the user nor used for a run here, or has changed.
        UsageError: The user named files that are none of the run's.
    """
    recorded = [plugin, *files]
    named = _places(recorded, _named.get())
    for place, each in enumerate(recorded):
        if place not in named and is_path(each) and (path := _resolved(each)) not in _loaded:
            _check_recorded(each, path)
    first, *further = (named.get(place, each) for place, each in enumerate(recorded))
    return first, tuple(further)


def _places(recorded: list[str], named: Sequence[Path]) -> dict[int, str]:
    """Return the files named by the user, by their places among a run's plugins."""
    found = {place: file for file in named if (place := _place_of(file, recorded)) is not None}
    rest = [file for file in named if file not in found.values()]
    if rest:
        free = [place for place, each in enumerate(recorded) if is_path(each) and place not in found] or [0]
        if len(rest) > 1 or len(free) > 1 or free[0] in found:
            what = f"not plugin files of the run: {listing(rest)}"
            raise UsageError(what, f"it was made with {listing(recorded)}; name a file of the same name in its place")
        found[free[0]] = rest[0]
    return {place: str(file) for place, file in found.items()}


def _place_of(file: Path, recorded: list[str]) -> int | None:
    """Return which of a run's plugins a file is: the one of its path, else the one of its name."""
    paths = [Path(each) if is_path(each) else None for each in recorded]
    same = [place for place, path in enumerate(paths) if path and _resolved(path) == _resolved(file)]
    alike = [place for place, path in enumerate(paths) if path and path.name == file.name]
    return next(iter([*same, *alike]), None)


def _check_recorded(plugin: str, path: Path) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise UntrustedPlugin(f"the run's plugin file {plugin} {why}", "name its file: --plugin FILE") from error
    if _record(path, sha256(content).hexdigest()).is_file():
        return
    if any(_record_folder(path).glob("*")):
        what = "has been edited since it was last used for a run here"
    else:
        what = "is not imported: no run was made with it here, and it could run any code"
    raise UntrustedPlugin(f"the run's plugin file {plugin} {what}", f"if you trust it, name it: --plugin {plugin}")


def note_loaded(file: Path, content: bytes) -> None:
    """Note that the user has named a plugin file in this process."""
    _loaded[_resolved(file)] = content


def record_plugins(plugins: Sequence[str], copies: Path) -> dict[str, str]:
    """Record plugin files in the user's cache, with the content that this process has loaded, for later commands.

    Args:
        plugins: Competitions' names, which need no record, and paths of plugin files.
        copies: The folder for a copy of each file, to read; it is never imported unless the user names it.

    Returns:
        The SHA-256 of each file's content, by its absolute path.
    """
    digests = {}
    for plugin in plugins:
        if is_path(plugin) and (path := _resolved(plugin)) in _loaded:
            digest = sha256(_loaded[path]).hexdigest()
            write_text(_record(path, digest), str(path))
            write_bytes(copies / Path(plugin).name, _loaded[path])
            digests[str(Path(plugin).expanduser().absolute())] = digest
    return digests


def _record(path: Path, digest: str) -> Path:
    return _record_folder(path) / digest


def _record_folder(path: Path) -> Path:
    return own_place("plugins", sha256(os.fsencode(path)).hexdigest()[:32], own_root=True)


def _resolved(plugin: str | Path) -> Path:
    return Path(plugin).expanduser().resolve()
