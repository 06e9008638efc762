"""Requests and responses between a client and the server that plays Kaggle."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

STORAGE = "storage.googleapis.com"


@dataclass(frozen=True)
class Request:
    """A client's request; the `where` of a fault is matched against its `str`."""

    method: str
    host: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: Message = field(default_factory=Message)

    @classmethod
    def read(cls, method: str, host: str, target: str, headers: Message) -> Request:
        parts = urlsplit(target)
        return cls(method, host, parts.path, dict(parse_qsl(parts.query)), headers)

    def __str__(self) -> str:
        return f"{self.method} {self.host}{self.path}"

    @property
    def login(self) -> str:
        """The kind of credential sent with it: Basic, Bearer or none."""
        return self.headers.get("Authorization", "").partition(" ")[0]


@dataclass(frozen=True)
class Answer:
    """A response of the server; the length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def with_headers(self, **values: str) -> Answer:
        """Add headers, ``_`` for ``-``, and replace those of the same name."""
        added = {name.replace("_", "-"): value for name, value in values.items()}
        kept = [each for each in self.headers if each[0].lower() not in {name.lower() for name in added}]
        return replace(self, headers=(*kept, *added.items()))


class Refused(Exception):
    """A call that Kaggle refuses, with its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def json_answer(content: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), (("Content-Type", "application/json; charset=utf-8"),))


def refusal(status: int, message: str, form: str) -> Answer:
    """Return a refusal in one of Kaggle's formats.

    Args:
        status: The HTTP status.
        message: The message.
        form: ``message`` ({"code", "message"}), ``error`` ({"error": {...}}), ``bare`` (only the status's phrase)
            or ``html`` (a page, as the load balancer before Kaggle sends it).
    """
    phrase = HTTPStatus(status).phrase
    if form == "html":
        page = f"<html><head><title>{status} {phrase}</title></head><body>{phrase}</body></html>"
        return Answer(status, page.encode(), (("Content-Type", "text/html; charset=UTF-8"),))
    if form == "error":
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        error = {"code": status, "message": message, "status": names.get(status, "UNKNOWN")}
        return json_answer({"error": error}, status)
    return json_answer({"code": status, "message": phrase if form == "bare" else message}, status)


def xml_refusal(status: int, code: str, message: str) -> Answer:
    """Return a refusal in the format of Google's storage."""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, text.encode(), (("Content-Type", "application/xml; charset=UTF-8"),))
