"""Fixtures of the tests against the server that plays Kaggle, and against a file host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from downloading import offer_dog_breed
from kaggle_https import add_dog_breed, speaking
from kaggle_server import KaggleServer
from kaggle_session import become_customer
from submitting import Customer, accept_submissions, dog_run

from kagglekit.runs.folder import Run


@pytest.fixture
def server() -> Iterator[KaggleServer]:
    """Play Kaggle, without any competition."""
    with KaggleServer() as server:
        yield server


@pytest.fixture
def download_server(server: KaggleServer) -> KaggleServer:
    """Play Kaggle with the archive of a small dog-breed."""
    offer_dog_breed(server)
    return server


@pytest.fixture
def run(server: KaggleServer, tmp_path: Path) -> Run:
    """Let the server accept submissions to a tiny dog-breed; return a finished run of it."""
    accept_submissions(server, tmp_path)
    return dog_run(tmp_path)


@pytest.fixture
def solution(server: KaggleServer, tmp_path: Path) -> dict[str, str]:
    """Add a dog-breed with data and leaderboard to the server; return its test labels."""
    return add_dog_breed(server, tmp_path)


@pytest.fixture
def session(server: KaggleServer, tmp_path: Path) -> Iterator[requests.Session]:
    """Return an HTTP session that knows the server as Kaggle."""
    with speaking(server, tmp_path) as session:
        yield session


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the place of a file to fetch."""
    return tmp_path / "data" / "train.zip"


@pytest.fixture
def customer(server: KaggleServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Customer:
    """Direct this process to the server; return what submits the run with an injected clock."""
    become_customer(monkeypatch, server, tmp_path)
    return Customer(server, run)
