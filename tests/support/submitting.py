"""A tiny dog-breed that takes submissions, and what is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kaggle_server import KaggleServer
from kaggle_session import finished_run
from layouts import write_csv

from kagglekit.runs.folder import Run

SLUG = "dog-breed-identification"
SOLUTION = {f"{number:03}": ("beagle", "pug")[number % 2] for number in range(12)}
HEAD = ("id", "beagle", "pug")
ROWS = [
    HEAD,
    *(
        (image, 0.75 if breed == "beagle" else 0.25, 0.25 if breed == "beagle" else 0.75)
        for image, breed in SOLUTION.items()
    ),
]
SCORE = 0.28768  # -log(0.75)


@contextmanager
def scoring(home: Path) -> Iterator[KaggleServer]:
    """Play Kaggle with this competition, which scores at once; write its sample where `home` keeps the data."""
    data = home / "data" / "dog-breed"
    data.mkdir(parents=True)
    write_csv(data / "sample_submission.csv", [HEAD, *((image, "0.5", "0.5") for image in SOLUTION)])
    with KaggleServer() as server:
        server.add_competition(SLUG, data, SOLUTION, title="Dog Breed Identification", polls=0)
        yield server


def dog_run(home: Path, **facts: str) -> Run:
    """Write a finished run of it."""
    return finished_run(home, "dog-breed", SLUG, ROWS, **facts)


def sent(server: KaggleServer) -> int:
    return len(server.submissions[SLUG])
