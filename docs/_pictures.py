"""Makes docs/pictures, the terminal and the report of the demo: ``python docs/_pictures.py`` (needs Chromium)."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURES = Path(__file__).parent / "pictures"
COMMAND = "kagglekit run shapes"
FIRST, LAST = 14, 13  # lines of the output that are shown
COLUMNS = 112
HIDDEN = ("valid mean per class accuracy", "test mean per class accuracy")  # columns of the output
WIDTH, HEIGHT = 1120, 1165  # px of the report
MOST_BYTES = 200_000
SHORTENED = """<script>
const shown = ["scores", "curves", "panel1"], hidden = ["Ensemble:", "Learning", "Momentum"];
let section = "scores", part = "";
for (const element of [...document.querySelector("h2").parentNode.children]) {
  if (element.tagName == "H2") [section, part] = [element.id, ""];
  if (element.tagName == "H3") part = element.textContent.split(" ")[0];
  const extra = ["P", "NAV"].includes(element.tagName) && !element.classList.contains("headline");
  if (!shown.includes(section) || hidden.includes(part) || extra) element.remove();
}
</script>"""  # leaves of the report its scores, two curves and the top losses
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


def main() -> None:
    """Run the demo in an empty folder and make both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        output = run_demo(Path(folder))
        write(PICTURES / "terminal.svg", terminal(output.replace(f"{folder}/", "")).encode())
        (report,) = Path(folder).glob("submissions/shapes/*/report.html")
        write(PICTURES / "report.png", screenshot(report))


def run_demo(folder: Path) -> str:
    """Return what the demo prints."""
    command = [sys.executable, "-m", "kagglekit", *COMMAND.split()[1:]]
    environment = {**os.environ, "KAGGLEKIT_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def terminal(output: str) -> str:
    """Return the output as an SVG, without the lines in its middle."""
    lines = without_columns(output.splitlines())
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}", style="bold green"))
    for line in [*lines[:FIRST], "...", *lines[-LAST:]]:
        console.print(line, overflow="ellipsis", no_wrap=True, markup=False)
    return console.export_svg(theme=MONOKAI, title=COMMAND, code_format=SVG, unique_id="demo")


def without_columns(lines: list[str]) -> list[str]:
    """Return the output without the hidden columns of its table of scores, the last one in it."""
    header = next(i for i, line in enumerate(lines) if line.startswith("member "))
    end = next(i for i in range(header, len(lines)) if "±" not in lines[i] and i > header)
    for title in reversed(HIDDEN):
        start = lines[header].index(title)
        after = lines[header][start + len(title) :]
        stop = len(lines[header]) - len(after.lstrip()) if after.strip() else None
        for i in range(header, end):
            lines[i] = (lines[i][:start] + (lines[i][stop:] if stop else "")).rstrip()
    return lines


def screenshot(page: Path) -> bytes:
    """Return three sections of a report as a PNG of 128 colours."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    file = page.with_name("page.png")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    page = page.with_name("page.html")
    page.write_text(text.replace("</body>", SHORTENED + "</body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    size = f"--window-size={WIDTH},{HEIGHT}"
    subprocess.run(
        [browser, *options, size, f"--screenshot={file}", page.as_uri()], check=True, stderr=subprocess.DEVNULL
    )
    small = io.BytesIO()
    Image.open(file).convert("RGB").quantize(128).save(small, "PNG", optimize=True)
    return small.getvalue()


def write(file: Path, content: bytes) -> None:
    """Write a picture.

    Raises:
        ValueError: It is too large for the repository.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file.name} has {len(content):,} bytes: at most {MOST_BYTES:,}")
    file.write_bytes(content)


if __name__ == "__main__":
    main()
