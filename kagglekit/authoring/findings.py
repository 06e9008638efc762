"""What a check of a plugin finds, and how it is worded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from kagglekit.system.errors import UserError

T = TypeVar("T")
Status = Literal["ok", "note", "problem", "not checked"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name: ``hooks``, ``facts``, ``recipe``, ``labels``, ``submission``, ``training``, ``determinism``.
        status: ``ok``, ``note`` (odd, but no mistake), ``problem``, or ``not checked``.
        what: What was found, in a sentence.
        where: File and line of the hook's function, as far as that is known.
        mend: What to do about a problem, or to have it checked.
    """

    check: str
    status: Status
    what: str
    where: str = ""
    mend: str = ""


@dataclass
class Report:
    """Collects findings, and turns what a check raises into one."""

    findings: list[Finding] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, check: str, status: Status, what: str, mend: str = "", hook: str = "") -> None:
        """Add a finding about a hook."""
        self.findings.append(Finding(check, status, what, self.places.get(hook, ""), mend))

    def tried(self, check: str, hook: str, mend: str, action: Callable[[], T]) -> T | None:
        """Return what `action` does, or None with a problem where it raises an error that the author can mend."""
        try:
            return action()
        except UserError as error:
            hint = f"{error.hint}; {mend}" if error.hint and mend else error.hint or mend
            self.add(check, "problem", error.what, hint, hook)
            return None

    def problems(self) -> list[Finding]:
        """Return the problems among the findings."""
        return [finding for finding in self.findings if finding.status == "problem"]


def worded(finding: Finding) -> str:
    """Word a finding: what on the first line, then where and how to mend it."""
    lines = [f"{finding.status:<12} {finding.check:<12} {finding.what}"]
    lines += [f"{'':<26}{word}: {text}" for word, text in (("where", finding.where), ("mend", finding.mend)) if text]
    return "\n".join(lines if finding.status in ("problem", "note", "not checked") else lines[:1])
