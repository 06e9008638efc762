"""Find the plugins, import them, check their hooks and register them in the order of the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.hooks.plugin import GROUPS, OWN, Plugin, Plugins
from kagglekit.hooks.signatures import checked_hooks
from kagglekit.hooks.specs import HOOKS

if TYPE_CHECKING:
    from kagglekit.hooks.plugin import Kind


import importlib.util
import sys
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from kagglekit.hooks import specs as hookspecs
from kagglekit.hooks.failures import plugin_failure
from kagglekit.hooks.requires import check_requires
from kagglekit.hooks.trust import is_path, note_loaded, trusted_plugins
from kagglekit.system.errors import PluginError, UsageError, UserError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from kagglekit.runs.info import RunInfo


def competition_names() -> list[str]:
    """Return the names of all installed competitions, without importing any."""
    return sorted({entry.name for entry in _entries("competition")})


def load(competition: str, disable: Sequence[str] = (), files: Sequence[str] = ()) -> Plugins:
    """Load the shared plugins and one competition's plugin, which is called first.

    Args:
        competition: Its name, or the path of a plugin file: anything that ends in ``.py`` or contains a slash.
        disable: Names of shared plugins to disable.
        files: Paths of further plugin files, which are called right after the competition's, in this order.

    Raises:
        UsageError: No competition or no plugin has that name.
        UserError: There is no such file.
        PluginError: The competition or one of kagglekit's own plugins is broken, or two plugins share the name.
    """
    source = _find_file(competition) if is_path(competition) else _find_entry(competition)
    further = [_find_file(file) for file in files]
    _check_different([file for file in [source, *further] if isinstance(file, Path)])
    manager = _new_manager()
    shared = _add_shared(manager, disable)
    added = [_add(manager, _describe(file, "shared"), file) for file in reversed(further)]
    plugin = _add(manager, _describe(source, "competition"), source)
    return Plugins(manager, (plugin, *reversed(added), *shared), plugin.name)


def _check_different(files: Sequence[Path]) -> None:
    """Refuse plugin files whose modules would have the same name; note that the user named them."""
    for place, file in enumerate(files):
        if rival := next((other for other in files[:place] if other.stem == file.stem), None):
            what = f"{file} is named twice" if file.samefile(rival) else f"{file} and {rival} have the same name"
            raise UsageError(f"plugin files: {what}", "name each file once; rename one of two that share a name")
        note_loaded(file, file.read_bytes())


def load_for(info: RunInfo) -> Plugins:
    """Load the plugins of a run, by its run.json: its competition's, and the shared ones except those it disabled.

    Raises:
        UntrustedPlugin: Its plugin file may not be imported (see `kagglekit.hooks.trust`).
        UserError: As in `load`.
    """
    plugin, files = trusted_plugins(info.plugin, info.plugin_files)
    return load(plugin, disabled_in(info), files)


def disabled_in(info: RunInfo) -> tuple[str, ...]:
    """Return the shared plugins that a run disabled and that are installed here."""
    installed = {entry.name for entry in _entries("shared")}
    return tuple(name for name in info.disabled if name in installed)


def load_shared(disable: Sequence[str] = ()) -> Plugins:
    """Load the shared plugins only, as `load` does."""
    manager = _new_manager()
    return Plugins(manager, _add_shared(manager, disable))


def survey(kind: Kind) -> Iterator[Plugins]:
    """Load every installed plugin of a kind separately, by name; a broken one has a `problem`."""
    entries = sorted(_entries(kind), key=_by_name)
    for entry in entries:
        manager, plugin = _new_manager(), _describe(entry, kind)
        rivals = [other for other in entries if other.name == entry.name and other is not entry]
        if kind == "competition" and rivals:
            claims = ", ".join(_describe(other, kind).origin for other in rivals)
            problem = f"plugin {plugin}: its name is also used by {claims}"
            yield Plugins(manager, (replace(plugin, problem=problem),))
        else:
            yield Plugins(manager, (_add_or_disable(manager, plugin, entry),))


def _entries(kind: Kind) -> tuple[EntryPoint, ...]:
    """Return the entry points of all installed plugins of a kind; a search takes a hundredth of a second or more."""
    places = [Path(place or ".").absolute() for place in sys.path]
    return _searched(GROUPS[kind], tuple((place, place.stat().st_mtime_ns) for place in places if place.exists()))


@lru_cache(maxsize=8)
def _searched(group: str, places: tuple[tuple[Path, int], ...]) -> tuple[EntryPoint, ...]:
    """Search again once a folder of sys.path has changed: what is installed or removed changes it."""
    return tuple(entry_points(group=group))


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("kagglekit")
    manager.add_hookspecs(hookspecs)
    return manager


def _add_shared(manager: pluggy.PluginManager, disable: Sequence[str]) -> tuple[Plugin, ...]:
    """Register the shared plugins; pluggy calls the last one first, so kagglekit's own are registered first."""
    entries = _entries("shared")
    names = {entry.name for entry in entries}
    for name in disable:
        if name not in names:
            raise UsageError(unknown("plugin to disable", name, names))
    added = []
    for entry in sorted((e for e in entries if e.name not in disable), key=_by_precedence, reverse=True):
        plugin = _describe(entry, "shared")
        own = plugin.distribution == OWN
        added.append(_add(manager, plugin, entry) if own else _add_or_disable(manager, plugin, entry))
    return tuple(reversed(added))


