"""The parts that a report's panels are made of: sections of tables, drawings and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from markupsafe import Markup

    from kagglekit.report.predicted import Predicted
    from kagglekit.report.thumbnails import Thumbnails

SHOWN = 12  # images in a panel


@dataclass(frozen=True)
class Part:
    """The panels of one kind of target.

    Attributes:
        template: The file that draws them, beside page.html.
        shown: What it draws.
        class_width: Smallest width of a column of classes, px.
        title: Of a target beside others; empty for the only one.
        prefix: Of the anchors, so that those of several parts differ.
    """

    template: str
    shown: Mapping[str, Any]
    class_width: int = 900
    title: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        heads: Of its columns; the first has names, the others numbers.
        rows: Texts, or numbers to format with `forms`; nan is left out.
        total: A last row, set apart; empty for none.
        forms: Format of the numbers of each column; empty for text.
    """

    kind: ClassVar[str] = "grid"

    heads: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    total: Sequence[str | float] = ()
    forms: Sequence[str] = ()

    def texts(self, row: Sequence[str | float]) -> list[str]:
        """Return the cells of a row as text."""
        forms = self.forms or [""] * len(row)
        pairs = zip(row, forms, strict=True)
        return [cell if isinstance(cell, str) else "" if cell != cell else format(cell, form) for cell, form in pairs]


@dataclass(frozen=True)
class Drawings:
    """Drawings side by side, each with a caption.

    Attributes:
        drawn: Captions and drawings.
        folded: Further ones, which are only seen if asked for.
        more: The text that asks for them.
    """

    kind: ClassVar[str] = "drawings"

    drawn: Sequence[tuple[str, Markup]]
    folded: Sequence[tuple[str, Markup]] = ()
    more: str = ""


@dataclass(frozen=True)
class Card:
    """An image with lines of text.

    Attributes:
        image: Its id.
        picture: Its thumbnail as a data URI; empty if there is none.
        lines: Their styles (``good``, ``bad`` or empty) and texts.
        link: Address of its file; empty if there is none.
        beside: Another picture of it, as a data URI, shown before this one; empty for none.
    """

    image: str
    picture: str
    lines: Sequence[tuple[str, str]]
    link: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Cards:
    """Images side by side."""

    kind: ClassVar[str] = "cards"

    cards: Sequence[Card]


@dataclass(frozen=True)
class Section:
    """A panel.

    Attributes:
        title: Its heading, and its link at the top of the page.
        text: A line below the heading.
        blocks: What it shows, in order.
        more: Explanations that are folded away.
    """

    title: str
    text: str
    blocks: Sequence[Grid | Drawings | Cards]
    more: str = ""

    @property
    def anchor(self) -> str:
        """Its anchor: the title's letters."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Sections:
    """Panels that are drawn one below the other."""

    template: ClassVar[str] = "sections.html"

    sections: Sequence[Section] = field(default_factory=tuple)

    def part(self) -> Part:
        """Return them as a part of the page."""
        return Part(self.template, {"sections": self.sections})


def cards(
    seen: Predicted, rows: Sequence[int], lines: Sequence[Sequence[tuple[str, str]]], pictures: Thumbnails
) -> Cards:
    """Return the cards of images by their rows in `seen`, each with its lines of text."""
    ids = [seen.ids[row] for row in rows]
    made = zip(ids, pictures.pictures(ids), lines, strict=True)
    return Cards([Card(image, picture, texts, pictures.link(image)) for image, picture, texts in made])
