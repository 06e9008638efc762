"""Which kagglekit a plugin needs: ``kagglekit_requires = ">=0.3"``, read from its source before it is imported.

Read, not imported, since what a newer kagglekit has may be what the import fails at.
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
    """Refuse a plugin that says it needs another kagglekit.

    Args:
        plugin: As listings show it.
        source: Its file or entry point.

    Raises:
        PluginError: This kagglekit's version is not among those it names, or what it names is no version.
    """
    file = source if isinstance(source, Path) else _file(source)
    wanted = _wanted(plugin, file) if file is not None else ""
    if not wanted:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier as error:
        raise PluginError(f"plugin {plugin}: {NAME} = {wanted!r} names no versions", 'write ">=0.3"') from error
    if not fits:
        raise PluginError(
            f"plugin {plugin} needs kagglekit {wanted}, and this is {__version__}",
            "upgrade kagglekit (pip install -U kagglekit), or use another version of the plugin",
        )


def _file(entry: EntryPoint) -> Path | None:
    try:
        spec = importlib.util.find_spec(entry.module)
    except Exception:  # the package around it fails to import, which importing it will tell
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _wanted(plugin: str, file: Path) -> str:
    """Return what the module assigns to the name at its top; empty for nothing."""
    content = file.read_bytes()
    if NAME.encode() not in content:
        return ""
    try:
        lines = ast.parse(content).body
    except (SyntaxError, ValueError):  # importing it will tell
        return ""
    for line in lines:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            value = line.value  # type: ignore[attr-defined]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
            raise PluginError(f"plugin {plugin}: {NAME} at {file}:{line.lineno} is no plain string", 'write ">=0.3"')
    return ""
