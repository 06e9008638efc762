"""Check the names, arguments and decorators of a plugin's hooks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pluggy

from kagglekit.hooks.failures import defined_at
from kagglekit.hooks.specs import HOOKS, OLD_NAMES
from kagglekit.system.errors import PluginError, nearest, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kagglekit.hooks.plugin import Plugin


_REORDERING = ("tryfirst", "trylast", "wrapper", "hookwrapper")


def checked_hooks(manager: pluggy.PluginManager, plugin: Plugin, module: object) -> Iterator[str]:
    """Yield the hooks of a plugin; refuse what pluggy would silently skip or accept."""
    found = {name: manager.parse_hookimpl_opts(module, name) for name in dir(module)}
    elsewhere = {options["specname"] for options in found.values() if options}
    for name, options in found.items():
        if options is None and (not name.startswith("kagglekit_") or name in elsewhere):
            continue  # a function of the hook's name is for other plugins to call where another one is the hook
        value = getattr(module, name)
        if options is None or not (inspect.isfunction(value) or inspect.ismethod(value)):
            _refuse_function(plugin, name, value)
            continue
        hook = options.get("specname") or name
        if hook in HOOKS or not options.get("optionalhook"):
            _check_hook(plugin, hook, value, options)
            yield hook


def _refuse_function(plugin: Plugin, name: str, value: object) -> None:
    """Refuse a function that looks like a hook; modules and classes may have such names."""
    if callable(value) and not inspect.isclass(value):
        guess = "" if name in HOOKS else nearest(name, HOOKS)
        raise PluginError(
            f"plugin {plugin}: {name}{defined_at(value)} is not a plain function with @hookimpl",
            f"{guess}names that begin with kagglekit_ are reserved for hooks, which need @hookimpl",
        )


def _check_hook(plugin: Plugin, hook: str, function: Callable[..., Any], options: Any) -> None:
    place = f"plugin {plugin}{defined_at(function)}"
    if hook not in HOOKS:
        raise PluginError(f"{place}: {unknown('hook', hook, HOOKS)}")
    given = inspect.signature(function).parameters.values()
    known = {*HOOKS[hook], *OLD_NAMES.get(hook, ())}
    wrong = [p.name for p in given if p.name not in known or not _is_plain(p)]
    if wrong:
        raise PluginError(
            f"{place}: {hook} has no argument {wrong[0]!r}: {nearest(wrong[0], HOOKS[hook])}"
            f"its arguments are {hook}({', '.join(HOOKS[hook])})",
            "omit unused arguments; arguments must be positional and without defaults",
        )
    reordering = [option for option in _REORDERING if options.get(option)]
    if reordering:
        raise PluginError(
            f"{place}: {hook} is marked {reordering[0]}, which kagglekit does not support",
            "the order is: the competition, other plugins by name, the defaults; the first result counts",
        )


def _is_plain(parameter: inspect.Parameter) -> bool:
    positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return positional and parameter.default is parameter.empty
