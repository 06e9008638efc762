"""A local server that plays Kaggle; environment variables alone direct the unmodified client to it.

It is a proxy: a connection to one of Kaggle's hosts ends here, with a certificate of an authority that the variables
name. Every other host is refused, and listed. Example::

    with KaggleServer() as server:
        server.add_competition("dog-breed-identification", folder, solution)
        server.fault("GET storage.googleapis.com", "cut", after=1000)
        done = server.kagglekit("download", "dog-breed", cwd=tmp_path)
        assert server.count("DownloadDataFiles") == 1
        assert server.refused == []
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import forks
from command_line import surroundings
from kaggle_contest import Contest, Submission
from kaggle_faults import Fault, Faults
from kaggle_play import ACCESS, KEY, REFRESH, TOKEN, USER, Play
from kaggle_proxy import Proxy, authority
from kaggle_storage import Storage
from kaggle_wire import STORAGE, Answer, Request

API = "api.kaggle.com"
HOSTS = frozenset({API, "www.kaggle.com", STORAGE, "www.robots.ox.ac.uk"})

STALE = {"key": "dead0000dead0000dead0000dead0000", "token": "KGAT_stale-0123456789abcdef", "oauth": "stale-0123456789"}
SECRETS = (KEY, TOKEN, ACCESS, REFRESH, *STALE.values())
"""Strings that must never be shown or written anywhere."""

Files = dict[str, object]


def _oauth(refresh: str, expires: str) -> Files:
    tokens = {"refresh_token": refresh, "access_token": ACCESS, "access_token_expiration": expires}
    return {"credentials.json": {**tokens, "username": USER, "scopes": []}}


CREDENTIALS: dict[str, tuple[Files, dict[str, str]]] = {  # files in ~/.kaggle, and variables
    "none": ({}, {}),
    "key": ({"kaggle.json": {"username": USER, "key": KEY}}, {}),
    "key variables": ({}, {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}),
    "token": ({"access_token": TOKEN}, {}),
    "token variable": ({}, {"KAGGLE_API_TOKEN": TOKEN}),
    "oauth": (_oauth(REFRESH, "2099-01-01T00:00:00+00:00"), {}),
    "oauth to renew": (_oauth(REFRESH, "2020-01-01T00:00:00+00:00"), {}),
    "stale key": ({"kaggle.json": {"username": USER, "key": STALE["key"]}}, {}),
    "stale token": ({"access_token": STALE["token"]}, {}),
    "stale token over key": (
        {"kaggle.json": {"username": USER, "key": KEY}},
        {"KAGGLE_API_TOKEN": STALE["token"]},
    ),
    "stale oauth": (_oauth(STALE["oauth"], "2020-01-01T00:00:00+00:00"), {}),
}


class KaggleServer:
    """Kaggle on this machine; a context manager.

    Attributes:
        play: What Kaggle knows; `play.form` is the form of its refusals.
        storage: Google's storage; `storage.expire()` ends the time of all signed addresses.
        requests: What was asked so far, but for the proxy's own CONNECT.
        refused: Hosts that are not played here and were asked for.
    """

    def __init__(self) -> None:
        self.storage = Storage()
        self.play = Play(self.storage)
        self.requests: list[Request] = []
        self.refused: list[str] = []
        self._faults = Faults()
        self._lock = Lock()
        self._proxy = Proxy(self)
        # A socket is looked at 20 times a second whether the test is over.
        self._thread = Thread(target=self._proxy.serve_forever, args=(0.05,))

    def __enter__(self) -> KaggleServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and threads; a second call does nothing.

        Raises:
            ExceptionGroup: The server itself did something wrong.
        """
        self._proxy.shutdown()
        self._thread.join()
        self._proxy.hang_up()
        self._proxy.server_close()
        errors, self._proxy.errors = self._proxy.errors, []
        if errors:
            raise ExceptionGroup("the server that plays Kaggle failed", errors)

    @property
    def address(self) -> str:
        """The address of the proxy."""
        return f"http://127.0.0.1:{self._proxy.server_address[1]}"

    @property
    def submissions(self) -> dict[str, list[Submission]]:
        """The submissions of each competition, oldest first."""
        return {slug: contest.submissions for slug, contest in self.play.contests.items()}

    def add_competition(
        self, slug: str, files: Path | bytes = b"", solution: Mapping[str, str] | None = None, **facts: Any
    ) -> Contest:
        """Add or replace a competition; `facts` are attributes of `Contest`."""
        contest = Contest(slug, files, dict(solution or {}), **facts)
        self.play.contests[slug] = contest
        return contest

    def add_file(self, url: str, content: bytes) -> None:
        """Offer a file to everybody; its host is played from now on."""
        self.storage.add_file(url, content)

    def fault(self, where: str, kind: int | str, times: int | None = 1, **details: Any) -> Fault:
        """Request a fault: see `Fault`."""
        return self._faults.add(Fault(where, kind, times, **details))

    def heal(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def count(self, where: str) -> int:
        """Count the requests with `where` in ``METHOD host/path``."""
        return sum(where in str(request) for request in self.requests)

    def environment(self, home: Path, credentials: str = "key", **variables: str) -> dict[str, str]:
        """Return the whole environment of a process that knows this server as Kaggle.

        Args:
            home: Its home folder, cache and all; the credentials are written there.
            credentials: Which there are: one of `CREDENTIALS`.
            variables: More of them.
        """
        files, login = CREDENTIALS[credentials]
        config = home / ".kaggle"
        config.mkdir(parents=True, exist_ok=True)
        for name in ("kaggle.json", "access_token", "credentials.json"):
            (config / name).unlink(missing_ok=True)
        for name, content in files.items():
            (config / name).write_text(content if isinstance(content, str) else json.dumps(content))
            (config / name).chmod(0o600)
        bundle = config / "authority.pem"
        bundle.write_bytes(authority().cert_pem.bytes())
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), self.address)
        bundles = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(bundle))
        own = {"HOME": str(home), "USERPROFILE": str(home), "KAGGLE_CONFIG_DIR": str(config)}
        local = {"NO_PROXY": "", "no_proxy": ""}
        return {**_without_kaggle(surroundings(home)), **proxies, **local, **bundles, **own, **login, **variables}

    def kagglekit(self, *arguments: object, cwd: Path, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run ``kagglekit`` with this server as Kaggle; `how` as for `run`."""
        return self.run("-m", "kagglekit", *arguments, cwd=cwd, **how)

    def start(
        self, *arguments: object, cwd: Path, credentials: str = "key", **variables: str
    ) -> forks.Process | subprocess.Popen[str]:
        """Start ``kagglekit`` in the same way, without waiting for its end."""
        return forks.start(["-m", "kagglekit", *arguments], cwd, self.environment(cwd, credentials, **variables))

    def kaggle(self, *arguments: object, cwd: Path, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run the official command ``kaggle`` in the same way."""
        return self.run("-m", "kaggle", *arguments, cwd=cwd, **how)

    def run(
        self, *arguments: object, cwd: Path, credentials: str = "key", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder `cwd`, which is also its home."""
        return forks.run(arguments, cwd, self.environment(cwd, credentials, **variables))

    def plays(self, host: str) -> bool:
        """Return whether a host is played here; else list it as refused."""
        if host in HOSTS | self.storage.hosts:
            return True
        self.refused.append(host)
        return False

    def hear(self, request: Request) -> Fault | None:
        """Record a request; return its fault, if any."""
        if request.method != "CONNECT":
            self.requests.append(request)
        fault = self._faults.take(request)
        if fault and fault.kind == "expired" and fault.after is None:
            self.storage.expire(request.query.get("Signature"))
        return fault

    def answer(self, request: Request, content: bytes, whole: bool, fault: Fault | None) -> Answer:
        """Return the response to a request.

        Args:
            request: The request.
            content: Its body, or the beginning of it.
            whole: Whether all of the body has arrived.
            fault: Its fault, if any.
        """
        with self._lock:
            if fault and (instead := fault.instead(request, self.play.form)):
                return instead
            answer = self._right_answer(fault.asked(request) if fault else request, content, whole)
            if fault and fault.kind == "expired":
                self.storage.expire(request.query.get("Signature"))
        return fault.changed(answer) if fault else answer

    def _right_answer(self, request: Request, content: bytes, whole: bool) -> Answer:
        if request.host == API:
            return self.play.answer(request, content)
        if request.method == "PUT":
            return self.storage.put(request, content, whole)
        return self.storage.get(request)


def _without_kaggle(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the developer's own settings."""
    own = {"KAGGLEKIT_CACHE"}
    return {
        name: value
        for name, value in environment.items()
        if name in own
        or not (name.startswith("KAGGLE") or name.lower().endswith("_proxy") or name == "XDG_CONFIG_HOME")
    }
