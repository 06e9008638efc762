"""Installs real distributions with plugins into a folder on sys.path, as pip would leave them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Site:
    folder: Path

    def install(
        self,
        distribution: str,
        *,
        version: str = "1.0",
        shared: Mapping[str, str] = NOTHING,
        competitions: Mapping[str, str] = NOTHING,
    ) -> None:
        """Install a distribution; `shared` and `competitions` map entry point names to source code.

        One named ``kagglekit`` hides the real one, which comes later on sys.path.
        """
        info = self.folder / f"{distribution}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines: list[str] = []
        for group, plugins in (("kagglekit", shared), ("kagglekit.competitions", competitions)):
            lines.append(f"[{group}]")
            lines += [f"{name} = {self.add_module(distribution, name, code)}" for name, code in plugins.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()

    def add_module(self, distribution: str, name: str, code: str) -> str:
        module = f"kagglekit_{distribution}_{name}".replace("-", "_")
        (self.folder / f"{module}.py").write_text(source(code))
        return module

    def write(self, file: str, code: str) -> str:
        path = self.folder / file
        path.write_text(source(code))
        return str(path)

    def forget(self) -> None:
        """Drop the modules that were imported from here."""
        ours = [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(self.folder))]
        for name in ours:
            del sys.modules[name]


def source(code: str) -> str:
    """Put the import that every plugin has in front; it takes line 1."""
    return "from kagglekit import *; from kagglekit import hookimpl\n" + dedent(code)
