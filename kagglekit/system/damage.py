"""Turn the exceptions of libraries that read a damaged file into one message that names the file."""

from __future__ import annotations

import csv
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    csv.Error,
    struct.error,
    EOFError,
    LookupError,  # KeyError of a member or variable, IndexError of a table that points outside the file
    RuntimeError,  # encrypted members; NotImplementedError of unknown compressions; recursion of nested headers
    ValueError,  # text that is not Unicode, pandas' and numpy's own errors
    TypeError,
    OverflowError,
    AttributeError,
)


@contextmanager
def naming_damage(file: Path, hint: str, what: str = "") -> Iterator[None]:
    """Raise one error that names a file for everything that libraries raise while the block reads it.

    Args:
        file: What is read.
        hint: What to do about it.
        what: What the file should be, such as ``as a CSV``; empty where its name says so.

    Raises:
        UserError: The file cannot be read, or is damaged.
    """
    try:
        yield
    except (*BROKEN, OSError) as error:
        kind = f" {what}" if what else ""
        raise UserError(f"cannot read {file}{kind}: {reason(error)}", hint) from error


def reason(error: BaseException) -> str:
    """Return an exception's reason on one line, with nothing that a terminal acts on."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.object[error.start]:#04x})"
    if isinstance(error, UserError):
        return error.what
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return printable(" ".join(text.split()))
