"""Faults between a client and Kaggle, which a test can request."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.message import Message
from hashlib import md5
from threading import Event, Lock

from kaggle_wire import STORAGE, Answer, Request, json_answer, refusal, xml_refusal

HANG_UPS = {"reset": "reset", "cut": "cut", "no response": "no response", "lost response": "reset", "expired": "cut"}
"""How the connection ends, for those kinds of faults that end it."""


@dataclass
class Fault:
    """A fault of the server or the network.

    Attributes:
        where: A part of ``METHOD host/path``; proxy calls (``CONNECT host``) match only if it begins with ``CONNECT``,
            or if the kind is ``refuse``.
        kind: An HTTP status, or

            - ``refuse``: the proxy does not connect; it closes the connection, or returns `status`.
            - ``reset``, ``cut``, ``no response``: instead of a response, the connection is reset, is closed, or stays
              silent. With `after`, that many bytes of the body are sent first; of an upload, that many are received
              and kept.
            - ``lost response``: the request is executed, then the connection is reset.
            - ``slow``: the request is executed `after` seconds later, even if the client has left by then.
            - ``short``: the last `after` bytes (1) of the body are missing, and the length agrees with the rest.
            - ``corrupt``: the byte at `after` (the middle) is wrong.
            - ``wrong md5``, ``no md5``: the header contains another md5, or none.
            - ``no range``: a range is ignored, and the whole body is sent.
            - ``expired``: the signed address has expired; with `after`, it expires then, and the connection is cut.
            - ``hidden``: the list of submissions is empty, because new ones are not visible yet.
            - ``ref 0``: Kaggle returns 200 but creates no submission.
        times: How often it happens; None for always.
        skip: The number of requests before the first.
        after: See the kinds.
        status: See ``refuse``.
        retry_after: The value of that header.
        message: The message of a status.
        form: The format of a status's body, see `kaggle_wire.refusal`; empty for the server's default.
        hits: How often it has happened.
        happened: Set the first time.
        received: Set when the request of a ``slow`` one has arrived whole.
    """

    where: str
    kind: int | str
    times: int | None = 1
    skip: int = 0
    after: int | None = None
    status: int = 0
    retry_after: int | str | None = None
    message: str = "Something went wrong"
    form: str = ""
    hits: int = 0
    happened: Event = field(default_factory=Event, repr=False)
    received: Event = field(default_factory=Event, repr=False)

    def __post_init__(self) -> None:
        kinds = {"refuse", "ref 0", "no range", "slow", *HANG_UPS, *_CHANGES}
        if not isinstance(self.kind, int) and self.kind not in kinds:
            raise ValueError(f"no such fault: {self.kind}; there are {sorted(kinds)}")

    def matches(self, request: Request) -> bool:
        if self.kind == "refuse" or self.where.startswith("CONNECT"):
            return request.method == "CONNECT" and self.where.removeprefix("CONNECT ") in request.host
        return request.method != "CONNECT" and self.where in str(request)

    @property
    def hang_up(self) -> str:
        """How it ends the connection; empty if it does not."""
        return HANG_UPS.get(str(self.kind), "") if self.kind != "expired" or self.after is not None else ""

    @property
    def undone(self) -> bool:
        """Whether the request is not executed."""
        return self.kind in {"reset", "cut", "no response"} and self.after is None

    def asked(self, request: Request) -> Request:
        """Return the request as the server receives it."""
        if self.kind != "no range":
            return request
        headers = Message()
        for name, value in request.headers.items():
            if name.lower() != "range":
                headers[name] = value
        return replace(request, headers=headers)

    def instead(self, request: Request, form: str) -> Answer | None:
        """Return the response that replaces the right one, if this fault has one."""
        if self.kind == "ref 0":
            return json_answer({"message": "Could not submit to competition"})
        if not isinstance(self.kind, int):
            return None
        if request.host == STORAGE and not self.form:
            answer = xml_refusal(self.kind, "Fault", self.message)
        else:
            answer = refusal(self.kind, self.message, self.form or form)
        return answer if self.retry_after is None else answer.with_headers(Retry_After=str(self.retry_after))

    def changed(self, answer: Answer) -> Answer:
        """Return the right response as changed by this fault."""
        change = _CHANGES.get(str(self.kind))
        return change(self, answer) if change else answer


class Faults:
    """The requested faults; the first one that matches a request happens."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> Fault:
        self._all.append(fault)
        return fault

    def clear(self) -> None:
        self._all.clear()

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            return next((fault for fault in self._all if fault.matches(request) and _due(fault)), None)


def _due(fault: Fault) -> bool:
    """Count a request that matches a fault; return whether the fault happens."""
    if fault.skip > 0:
        fault.skip -= 1
        return False
    if fault.times is not None and fault.hits >= fault.times:
        return False
    fault.hits += 1
    fault.happened.set()
    return True


def _short(fault: Fault, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: -(fault.after or 1)])


def _corrupt(fault: Fault, answer: Answer) -> Answer:
    place = len(answer.body) // 2 if fault.after is None else fault.after
    body = bytearray(answer.body)
    body[place] ^= 0xFF
    return replace(answer, body=bytes(body))


def _wrong_md5(_: Fault, answer: Answer) -> Answer:
    wrong = b64encode(md5(b"something else", usedforsecurity=False).digest()).decode()
    right = _no_md5(_, answer)
    return replace(right, headers=(*right.headers, ("x-goog-hash", f"md5={wrong}")))


def _no_md5(_: Fault, answer: Answer) -> Answer:
    return replace(answer, headers=tuple(each for each in answer.headers if not each[1].startswith("md5=")))


_CHANGES: dict[str, Callable[[Fault, Answer], Answer]] = {
    "short": _short,
    "corrupt": _corrupt,
    "wrong md5": _wrong_md5,
    "no md5": _no_md5,
    "hidden": lambda fault, answer: json_answer({"submissions": []}),
}
