"""What is known of plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pluggy

from kagglekit.hooks.failures import one_line

Kind = Literal["competition", "shared"]
GROUPS: dict[Kind, str] = {"competition": "kagglekit.competitions", "shared": "kagglekit"}
OWN = "kagglekit"


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
        return self.kind == "shared" and self.distribution == OWN

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
