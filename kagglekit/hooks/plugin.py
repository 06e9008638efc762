"""Facts about plugins."""

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
    """Facts about a plugin.

    Attributes:
        name: Name of its entry point; of a file, the stem without ``kagglekit_``, with ``-`` for ``_``.
        kind: ``competition``, or ``shared`` by all competitions.
        distribution: Its installed distribution, or the path of its file.
        version: Version of the distribution; of a file, the beginning of its SHA-256.
        hooks: The hooks it implements, in the order of a run.
        problem: Why it is disabled; empty if it is in use.
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
        """True for kagglekit's own defaults."""
        return self.kind == "shared" and self.distribution == OWN

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


@dataclass(frozen=True)
class Plugins:
    """Loaded plugins.

    Attributes:
        manager: Holds the plugins in use, each registered under ``str(plugin)``.
        plugins: In the order of the calls; those with a `problem` are not in `manager`.
        competition: Name of the competition's plugin; empty if only shared ones were loaded.
    """

    manager: pluggy.PluginManager
    plugins: tuple[Plugin, ...]
    competition: str = ""

    @property
    def warnings(self) -> list[str]:
        """One line for each plugin that is disabled because it is broken."""
        return [f"disabled: {one_line(plugin.problem)}" for plugin in self.plugins if plugin.problem]
