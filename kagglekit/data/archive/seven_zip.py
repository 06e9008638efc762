"""Unpack 7z files for `kagglekit.data.archive.extract`.

Another process turns a 7z file into a stream of tar, which is unpacked like any other: the same checks hold for both.
A separate process has a limit to its memory, and ends with a signal.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

from kagglekit.data.archive.destination import BadArchive, BrokenArchive, Place
from kagglekit.data.archive.tar_files import stream_steps
from kagglekit.system.damage import BROKEN
from kagglekit.system.display.printable import printable, shortened
from kagglekit.system.errors import UserError

SIGN = b"7z\xbc\xaf\x27\x1c"
ENCRYPTED, BEYOND = 3, 4  # exit codes of `kagglekit.data.archive.seven_zip_reader`
_MOST_SAID = 300  # letters of the other process's message
_INSTALL = (
    "pip install 'kagglekit[7z]', or install the program bsdtar (package libarchive-tools), and run the same command "
    "again"
)


def seven_zip_steps(place: Place) -> Iterator[int]:
    """Unpack a 7z file; yield, about every MB, how many bytes were unpacked.

    Raises:
        BadArchive: It is unsafe, too large, or encrypted. Files written before the unsafe member remain.
        UserError: Nothing is installed that reads 7z, its compression is unknown, or the disk is too full.
        Exception: Of tarfile: the archive is damaged.
    """
    with tempfile.TemporaryFile() as said, _running(_command(place), place, said) as process:
        stream = cast("IO[bytes]", process.stdout)
        try:
            yield from stream_steps(place, stream)
        except BROKEN:
            if stream.read(1):  # the stream itself was refused
                raise
            _check_end(place, process, said)
            raise
        _check_end(place, process, said)


def _command(place: Place) -> list[str]:
    """Return the command that writes a 7z file as tar: of py7zr, else of bsdtar."""
    if importlib.util.find_spec("py7zr"):
        return [sys.executable, "-P", "-m", "kagglekit.data.archive.seven_zip_reader", *map(_absolute, place.files)]
    bsdtar = _bsdtar()
    if bsdtar and not place.parts:
        return [bsdtar, "-P", "--format=pax", "-cf", "-", f"@{_absolute(place.archive)}"]
    what = "a split 7z file needs py7zr" if bsdtar else "nothing is installed that reads 7z"
    raise UserError(f"cannot unpack {place.archive}: {what}", _INSTALL)


def _absolute(file: os.PathLike[str]) -> str:
    return os.path.abspath(file)  # noqa: PTH100 - links stay: a part's name counts


def _bsdtar() -> str | None:
    """Return the program; Windows and macOS have it as ``tar``."""
    for name in ("bsdtar", "tar"):
        program = shutil.which(name)
        if program and "bsdtar" in _version(program):
            return program
    return None


def _version(program: str) -> str:
    try:
        return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):  # a program of this name that is none
        return ""


@contextmanager
def _running(command: Sequence[str], place: Place, said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the destination; end it with the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, cwd=place.folder, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _check_end(place: Place, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    """Raise the other process's error, if it has ended with one."""
    code = process.wait()
    if not code:
        return
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    reason = re.sub("^bsdtar: ", "", lines[0] if lines else f"it ended with code {code}")
    if code == ENCRYPTED or re.search("encrypt|passphrase", reason, re.IGNORECASE):
        raise place.refuse("is encrypted")
    if reason == "(null)":  # what bsdtar prints about encrypted members, and some damaged ones
        raise BadArchive(
            f"cannot unpack {place.archive}: it is encrypted or damaged, or bsdtar does not know its compression",
            "pip install 'kagglekit[7z]' reads more, and says what is wrong; or unpack it yourself",
        )
    what = f"cannot unpack {place.archive}: {shortened(printable(reason), _MOST_SAID)}"
    if code == BEYOND:
        raise BadArchive(what, "unpack it yourself with 7-Zip, and pass the folder with --data DIR")
    raise BrokenArchive(what, "download it again, or unpack it yourself")
