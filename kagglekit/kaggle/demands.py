"""What a code competition demands of notebooks, as far as its pages on Kaggle say it in the usual words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape

TAG = re.compile(r"</?[a-z][^>]*>", re.IGNORECASE)  # not the <= of a limit
MARKS = re.compile(r"[*_`]+")
HOURS = re.compile(
    r"\b(CPU|GPU|TPU)\s+notebooks?\b\W{0,12}?(?:max\w*\s+)?(\d+(?:\.\d+)?)\s*h(?:ou)?rs?\b", re.IGNORECASE
)
OFFLINE = re.compile(
    r"\binternet\s+access\s+(?:is\s+|must\s+be\s+)?(?:disabled|off)\b|\bno\s+internet\b", re.IGNORECASE
)
CODE_ONLY = "it is a code competition: predict and submit with kagglekit kernel RUN --submit"


@dataclass(frozen=True)
class Demands:
    """What notebooks must keep to.

    Attributes:
        hours: The longest run by kind of machine: ``CPU``, ``GPU``, ``TPU``; only those that a page names.
        offline: Whether a page says that they have no internet access.
    """

    hours: Mapping[str, float] = field(default_factory=dict)
    offline: bool = False

    def __str__(self) -> str:
        limits = [f"at most {hours:g} h on a {kind}" for kind, hours in self.hours.items()]
        return ", ".join([*limits, *(["without internet access"] if self.offline else [])])

    @property
    def lines(self) -> list[str]:
        """Lines for the user of a code competition."""
        return [CODE_ONLY, *([f"its notebooks may run {self}"] if str(self) else [])]


def demands_of(pages: Mapping[str, str]) -> Demands:
    """Return what the pages of a competition demand.

    Args:
        pages: Their content, HTML or Markdown, by name.
    """
    hours: dict[str, float] = {}
    offline = False
    for content in pages.values():
        text = MARKS.sub("", unescape(TAG.sub(" ", content)))
        for kind, limit in HOURS.findall(text):
            hours.setdefault(kind.upper(), float(limit))
        offline = offline or bool(OFFLINE.search(text))
    return Demands(hours, offline)
