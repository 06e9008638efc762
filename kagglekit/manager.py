"""Finds the plugins, loads them, checks their hooks and registers them in the order of asking."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from kagglekit import hookspecs
from kagglekit.blame import defined_at, one_line, plugin_failure
from kagglekit.errors import PluginError, UsageError, UserError, nearest, unknown
from kagglekit.requires import check_requires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from kagglekit.run_folder import Run

Kind = Literal["competition", "shared"]
GROUPS: dict[Kind, str] = {"competition": "kagglekit.competitions", "shared": "kagglekit"}
HOOKS = {
    name: tuple(inspect.signature(value).parameters)
    for name, value in vars(hookspecs).items()
    if name.startswith("kagglekit_")
}
"""The arguments of every hook, in the order of a run."""

_OWN = "kagglekit"
_REORDERING = ("tryfirst", "trylast", "wrapper", "hookwrapper")


@dataclass(frozen=True)
class Plugin:
    """What is known of a plugin.

    Attributes:
        name: Its entry point's name; for a file the stem without ``kagglekit_``, with ``-`` for ``_``.
        kind: Whether it is one competition's or shared by all.
        distribution: The installed distribution it belongs to, or the path of its file.
        version: Of the distribution; of a file the beginning of its SHA-256.
        hooks: Those it implements, in the order of a run.
        problem: Why it is not in use; empty if it is.
    """

    name: str
    kind: Kind
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    problem: str = ""

    @property
    def origin(self) -> str:
        """Distribution or file, and version."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def is_ours(self) -> bool:
        """Whether it is one of the defaults that come with kagglekit."""
        return self.kind == "shared" and self.distribution == _OWN

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


@dataclass(frozen=True)
class Plugins:
    """Loaded plugins.

    Attributes:
        manager: Holds those that are in use, each registered under ``str(plugin)``.
        plugins: In the order in which they are asked; those with a `problem` are not in `manager`.
        competition: Name of the competition's plugin; empty where only shared ones were loaded.
    """

    manager: pluggy.PluginManager
    plugins: tuple[Plugin, ...]
    competition: str = ""

    @property
    def warnings(self) -> list[str]:
        """One line for each plugin that is disabled because it is broken."""
        return [f"disabled: {one_line(plugin.problem)}" for plugin in self.plugins if plugin.problem]


def competition_names() -> list[str]:
    """Return the names of all installed competitions, without importing any."""
    return sorted({entry.name for entry in entry_points(group=GROUPS["competition"])})


def load(competition: str, disable: Sequence[str] = ()) -> Plugins:
    """Load the shared plugins and one competition's, which is asked first.

    Args:
        competition: Its name, or the path of a plugin file: anything that ends in ``.py`` or has a slash.
        disable: Names of shared plugins to leave out.

    Raises:
        UsageError: No competition or no plugin has that name.
        UserError: There is no such file.
        PluginError: The competition or one of kagglekit's own plugins is broken, or two claim the name.
    """
    source = _find_file(competition) if _is_path(competition) else _find_entry(competition)
    plugin = _describe(source, "competition")
    manager = _new_manager()
    shared = _add_shared(manager, disable)
    plugin = _add(manager, plugin, source)
    return Plugins(manager, (plugin, *shared), plugin.name)


def load_for(run: Run) -> Plugins:
    """Load the plugins that a run had: its competition's, and the shared ones but for those that it left out.

    Raises:
        UserError: What `load` raises.
    """
    return load(run.info()["plugin"], disabled_in(run))


def disabled_in(run: Run) -> tuple[str, ...]:
    """Return what a run left out of the shared plugins; what is not even installed here needs no leaving out."""
    there = {entry.name for entry in entry_points(group=GROUPS["shared"])}
    return tuple(name for name in run.disabled if name in there)


def load_shared(disable: Sequence[str] = ()) -> Plugins:
    """Load the plugins that all competitions share, as `load` does."""
    manager = _new_manager()
    return Plugins(manager, _add_shared(manager, disable))


def survey(kind: Kind) -> Iterator[Plugins]:
    """Load every installed plugin of a kind by itself, by name; a broken one comes with its `problem`."""
    entries = sorted(entry_points(group=GROUPS[kind]), key=_by_name)
    for entry in entries:
        manager, plugin = _new_manager(), _describe(entry, kind)
        rivals = [other for other in entries if other.name == entry.name and other is not entry]
        if kind == "competition" and rivals:
            claims = ", ".join(_describe(other, kind).origin for other in rivals)
            problem = f"plugin {plugin}: its name is also claimed by {claims}"
            yield Plugins(manager, (replace(plugin, problem=problem),))
        else:
            yield Plugins(manager, (_add_or_disable(manager, plugin, entry),))


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("kagglekit")
    manager.add_hookspecs(hookspecs)
    return manager


def _add_shared(manager: pluggy.PluginManager, disable: Sequence[str]) -> tuple[Plugin, ...]:
    """Register the shared plugins; pluggy asks the last one first, so kagglekit's own go in first."""
    entries = list(entry_points(group=GROUPS["shared"]))
    names = {entry.name for entry in entries}
    for name in disable:
        if name not in names:
            raise UsageError(unknown("plugin to disable", name, names))
    added = []
    for entry in sorted((e for e in entries if e.name not in disable), key=_by_asking, reverse=True):
        plugin = _describe(entry, "shared")
        own = plugin.distribution == _OWN
        added.append(_add(manager, plugin, entry) if own else _add_or_disable(manager, plugin, entry))
    return tuple(reversed(added))


