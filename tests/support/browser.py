"""Opens pages in Chromium, without a window and without a network, and asks them how they turned out.

Chromium is driven through two pipes (its option ``--remote-debugging-pipe``): messages are JSON that ends with a zero
byte. One browser serves all tests of a process.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import fcntl
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTH = 1280  # px
WIDTHS = (390, 800, 1280)
ASK = """(() => {
const wide = document.documentElement.clientWidth;
const outside = (e) => !e.closest(".wide") && e.getBoundingClientRect().right > wide + 1;
const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("select, script, style");
const texts = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const node = walk.currentNode;
  if (!node.textContent.trim() || node.parentElement.closest("title") || !shown(node.parentElement)) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const r of range.getClientRects())
    if (r.width > 1) texts.push([r.top, r.bottom, r.left, r.right, node.textContent.trim()]);
}
texts.sort((a, b) => a[0] - b[0]);
const overlaps = [];
for (let i = 0; i < texts.length && overlaps.length < 5; i++)
  for (let j = i + 1; j < texts.length && texts[j][0] < texts[i][1] - 4; j++) {
    const width = Math.min(texts[i][3], texts[j][3]) - Math.max(texts[i][2], texts[j][2]);
    if (width > 2 && Math.min(texts[i][1], texts[j][1]) - texts[j][0] > 4) overlaps.push([texts[i][4], texts[j][4]]);
  }
const visible = [...document.querySelectorAll("svg text")].filter(shown);
return {
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
  cut: visible.filter((e) => {
    const text = e.getBoundingClientRect(), image = e.ownerSVGElement.getBoundingClientRect();
    return text.left < image.left - 1 || text.right > image.right + 1 || text.top < image.top - 1;
  }).map((e) => e.textContent),
  letters: Math.min(...visible.map((e) => e.getBoundingClientRect().height), 99),
  overlaps,
};
})()"""


@dataclass
class Browser:
    """A running Chromium with one page."""

    process: subprocess.Popen[bytes]
    to: Any
    back: Any
    session: str = ""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a message, and return the result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        found = self._read(lambda each: each.get("id") == number)
        assert "error" not in found, found
        return dict(found["result"])

    def evaluate(self, script: str) -> Any:
        """Return the value of a script in the page."""
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, page: Path, *, width: int = WIDTH, dark: bool = False, height: int = 900) -> None:
        """Open a file at a width, px, and wait until it is loaded."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.do("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        self.do("Page.navigate", url=page.absolute().as_uri())
        self._read(lambda each: each.get("method") == "Page.loadEventFired")

    def screenshot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        found = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def _read(self, wanted: Any) -> dict[str, Any]:
        text = bytearray()
        while True:
            byte = self.back.read(1)
            assert byte, "Chromium has ended"
            if byte != b"\0":
                text += byte
                continue
            message: dict[str, Any] = json.loads(text)
            if wanted(message):
                return message
            text = bytearray()


@functools.cache
def browser() -> Browser:
    """Start Chromium; it ends with this process."""
    (its_in, to), (back, its_out) = os.pipe(), os.pipe()
    far = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (its_in, its_out)]  # not 3 or 4, which the shell sets
    folder = tempfile.mkdtemp()
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run")
    options += (f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars")
    command = f'exec "$0" "$@" --remote-debugging-pipe 3<&{far[0]} 4>&{far[1]}'
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), *options], pass_fds=far, stderr=subprocess.DEVNULL
    )
    for end in (its_in, its_out, *far):
        os.close(end)
    found = Browser(process, os.fdopen(to, "wb"), os.fdopen(back, "rb"))
    atexit.register(_end, found, folder)
    target = found.do("Target.createTarget", url="about:blank")["targetId"]
    found.session = found.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    found.do("Page.enable")
    return found


def _end(found: Browser, folder: str) -> None:
    found.process.terminate()
    found.process.wait(20)
    with contextlib.suppress(BrokenPipeError):
        found.to.close()
    found.back.close()
    shutil.rmtree(folder, ignore_errors=True)


def ask(page: Path, folder: Path, dark: bool, width: int = WIDTH) -> dict[str, Any]:
    """Open a copy of a page, without its ban on requests, and return what ASK found."""
    text = page.read_text(encoding="utf-8")
    copy = folder / "asked.html"
    copy.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text), encoding="utf-8")
    browser().open(copy, width=width, dark=dark)
    answer: dict[str, Any] = browser().evaluate(ASK)
    return answer
