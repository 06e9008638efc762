"""HTTP for transfers: sessions, errors without secrets, and parsed headers."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kagglekit.kaggle.partial_file import Origin
from kagglekit.kaggle.retry import Fault

if TYPE_CHECKING:
    from requests import Response, Session


def plain_session() -> Session:
    """Return a session with proxies and certificates from the environment, but without passwords from ~/.netrc."""
    import requests

    session = requests.Session()
    session.auth = lambda request: request
    return session


def without_secrets(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an invalid address"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def network_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors that connections and responses raise."""
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    return Fault, RequestException, HTTPError


def http_error(response: Response) -> Exception:
    """Return the error of a response; its message hides the signed address."""
    from requests import HTTPError

    return HTTPError(f"HTTP {response.status_code} from {without_secrets(response.url)}", response=response)


def status(error: Exception) -> int:
    """Return the HTTP status of an error; 0 if there was no response."""
    response = getattr(error, "response", None)
    return 0 if response is None else int(response.status_code)


def origin_of(response: Response) -> Origin:
    """Return what a response says about its file, also if it holds only a part of it."""
    headers = response.headers
    length = headers.get("Content-Length", "")
    total = int(length) if response.status_code == 200 and re.fullmatch(r"[0-9]{1,18}", length) else None
    etag = headers.get("ETag", "")
    return Origin(
        total=content_range(response)[2] if response.status_code == 206 else total,
        etag=etag if etag.startswith('"') else "",
        modified=headers.get("Last-Modified", ""),
        md5=_md5_of(response),
    )


def _md5_of(response: Response) -> str:
    """Return the md5 of ``x-goog-hash: crc32c=...,md5=...``; several such headers arrive joined."""
    if response.headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return ""  # the md5 of the compressed file, which is not what is sent
    for entry in response.headers.get("x-goog-hash", "").split(","):
        kind, _, value = entry.strip().partition("=")
        try:
            md5 = base64.b64decode(value, validate=True).hex()
        except binascii.Error:
            continue
        if kind == "md5" and len(md5) == 32:
            return md5
    return ""


def content_range(response: Response) -> tuple[int | None, int | None, int | None]:
    """Return first byte, last byte and size of ``bytes 0-99/100``, ``bytes 0-99/*`` or ``bytes */100``."""
    text = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", text, re.ASCII)
    if not found:
        return None, None, None
    first, last, total = (int(each) if each and each != "*" else None for each in found.groups())
    return first, last, total
