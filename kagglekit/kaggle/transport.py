"""HTTP as transfers need it: sessions, errors that keep secrets, and what headers say."""

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
    """Return a session that takes proxies and certificates from the environment, and no passwords from ~/.netrc."""
    import requests

    session = requests.Session()
    session.auth = lambda request: request
    return session


def shown(url: str) -> str:
    """Return an address without what may be secret in it: user, password, query, fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def network_errors() -> tuple[type[Exception], ...]:
    """Return the kinds of errors that have to do with the way to a host and with its answers."""
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    return Fault, RequestException, HTTPError


def http_error(response: Response) -> Exception:
    """Return the error of an answer, worded without its signed address."""
    from requests import HTTPError

    return HTTPError(f"HTTP {response.status_code} from {shown(response.url)}", response=response)


def status(error: Exception) -> int:
    """Return the HTTP status that an error is about; 0 if there was no answer."""
    response = getattr(error, "response", None)
    return 0 if response is None else int(response.status_code)


def told_origin(response: Response) -> Origin:
    """Read what an answer says of the file it brings, or of which it brings a part."""
    headers = response.headers
    length = headers.get("Content-Length", "")
    total = int(length) if response.status_code == 200 and re.fullmatch(r"[0-9]{1,18}", length) else None
    etag = headers.get("ETag", "")
    return Origin(
        total=content_range(response)[2] if response.status_code == 206 else total,
        etag=etag if etag.startswith('"') else "",
        modified=headers.get("Last-Modified", ""),
        md5=_told_md5(response),
    )


def _told_md5(response: Response) -> str:
    """Return the md5 of ``x-goog-hash: crc32c=...,md5=...``; several such headers arrive joined."""
    if response.headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return ""  # it is that of the compressed file, which is not what comes
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