def _add_or_disable(manager: pluggy.PluginManager, plugin: Plugin, source: EntryPoint) -> Plugin:
    try:
        return _add(manager, plugin, source)
    except PluginError as error:
        return replace(plugin, problem=str(error))


def _add(manager: pluggy.PluginManager, plugin: Plugin, source: EntryPoint | Path) -> Plugin:
    """Import a plugin if it supports this version of kagglekit, check its hooks and register it."""
    if plugin.distribution != OWN:
        check_requires(str(plugin), source)
    module = _import(plugin, source)
    hooks = set(checked_hooks(manager, plugin, module))
    if manager.is_registered(module):
        raise PluginError(f"plugin {plugin} is the same module as {manager.get_name(module)}", "list it once")
    manager.register(module, name=str(plugin))
    return replace(plugin, hooks=tuple(hook for hook in HOOKS if hook in hooks))


def _import(plugin: Plugin, source: EntryPoint | Path) -> object:
    try:
        return _import_file(source) if isinstance(source, Path) else source.load()
    except (Exception, SystemExit) as error:
        modules = {_module_name(source) if isinstance(source, Path) else source.module}
        raise plugin_failure(str(plugin), "to load", error, modules) from error


def _import_file(path: Path) -> ModuleType:
    loader = SourceFileLoader(_module_name(path), str(path.resolve()))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # it was created with a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses and pickle look up a class's module there
    loader.exec_module(module)
    return module


def _module_name(path: Path) -> str:
    return f"kagglekit_file_{path.stem}"


def _find_file(competition: str) -> Path:
    path = Path(competition).expanduser()
    if not path.is_file():
        if path.is_dir():
            files = [file for file in sorted(path.glob("*.py")) if "hookimpl" in file.read_text(errors="replace")]
            hint = f"name the file: {files[0]}" if files else "a folder of images is named by --data DIR"
            raise UserError(f"{competition} is a folder, not a plugin file", hint)
        names = ", ".join(competition_names()) or "none is installed"
        if "kaggle.com/" in competition:
            hint = (
                f"name an installed competition ({names}), or create a plugin: kagglekit new NAME --slug {competition}"
            )
            raise UserError(f"{competition} is an address, not the name of a competition's plugin", hint)
        if not path.suffix and not path.exists():
            hint = f"the plugin file is {competition}.py" if Path(f"{path}.py").is_file() else "check the path"
            raise UserError(f"{competition} does not exist: neither a data folder nor a plugin file", hint)
        raise UserError(f"the plugin file {competition} does not exist", f"installed competitions: {names}")
    if path.suffix != ".py":
        hint = "give the folder of the data, or a plugin file, whose name ends in .py"
        raise UserError(f"{competition} is not a plugin file", hint)
    return path


def _find_entry(competition: str) -> EntryPoint:
    entries = [entry for entry in _entries("competition") if entry.name == competition]
    if not entries:
        raise UsageError(
            unknown("competition", competition, competition_names()),
            _path_hint(competition),
        )
    if len(entries) > 1:
        claims = " and ".join(sorted(_describe(entry, "competition").origin for entry in entries))
        raise PluginError(
            f"several plugins provide the competition {competition!r}: {claims}", "uninstall all but one of them"
        )
    return entries[0]


def _path_hint(name: str) -> str:
    """Return what to write for a file or folder of this name in the working folder."""
    if Path(name).is_dir():
        return f"for the folder, add a slash: ./{name}"
    return f"for a plugin file, give its path: ./{name if Path(f'{name}.py').is_file() else 'cassava'}.py"


def _describe(source: EntryPoint | Path, kind: Kind) -> Plugin:
    if isinstance(source, Path):
        name = source.stem.removeprefix("kagglekit_").replace("_", "-")
        return Plugin(name, kind, str(source), sha256(source.read_bytes()).hexdigest()[:8])
    if source.dist is None:
        return Plugin(source.name, kind, source.value, "")
    return Plugin(source.name, kind, *_name_and_version(source.dist))


@lru_cache(maxsize=64)  # a distribution reads its file of facts anew for each of its many entry points
def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    facts = distribution.metadata
    return facts["Name"], facts["Version"]


def _by_name(entry: EntryPoint) -> tuple[str, str]:
    return entry.name, _name_and_version(entry.dist)[0] if entry.dist else ""


def _by_precedence(entry: EntryPoint) -> tuple[bool, str, str]:
    name, distribution = _by_name(entry)
    return distribution == OWN, name, distribution
