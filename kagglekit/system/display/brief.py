"""The output of one of several trainings: its progress and its warnings, and neither lines nor tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kagglekit.system.display.console import Bar, Display


@dataclass(frozen=True)
class Brief(Display):
    """Shows bars and warnings of another display under a title, and leaves out all that it is asked to report."""

    inner: Display
    title: str

    @classmethod
    def of(cls, inner: Display, title: str) -> Brief:
        """Return the brief form of a display."""
        return cls(inner.console, inner, title)

    @property
    def width(self) -> int:
        """The columns of the other display."""
        return self.inner.width

    def command(self, name: str, *arguments: object, **options: object) -> str:
        """Return what the user may type there."""
        return self.inner.command(name, *arguments, **options)

    def report(self, text: str, indent: int | None = None) -> None:
        """Leave out a line."""

    say = report

    def warn(self, text: str) -> None:
        """Print a warning, with the title."""
        self.inner.warn(f"{self.title}: {text}")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        keys: int = 1,
        together: Sequence[int] | None = None,
    ) -> None:
        """Leave out a table."""

    @contextmanager
    def status(self, what: str) -> Iterator[None]:
        """Say what is being done where that disappears again; elsewhere it would be a line."""
        if not self.inner.is_live:
            yield
            return
        with self.inner.status(f"{self.title}: {what}"):
            yield

    @contextmanager
    def bar(self, what: str, total: int | None, unit: str = "images") -> Iterator[Bar]:
        """Show a bar, with the title; see `Display.bar`."""
        with self.inner.bar(f"{self.title}: {what}", total, unit) as bar:
            yield bar
