"""Output in notebooks: lines, and below them one line of progress, in a display that the front end updates in place.

Nothing here imports IPython: in a notebook's kernel it is loaded already, and elsewhere nothing of it is needed.
A display that is updated needs no further package, and the saved notebook holds its last state alone.

The alternatives were tried in a kernel of ipykernel 7.4 without ipywidgets, and by nbclient 0.11. rich 15 shows a
warning and no bar. tqdm.auto 4.70 shows a warning and a bar on standard error. Of it, and of lines with carriage
returns, the saved notebook keeps each state.
"""

from __future__ import annotations

import html
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WIDTH = 80  # columns of a line; front ends show them in a fixed font, most of them without a scroll bar up to here
MOST_LINES = 60  # of a display: each update sends all of it, so that later lines get a display of their own
PAUSE = 0.25  # s between two updates of the line of progress
COLORS = {"yellow": "color:#9a6700", "red": "color:#cf222e"}  # readable on white and on black
STYLE = "white-space:pre-wrap;overflow-x:auto;margin:0;padding:0;background:none;border:none;line-height:1.35"


def kernel() -> Any:
    """Return IPython's shell if this process is the kernel of a notebook; None otherwise."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get() if get else None
    return shell if getattr(shell, "kernel", None) is not None else None


def show(data: Mapping[str, str | bytes]) -> None:
    """Show something below the output of the current cell: its forms by MIME type. Outside a kernel, show nothing."""
    if shell := kernel():
        shell.display_pub.publish(data=dict(data), metadata={})


@dataclass
class NotebookOutput:
    """Lines that are displayed in the current cell, with one line of progress below.

    Attributes:
        shell: See `kernel`.
    """

    shell: Any
    _plain: list[str] = field(default_factory=list)
    _html: list[str] = field(default_factory=list)
    _live: str = ""
    _name: str = ""
    _shown: float = 0.0

    def line(self, text: str, style: str | None, wrapped: str) -> None:
        """Add a line.

        Args:
            text: It, which front ends wrap to their own width.
            style: ``bold``, ``yellow`` or ``red``; None for none.
            wrapped: The same with breaks at the width of a terminal, for programs that show text alone.
        """
        if len(self._plain) >= MOST_LINES:
            self._publish("")
            self._plain, self._html, self._name = [], [], ""
        look = COLORS.get(style or "", "font-weight:bold" if style == "bold" else "")
        shown = html.escape(text, quote=False)
        self._plain.append(wrapped)
        self._html.append(f'<span style="{look}">{shown}</span>' if look else shown)
        self._publish(self._live)

    def progress(self, text: str) -> None:
        """Show the line of progress, at most four times a second; none if the text is empty."""
        now = time.perf_counter()
        if text and self._live and now - self._shown < PAUSE:
            self._live = text
            return
        self._live = text
        self._publish(text)

    @contextmanager
    def lasting(self, text: str) -> Iterator[None]:
        """Show a line of progress while the block runs."""
        try:
            self.progress(text)
            yield
        finally:
            self.progress("")

    def _publish(self, live: str) -> None:
        new = not self._name
        self._name = self._name or uuid.uuid4().hex
        self._shown = time.perf_counter()
        below = [f'<span style="opacity:.7">{html.escape(live, quote=False)}</span>'] if live else []
        shown = "\n".join([*self._html, *below])
        plain = "\n".join([*self._plain, *([live] if live else [])])
        data = {"text/plain": plain, "text/html": f'<pre style="{STYLE}">{shown}</pre>'}
        self.shell.display_pub.publish(data=data, metadata={}, transient={"display_id": self._name}, update=not new)
