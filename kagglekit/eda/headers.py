"""Sizes and formats from image headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.system.console import Display


MOST_HEADERS = 20_000  # a few seconds' worth


class Header(NamedTuple):
    """Width and height of an image, px, and its format, as stated by the file."""

    width: int
    height: int
    form: str

    @property
    def aspect(self) -> float:
        """Width divided by height."""
        return self.width / self.height


def read_headers(paths: Sequence[str], display: Display) -> tuple[list[Header], list[tuple[str, str]]]:
    """Read the header of each file, without decoding pixels.

    Returns:
        The headers, and the path of each unreadable file with the reason.
    """
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
