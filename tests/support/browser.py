"""Opens a page in Chromium, without a window and without a network, and asks it how it turned out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTH = 1280  # px
ASK = """<script>
addEventListener("load", () => {  // by then every request has ended, and is in the list
const wide = document.documentElement.clientWidth;
const outside = (e) => !e.closest(".wide") && e.getBoundingClientRect().right > wide + 1;
document.body.innerHTML = "<pre id=answer>" + JSON.stringify({
  width: innerWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  scroll: document.documentElement.scrollWidth - wide,
  beyond: [...document.body.querySelectorAll("*")].filter(outside).length,
  scrolled: [...document.querySelectorAll(".wide")].filter((e) => e.scrollWidth > e.clientWidth).length,
  broken: [...document.images].filter((image) => !image.naturalWidth).length,
  pictures: document.images.length,
  requests: performance.getEntriesByType("resource").map((e) => e.name).filter((url) => !url.startsWith("data:")),
  nav: getComputedStyle(document.querySelector("nav")).display,
  back: getComputedStyle(document.body).backgroundColor,
  cut: [...document.querySelectorAll("svg text")].filter((e) => {
    const text = e.getBoundingClientRect(), image = e.ownerSVGElement.getBoundingClientRect();
    return text.left < image.left - 1 || text.right > image.right + 1 || text.top < image.top - 1;
  }).map((e) => e.textContent),
}) + "</pre>";
});
</script>"""


def ask(page: Path, folder: Path, dark: bool) -> dict[str, Any]:
    """Open a copy of a page, without its ban on requests and scripts, and return what ASK found."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = folder / "asked.html"
    copy.write_text(text.replace("</body>", ASK + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},900", "--dump-dom"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--blink-settings=preferredColorScheme={0 if dark else 1}"),
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer
