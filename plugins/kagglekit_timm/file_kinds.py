"""Recognize what a file of weights is by its first bytes, and describe one that is something else."""

from __future__ import annotations

import codecs
import json
import zipfile
from pathlib import Path
from typing import Literal

from kagglekit import UserError, listing

AGAIN = "download it again"
UNPACK = "unpack it, and set weights to the file of weights in it"
LONGEST = 100_000_000  # bytes of a safetensors file's header, by its specification
MAGIC = (  # where, the bytes there, the kind, what to do
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", ""),
    (0, b"\xff\xd8\xff", "a JPEG image", ""),
    (0, b"GIF8", "a GIF image", ""),
    (8, b"WEBP", "a WebP image", ""),
    (0, b"II*\0", "a TIFF image", ""),
    (0, b"MM\0*", "a TIFF image", ""),
    (0, b"%PDF", "a PDF document", ""),
    (0, b"\x1f\x8b", "a gzip archive", UNPACK),
    (0, b"BZh", "a bzip2 archive", UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "convert it to safetensors, with timm's names"),
    (0, b"\x93NUMPY", "a NumPy array", "convert it to safetensors, with timm's names"),
    (0, b"GGUF", "a GGUF file", "convert it to safetensors, with timm's names"),
)


def kind_of(path: Path) -> Literal["safetensors", "pickle"]:
    """Return which of the two kinds of weights a file is; a pickle is one of torch's, in a zip archive or bare.

    Raises:
        UserError: It is something else, empty, or its end is missing.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if not size:
            raise _other(path, "empty", AGAIN)
        length = int.from_bytes(head[:8], "little")
        if head[8:9] == b"{" and length <= LONGEST:
            _check_safetensors(path, file.read(max(0, 8 + length - len(head))), head, length, size)
            return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return "pickle"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    for place, magic, kind, hint in MAGIC:
        if head[place : place + len(magic)] == magic:
            raise _other(path, f"{kind}, not weights", hint)
    raise _text(path, head)


def _check_safetensors(path: Path, more: bytes, head: bytes, length: int, size: int) -> None:
    """Check that the header is complete and that the file has all bytes which it lists."""
    needed = 8 + length
    if needed <= size:
        try:
            header = json.loads((head + more)[8:needed])
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            needed += max(ends, default=0)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise _other(path, "a damaged safetensors file: its header is invalid", AGAIN) from error
    if size < needed:
        raise _other(path, f"a truncated safetensors file: it has {size:,} of {needed:,} bytes or more", AGAIN)


def _check_zip(path: Path) -> None:
    """Check that a zip archive is one of torch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile raises many kinds of errors for a damaged archive
        raise _other(
            path, "damaged: it begins as a PyTorch file or another zip archive, and its end is missing", AGAIN
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise _other(
            path,
            "a TorchScript program, not weights",
            "save its weights: torch.save(torch.jit.load(FILE).state_dict(), NEW)",
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise _other(path, f"a zip archive of {listing(names, 3) or 'nothing'}, not weights", UNPACK)


def _text(path: Path, head: bytes) -> UserError:
    """Return the error for a text, or for bytes of an unknown kind."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).strip()
    except ValueError:
        text = ""
    if not text or any(char < " " and char not in "\t\r\n\f" for char in text):
        return _other(path, f"neither safetensors nor a PyTorch file: it begins with the bytes {head[:8].hex(' ')}", "")
    if text.startswith("version https://git-lfs"):
        return _other(path, "a pointer of Git LFS, not the weights themselves", "fetch them: git lfs pull; or " + AGAIN)
    if text.lower().startswith(("<!doctype html", "<html", "<head", "<body")):
        hint = "open its address in a browser: the site may ask you to sign in or to accept a licence; then " + AGAIN
        return _other(path, "a web page, not weights", hint)
    kind = "an XML text" if text[0] == "<" else "a JSON text" if text[0] in "{[" else "a text"
    return _other(path, f"{kind}, not weights: it begins with {text.splitlines()[0][:60]!r}", "")


def _other(path: Path, kind: str, hint: str) -> UserError:
    return UserError(f"the weights file {path} is {kind}", hint or "choose a file of weights: --set weights=FILE")
