"""HTTPS with the server that plays Kaggle, as its user, within the test's process."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from kaggle_play import TOKEN
from kaggle_server import API, KaggleServer
from layouts import write_dog_breed

SLUG = "dog-breed-identification"
TEAMS = (("Grace", 0.1), ("Ada, and friends", 0.25), ("Ünal", 1.5))


@contextmanager
def speaking(server: KaggleServer, home: Path) -> Iterator[requests.Session]:
    """Open a session that is logged in."""
    variables = server.environment(home)
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": server.address, "http": server.address}
        session.verify = variables["REQUESTS_CA_BUNDLE"]
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        yield session


def add_dog_breed(server: KaggleServer, folder: Path) -> dict[str, str]:
    """Add a tiny dog-breed, and a submission for it in given.csv; return the solution."""
    solution = write_dog_breed(folder / "real")
    server.add_competition(SLUG, folder / "real", solution, title="Dog Breed", teams=TEAMS, polls=2)
    (folder / "given.csv").write_bytes((folder / "real" / "sample_submission.csv").read_bytes())
    return solution


def call(session: requests.Session, rpc: str, **ask: Any) -> requests.Response:
    """Make one of Kaggle's calls."""
    address = f"https://{API}/v1/competitions.CompetitionApiService/{rpc}"
    return session.post(address, json=ask, allow_redirects=False, timeout=10)


def signed(session: requests.Session) -> str:
    """Return the signed address of the data."""
    return call(session, "DownloadDataFiles", competitionName=SLUG).headers["Location"]


def announced(session: requests.Session, size: int) -> tuple[str, str]:
    """Start an upload; return its token and its address."""
    answer = call(session, "StartSubmissionUpload", competitionName=SLUG, fileName="x.csv", contentLength=size).json()
    return answer["token"], answer["createUrl"]


def submit(session: requests.Session, content: bytes, message: str = "") -> requests.Response:
    """Upload a file and make it a submission."""
    token, address = announced(session, len(content))
    assert session.put(address, data=content, timeout=10).status_code == 200
    return call(session, "CreateSubmission", competitionName=SLUG, blobFileTokens=token, submissionDescription=message)


def md5_header(content: bytes) -> str:
    """Return the md5 part of x-goog-hash for a file."""
    return f"md5={base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}"
