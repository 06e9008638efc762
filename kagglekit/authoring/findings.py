"""Findings of a plugin's check, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from kagglekit.system.display.printable import printable_lines
from kagglekit.system.errors import UserError

T = TypeVar("T")
INDENT = 26  # columns before the result of a check
Status = Literal["ok", "note", "problem", "not checked"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Its name: ``hooks``, ``facts``, ``recipe``, ``labels``, ``submission``, ``evidence``, ``training``,
            ``determinism``.
        status: ``ok``, ``note`` (unusual, but no mistake), ``problem``, or ``not checked``.
        what: The result in one sentence.
        at: File and line of the hook's function, if known.
        fix: How to fix a problem, or how to have this checked.
    """

    check: str
    status: Status
    what: str
    at: str = ""
    fix: str = ""


@dataclass
class Report:
    """Collect findings, and turn the errors of a check into findings."""

    findings: list[Finding] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    yielded: int = 0

    def news(self) -> Iterator[Finding]:
        """Yield the findings since the last call."""
        first, self.yielded = self.yielded, len(self.findings)
        yield from self.findings[first:]

    def add(self, check: str, status: Status, what: str, fix: str = "", hook: str = "") -> None:
        """Add a finding about a hook."""
        self.findings.append(Finding(check, status, what, self.places.get(hook, ""), fix))

    def attempt(self, check: str, hook: str, fix: str, action: Callable[[], T]) -> T | None:
        """Return the result of `action`; if it raises an error that the author can fix, add a problem, return None."""
        try:
            return action()
        except UserError as error:
            hint = f"{error.hint}; {fix}" if error.hint and fix else error.hint or fix
            self.add(check, "problem", error.what, hint, hook)
            return None

    def problems(self) -> list[Finding]:
        """Return the problems among the findings."""
        return [finding for finding in self.findings if finding.status == "problem"]


def describe_finding(finding: Finding) -> str:
    """Return a finding's lines: the result first, then the place and the fix."""
    lines = [f"{finding.status:<12} {finding.check:<12} {finding.what}"]
    lines += [f"{'':<{INDENT}}{label}: {text}" for label, text in (("at", finding.at), ("fix", finding.fix)) if text]
    return printable_lines("\n".join(lines if finding.status in ("problem", "note", "not checked") else lines[:1]))
