"""A pseudo-terminal of so many columns, and what a command shows on it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from collections.abc import Sequence
from pathlib import Path

import forks
from command_line import surroundings

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns: int, arguments: Sequence[object], cwd: Path) -> list[str]:
    """Run Python with these arguments on a terminal; return its lines, those that were drawn over included."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in surroundings(cwd).items() if key != "COLUMNS"} | {"TERM": "xterm"}
    process = forks.start(arguments, cwd, environment, theirs, theirs)
    os.close(theirs)
    with process:
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
        process.wait()
    os.close(ours)
    return [line for line in re.split(r"[\r\n]+", CONTROL.sub("", shown)) if line.strip()]


def kagglekit_shows(columns: int, *arguments: object, cwd: Path) -> list[str]:
    """Return the lines of a command."""
    return on_terminal(columns, ["-m", "kagglekit", *arguments], cwd)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # nobody has its other end open
        return b""
