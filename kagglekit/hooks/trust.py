"""Decide which plugin files may be imported on behalf of a run.

run.json may come from anywhere, and it names the plugin of its run. Importing a file runs its code. So a file is only
imported if it was named on this command line, or if this user's own cache has recorded the same path with the same
content, when a run was made with it here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path

from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.system.paths import own_place

_named: ContextVar[Path | None] = ContextVar("named", default=None)
_loaded: dict[Path, str] = {}  # the plugin files that were named in this process, with the SHA-256 of their content


class UntrustedPlugin(UserError):
    """The plugin file of a run may not be imported."""


def is_path(plugin: str) -> bool:
    """Return whether a competition's plugin is given by the path of its file."""
    return plugin.endswith(".py") or "/" in plugin or os.sep in plugin


@contextmanager
def plugin_named(file: str | Path | None) -> Iterator[None]:
    """Take a file in the block for the plugin of every run, whatever run.json names; None changes nothing."""
    token = _named.set(Path(file).expanduser().absolute() if file else None)
    try:
        yield
    finally:
        _named.reset(token)


def trusted_plugin(plugin: str) -> str:
    """Return what may be loaded for a run: the plugin that its run.json names, or the one named by the user.

    Args:
        plugin: A competition's name, or the path of a plugin file, from run.json.

    Raises:
        UntrustedPlugin: It is a file that was neither named by the user nor used for a run here, or that has changed.
    """
    if named := _named.get():
        return str(named)
    if not is_path(plugin):
        return plugin
    path = _resolved(plugin)
    if path not in _loaded:
        _check_recorded(plugin, path)
    return plugin


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
    _loaded[_resolved(file)] = sha256(content).hexdigest()


def record_plugin(plugin: str) -> None:
    """Record a plugin file in the user's cache, with the content that this process has loaded, for later commands.

    Args:
        plugin: A competition's name, which needs no record, or the path of its plugin file.
    """
    if is_path(plugin) and (digest := _loaded.get(path := _resolved(plugin))):
        write_text(_record(path, digest), str(path))


def _record(path: Path, digest: str) -> Path:
    return _record_folder(path) / digest


def _record_folder(path: Path) -> Path:
    return own_place("plugins", sha256(os.fsencode(path)).hexdigest()[:32], own_root=True)


def _resolved(plugin: str | Path) -> Path:
    return Path(plugin).expanduser().resolve()
