"""Copies of images that a run had to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["labelled", "test"]


@dataclass(frozen=True)
class Decoded:
    """Copies of images made for one run, and the time that took.

    Attributes:
        images: ``labelled`` or ``test``.
        stage: The first stage that uses copies of this size; empty where only predictions do.
        side: Of the copies, px.
        source: ``files``, or larger ``copies``.
        n: Number of images.
        seconds: Wall-clock time, s.
    """

    images: Kind
    stage: str
    side: int
    source: Literal["files", "copies"]
    n: int
    seconds: float
