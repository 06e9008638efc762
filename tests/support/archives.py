"""Writes archives, good and bad, and looks at what becomes of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kagglekit.data.archive.extract import BadArchive, extract
from kagglekit.system.errors import UserError

CONTENT = {
    "train/a.jpg": bytes(range(256)) * 9,
    "train/b.jpg": b"",
    "labels.csv": b"id,breed\n" * 999,
    "x/y/z" * 30 + ".txt": b"z",
}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
ZIPS = {"stored": zipfile.ZIP_STORED, "deflated": 8, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def zip_file(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_file(path: Path, members: dict[str, bytes], mode: str = "w", **options: Any) -> Path:
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, words: str) -> UserError:
    """Check that an archive is refused with these words, and that nothing lies outside of its folder."""
    there = set(archive.parent.iterdir())
    with pytest.raises(BadArchive, match=words) as caught:
        extract(archive, archive.parent / "out")
    assert set(archive.parent.iterdir()) - there <= {archive.parent / "out"}
    assert str(archive) in caught.value.what
    assert caught.value.hint
    return caught.value


def special(path: Path, kind: bytes, target: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("odd")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
        entry = tarfile.TarInfo("odd/inside.txt")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"1"))
    return path


def patched(archive: Path, name: str, *, local: tuple[int, bytes] | None = None, central: tuple[int, bytes]) -> Path:
    """Write over header fields of a zip member, given by offset and bytes."""
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        start, where = opened.start_dir, opened.getinfo(name).header_offset
        names = [entry.filename for entry in opened.infolist()]
        for before in names[: names.index(name)]:
            start += 46 + len(before)
    for base, change in ((where, local), (start, central)):
        if change:
            data[base + change[0] : base + change[0] + len(change[1])] = change[1]
    archive.write_bytes(data)
    return archive


def size(n: int) -> bytes:
    return n.to_bytes(4, "little")
