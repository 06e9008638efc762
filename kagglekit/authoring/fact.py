"""A fact about an image table and its data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kagglekit.authoring.findings import Status


class Evidence(NamedTuple):
    """A fact about table and data: its status, a sentence, and what to do."""

    status: Status
    what: str
    fix: str = ""
