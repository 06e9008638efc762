"""Sizes and formats from image headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.system.console import Display


MOST_HEADERS = 20_000  # a few seconds' worth


class Header(NamedTuple):
    """What an image file says of itself: width and height, px, and its format."""

    width: int
    height: int
    form: str


def read_headers(paths: Sequence[str], display: Display) -> tuple[list[Header], list[tuple[str, str]]]:
    """Read what each file says of itself; no pixel is decoded."""
    import warnings

    from PIL import Image

    headers, broken = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for path in display.track("reading sizes", len(paths), paths):
            try:
                with Image.open(path) as image:
                    headers.append(Header(*image.size, image.format or "unknown"))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                broken.append((path, str(error).splitlines()[0]))
    return headers, broken
