"""Attribute exceptions to plugins: name, file and line of the plugin that raised."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kagglekit.system.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable


def plugin_failure(plugin: str, action: str, error: BaseException, modules: set[str]) -> PluginError:
    """Return the error that attributes an exception to a plugin.

    Args:
        plugin: The plugin as listings show it.
        action: The failed action, for example ``in kagglekit_labels``.
        error: The exception; the caller raises the result ``from`` it.
        modules: Names of the plugin's modules. The message names the innermost place in them, or in modules of the
            same top-level package.
    """
    text = _text(error)
    cause = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return PluginError(f"plugin {plugin} failed {action}{_place(error, modules)}: {cause}")


def defined_at(function: Callable[..., Any]) -> str:
    """Return `` at FILE:LINE`` of a function's definition; empty if it is not written in Python."""
    code = getattr(function, "__code__", None)
    return f" at {code.co_filename}:{code.co_firstlineno}" if code else ""


def one_line(text: str) -> str:
    """Join the lines of a text, for a warning or a cell of a table."""
    return " ".join(text.split())


def _place(error: BaseException, modules: set[str]) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    packages = {module.partition(".")[0] for module in modules}
    places = [
        f" at {frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages
    ]
    return places[-1] if places else ""


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        wrong = [(".".join(str(part) for part in item["loc"]), item["msg"]) for item in error.errors()]
        return f"{error.title}: " + "; ".join(f"{field}: {text}" if field else text for field, text in wrong)
    return error.msg if isinstance(error, SyntaxError) else str(error)
