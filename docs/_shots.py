"""How the pictures of the documentation are taken: of a terminal as SVG, of pages and plots as small PNGs."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

TALL = 6000  # px; a page is cut below its last line
MARGIN = 24  # px that stay below it
COLOURS = 64
WIDEST = 840  # px, of a plot
COLUMNS = 112  # of the terminal
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font: {char_height}px monospace; }} .{unique_id}-title {{ font: 18px sans-serif; }}
{styles}
</style>
<defs>
{lines}<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""  # rich's own template names a font that browsers would fetch from elsewhere
SECTIONS = """<script>
const shown = SHOWN, parts = PARTS, texts = TEXTS, cards = CARDS;
let section = "", part = "";
for (const element of [...document.querySelector("h1, h2").parentNode.children]) {
  if (element.tagName == "H2") [section, part] = [shown.includes(element.id) ? element.id : element.textContent, ""];
  if (element.tagName == "H3") part = element.textContent;
  const extra = !texts && ["P", "DETAILS"].includes(element.tagName) && !element.classList.contains("headline");
  const other = part && parts && !parts.some((start) => part.startsWith(start));
  const never = element.tagName == "NAV" || element.classList.contains("filter");
  if (!shown.includes(section) || other || extra || never) element.remove();
  for (const card of [...element.querySelectorAll("figure")].slice(cards)) card.remove();
}
const first = document.querySelector("h2");
if (!shown.includes("")) { first.style.border = "0"; first.style.margin = "0"; }
</script>"""


def terminal(command: str, lines: Sequence[str], name: str) -> bytes:
    """Return a command and what it printed as an SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold green"))
    for line in lines:
        style = "bold" if line.startswith(("member ", "   stage ")) else None  # as on a terminal
        console.print(line, style=style, overflow="ellipsis", no_wrap=True, markup=False, highlight=False)
    return console.export_svg(theme=MONOKAI, title=command, code_format=SVG, unique_id=name).encode()


def sections(
    page: Path,
    shown: Sequence[str],
    *,
    width: int,
    parts: Sequence[str] | None = None,
    texts: bool = True,
    cards: int = 99,
) -> bytes:
    """Return some sections of a page of kagglekit as a PNG.

    Args:
        page: The page.
        shown: Anchors or titles of their headings; the empty one is for what precedes the first.
        width: Of the window, px.
        parts: Beginnings of the smaller headings to show; None for all.
        texts: Show paragraphs.
        cards: The most images of a section.
    """
    script = SECTIONS.replace("SHOWN", json.dumps(list(shown))).replace("TEXTS", json.dumps(texts))
    script = script.replace("PARTS", json.dumps(parts and list(parts))).replace("CARDS", json.dumps(cards))
    return screenshot(page, script, width=width)


def screenshot(page: Path, script: str = "", *, width: int) -> bytes:
    """Return a page as a PNG, down to its last line, after a script has changed it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    file = page.with_name("page.png")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    copy = page.with_name("page.html")
    copy.write_text(text.replace("</body>", f"{script}</body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{TALL}")
    subprocess.run([browser, *options, f"--screenshot={file}", copy.as_uri()], check=True, stderr=subprocess.DEVNULL)
    with Image.open(file) as image:
        return small(_cut(image.convert("RGB")))


def _cut(image: Image.Image) -> Image.Image:
    """Return an image without the empty rows at its end."""
    pixels = np.asarray(image)
    full = np.flatnonzero((pixels != pixels[-1, 0]).any(axis=(1, 2)))
    return image.crop((0, 0, image.width, min(image.height, int(full[-1]) + MARGIN)))


def small(image: Image.Image) -> bytes:
    """Return an image as a PNG of few colours."""
    made = io.BytesIO()
    image.convert("RGB").quantize(COLOURS).save(made, "PNG", optimize=True)
    return made.getvalue()


def plot(file: Path) -> bytes:
    """Return a plot of kagglekit as a small PNG."""
    with Image.open(file) as image:
        image.thumbnail((WIDEST, TALL), Image.Resampling.LANCZOS)
        return small(image)
