"""Recognise the bytes of an image file."""

from __future__ import annotations

_SIGNS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),  # JPEG 2000, and its bare stream
)


def is_encoded(data: bytes | memoryview) -> bool:
    """Return whether some bytes begin as an image file does, so that they are not plain pixels."""
    head = bytes(data[:140])
    if head.startswith(_SIGNS) or head[128:132] == b"DICM":
        return True
    if head.startswith(b"BM"):  # two letters prove little: the file's size follows
        return int.from_bytes(head[2:6], "little") == len(data)
    return (head.startswith(b"RIFF") and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypavis")