def _add_or_disable(manager: pluggy.PluginManager, plugin: Plugin, source: EntryPoint) -> Plugin:
    try:
        return _add(manager, plugin, source)
    except PluginError as error:
        return replace(plugin, problem=str(error))


def _add(manager: pluggy.PluginManager, plugin: Plugin, source: EntryPoint | Path) -> Plugin:
    """Import a plugin that fits this kagglekit, check its hooks and register it."""
    if plugin.distribution != _OWN:
        check_requires(str(plugin), source)
    module = _import(plugin, source)
    hooks = set(_checked_hooks(manager, plugin, module))
    if manager.is_registered(module):
        raise PluginError(f"plugin {plugin} is the same module as {manager.get_name(module)}: list it once")
    manager.register(module, name=str(plugin))
    return replace(plugin, hooks=tuple(hook for hook in HOOKS if hook in hooks))


def _checked_hooks(manager: pluggy.PluginManager, plugin: Plugin, module: object) -> Iterator[str]:
    """Yield the hooks a plugin implements; what pluggy would skip or accept in silence is refused."""
    for name in dir(module):
        options = manager.parse_hookimpl_opts(module, name)
        if options is None and not name.startswith("kagglekit_"):
            continue
        value = getattr(module, name)
        if options is None or not (inspect.isfunction(value) or inspect.ismethod(value)):
            _refuse_function(plugin, name, value)
            continue
        hook = options.get("specname") or name
        if hook in HOOKS or not options.get("optionalhook"):
            _check_hook(plugin, hook, value, options)
            yield hook


def _refuse_function(plugin: Plugin, name: str, value: object) -> None:
    """Refuse what looks like a hook and is none; modules and classes may have such names."""
    if callable(value) and not inspect.isclass(value):
        guess = "" if name in HOOKS else nearest(name, HOOKS)
        raise PluginError(
            f"plugin {plugin}: {name}{defined_at(value)} is no plain function with @hookimpl on top",
            f"{guess}only hooks have names that begin with kagglekit_, and they need @hookimpl",
        )


def _check_hook(plugin: Plugin, hook: str, function: Callable[..., Any], options: Any) -> None:
    place = f"plugin {plugin}{defined_at(function)}"
    if hook not in HOOKS:
        raise PluginError(f"{place}: {unknown('hook', hook, HOOKS)}")
    given = inspect.signature(function).parameters.values()
    wrong = [p.name for p in given if p.name not in HOOKS[hook] or not _is_plain(p)]
    if wrong:
        raise PluginError(
            f"{place}: {hook} has no argument {wrong[0]!r}: {nearest(wrong[0], HOOKS[hook])}"
            f"it is called as {hook}({', '.join(HOOKS[hook])})",
            "leave out what is not needed; nothing has a default or is keyword-only",
        )
    reordering = [option for option in _REORDERING if options.get(option)]
    if reordering:
        raise PluginError(
            f"{place}: {hook} is marked {reordering[0]}, which kagglekit does not have",
            "asked are the competition, other plugins by name, then the defaults; the first answer counts",
        )


def _is_plain(parameter: inspect.Parameter) -> bool:
    positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return positional and parameter.default is parameter.empty


def _import(plugin: Plugin, source: EntryPoint | Path) -> object:
    try:
        return _import_file(source) if isinstance(source, Path) else source.load()
    except (Exception, SystemExit) as error:
        modules = {_module_name(source) if isinstance(source, Path) else source.module}
        raise plugin_failure(str(plugin), "to load", error, modules) from error


def _import_file(path: Path) -> ModuleType:
    loader = SourceFileLoader(_module_name(path), str(path.resolve()))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # it was just given its loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses and pickle look a class's module up there
    loader.exec_module(module)
    return module


def _module_name(path: Path) -> str:
    return f"kagglekit_file_{path.stem}"


def _is_path(competition: str) -> bool:
    return competition.endswith(".py") or "/" in competition or os.sep in competition


def _find_file(competition: str) -> Path:
    path = Path(competition).expanduser()
    if not path.is_file():
        what = "is a folder, not a plugin file" if path.is_dir() else "does not exist"
        names = ", ".join(competition_names()) or "none is installed"
        raise UserError(f"the plugin file {competition} {what}", f"installed competitions: {names}")
    return path


def _find_entry(competition: str) -> EntryPoint:
    entries = [entry for entry in entry_points(group=GROUPS["competition"]) if entry.name == competition]
    if not entries:
        raise UsageError(
            unknown("competition", competition, competition_names()),
            "a plugin file is given with its path, for example ./cassava.py",
        )
    if len(entries) > 1:
        claims = " and ".join(sorted(_describe(entry, "competition").origin for entry in entries))
        raise PluginError(f"the competition {competition!r} is claimed by {claims}", "uninstall all but one of them")
    return entries[0]


def _describe(source: EntryPoint | Path, kind: Kind) -> Plugin:
    if isinstance(source, Path):
        name = source.stem.removeprefix("kagglekit_").replace("_", "-")
        return Plugin(name, kind, str(source), sha256(source.read_bytes()).hexdigest()[:8])
    if source.dist is None:
        return Plugin(source.name, kind, source.value, "")
    return Plugin(source.name, kind, source.dist.name, source.dist.version)


def _by_name(entry: EntryPoint) -> tuple[str, str]:
    return entry.name, entry.dist.name if entry.dist else ""


def _by_asking(entry: EntryPoint) -> tuple[bool, str, str]:
    name, distribution = _by_name(entry)
    return distribution == _OWN, name, distribution
