"""Google's storage as far as Kaggle uses it: signed downloads with ranges, resumable uploads; and open files."""

from __future__ import annotations

import re
import secrets
import time
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5
from urllib.parse import quote, urlencode, urlsplit

from kaggle_wire import STORAGE, Answer, Request, json_answer, xml_refusal

MODIFIED = "Tue, 27 Feb 2018 12:00:00 GMT"


@dataclass(frozen=True)
class Stored:
    """A file that can be fetched.

    Attributes:
        content: Its bytes.
        signed: Whether it needs a signed address; other files are open, without hashes.
    """

    content: bytes
    signed: bool

    @cached_property
    def md5(self) -> bytes:
        return md5(self.content, usedforsecurity=False).digest()

    @cached_property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The headers that do not depend on the request."""
        etag = ("ETag", f'"{self.md5.hex()}"')
        every = (etag, ("Last-Modified", MODIFIED), ("Accept-Ranges", "bytes"), ("Content-Type", "application/zip"))
        crc = b64encode(crc32c(self.content).to_bytes(4, "big")).decode() if self.signed else ""
        hashes = (("x-goog-hash", f"crc32c={crc}"), ("x-goog-hash", f"md5={b64encode(self.md5).decode()}"))
        return (*every, *hashes) if self.signed else every

    def answer(self, request: Request) -> Answer:
        """Return the whole file, or the requested range if the file is still the same."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not asked or request.headers.get("If-Range", self.facts[0][1]) not in {self.facts[0][1], MODIFIED}:
            return Answer(200, self.content, self.facts)
        start, size = int(asked[1]), len(self.content)
        end = min(int(asked[2] or size), size - 1)
        if start > end:
            return xml_refusal(416, "InvalidRange", "out of range").with_headers(Content_Range=f"bytes */{size}")
        part = Answer(206, self.content[start : end + 1], self.facts)
        return part.with_headers(Content_Range=f"bytes {start}-{end}/{size}")


@dataclass
class Upload:
    """A resumable upload; `content` holds the received bytes."""

    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)

    @property
    def complete(self) -> bool:
        return len(self.content) == self.size


class Storage:
    """Files to fetch and uploads.

    Attributes:
        expired_status: What is answered to a signed address whose time is over.
        granularity: Of an upload that breaks off a multiple of this many bytes is kept; Google's is 262144.
    """

    def __init__(self) -> None:
        self.expired_status = 400
        self.granularity = 1
        self.uploads: dict[str, Upload] = {}
        self._files: dict[tuple[str, str], Stored] = {}
        self._valid: set[str] = set()

    @property
    def hosts(self) -> set[str]:
        return {host for host, _ in self._files}

    def add_file(self, url: str, content: bytes) -> None:
        """Offer a file to everybody."""
        parts = urlsplit(url)
        self._files[parts.hostname or "", parts.path] = Stored(content, signed=False)

    def signed_url(self, path: str, content: bytes, name: str) -> str:
        """Store a file; return a signed address for it."""
        path = quote(path)
        self._files[STORAGE, path] = Stored(content, signed=True)
        signature = secrets.token_urlsafe(32)
        self._valid.add(signature)
        query = {
            "GoogleAccessId": "web-data@kaggle-161607.iam.gserviceaccount.com",
            "Expires": str(int(time.time()) + 259200),
            "Signature": signature,
            "response-content-disposition": f"attachment; filename={name}",
        }
        return f"https://{STORAGE}{path}?{urlencode(query)}"

    def expire(self, signature: str | None = None) -> None:
        """Expire one signed address, or all."""
        self._valid -= {signature} if signature else set(self._valid)

    def start_upload(self, name: str, size: int) -> tuple[str, str]:
        """Announce an upload; return its token and the address for its bytes."""
        token = secrets.token_urlsafe(24)
        self.uploads[token] = Upload(name, size)
        query = urlencode({"uploadType": "resumable", "upload_id": token})
        return token, f"https://{STORAGE}/upload/storage/v1/b/kaggle-competition-submissions/o?{query}"

    def get(self, request: Request) -> Answer:
        stored = self._files.get((request.host, request.path))
        if stored is None:
            return xml_refusal(404, "NoSuchKey", "The specified key does not exist.")
        if not stored.signed or request.query.get("Signature") in self._valid:
            return stored.answer(request)
        if "Signature" in request.query:
            return xml_refusal(self.expired_status, "ExpiredToken", "The provided token has expired.")
        return xml_refusal(403, "AccessDenied", "Access denied.")

    def put(self, request: Request, content: bytes, whole: bool) -> Answer:
        """Accept a part of an upload, or a query for the received bytes (``bytes */SIZE``)."""
        upload = self.uploads.get(request.query.get("upload_id", ""))
        if upload is None:
            return Answer(404, b"Not Found", (("Content-Type", "text/html; charset=UTF-8"),))
        said = request.headers.get("Content-Range", f"bytes 0-/{upload.size}")
        if not upload.complete and (start := re.fullmatch(r"bytes (\d+)-\d*/\d+", said)):
            if int(start[1]) > len(upload.content):
                return xml_refusal(400, "InvalidArgument", "a part before this one is missing")
            self._take(upload, int(start[1]), content, whole)
        return _state(upload)

    def _take(self, upload: Upload, start: int, content: bytes, whole: bool) -> None:
        upload.content[start:] = content
        if not whole:
            del upload.content[len(upload.content) // self.granularity * self.granularity :]


def _state(upload: Upload) -> Answer:
    arrived = len(upload.content)
    if arrived > upload.size:
        return xml_refusal(400, "InvalidArgument", "more bytes than were announced")
    if upload.complete:
        digest = b64encode(md5(upload.content, usedforsecurity=False).digest()).decode()
        return json_answer({"name": upload.name, "size": str(arrived), "md5Hash": digest})
    return Answer(308, b"", (("Range", f"bytes=0-{arrived - 1}"),) if arrived else ())


def crc32c(content: bytes) -> int:
    """Return the CRC of Castagnoli's polynomial (RFC 3720, appendix B.4); zlib's is another one."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = [_crc_of(byte) for byte in range(256)]
