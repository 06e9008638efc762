"""Check ``kagglekit_requires = ">=0.3"``, the versions of kagglekit that a plugin supports.

It is read from the source before the import, which may fail in an older kagglekit.
"""

from __future__ import annotations

import ast
import importlib.util
from importlib.metadata import EntryPoint
from pathlib import Path

from kagglekit._version import __version__
from kagglekit.system.errors import PluginError

NAME = "kagglekit_requires"


def check_requires(plugin: str, source: EntryPoint | Path) -> None:
    """Refuse a plugin that needs another version of kagglekit.

    Args:
        plugin: The plugin as listings show it.
        source: Its file or entry point.

    Raises:
        PluginError: This version is not among those it names, or its requirement is invalid.
    """
    file = source if isinstance(source, Path) else _file(source)
    wanted = _wanted(plugin, file) if file is not None else ""
    if not wanted:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier as error:
        raise PluginError(
            f"plugin {plugin}: {NAME} = {wanted!r} is not a version specifier", 'write ">=0.3"'
        ) from error
    if not fits:
        raise PluginError(
            f"plugin {plugin} needs kagglekit {wanted}, but this is {__version__}",
            "upgrade kagglekit (pip install -U kagglekit), or use another version of the plugin",
        )


def _file(entry: EntryPoint) -> Path | None:
    try:
        spec = importlib.util.find_spec(entry.module)
    except Exception:  # its package fails to import; importing the plugin will report it
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _wanted(plugin: str, file: Path) -> str:
    """Return the version specifier at the top of the module; empty if there is none."""
    content = file.read_bytes()
    if NAME.encode() not in content:
        return ""
    try:
        lines = ast.parse(content).body
    except (SyntaxError, ValueError):  # importing the plugin will report it
        return ""
    for line in lines:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            value = line.value  # type: ignore[attr-defined]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
            raise PluginError(f"plugin {plugin}: {NAME} at {file}:{line.lineno} is not a plain string", 'write ">=0.3"')
    return ""
