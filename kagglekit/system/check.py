"""A finding of `kagglekit doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: The subject.
        status: ``skipped`` if it could not be checked, and need not be.
        found: The finding.
        hint: What to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    found: str
    hint: str = ""


def ok_or_warning(name: str, found: str, hint: str) -> Check:
    """Return a finding; it is a warning if it has a hint."""
    return Check(name, "warning" if hint else "ok", found, hint)
