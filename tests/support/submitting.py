"""A tiny dog-breed that accepts submissions, and runs of it."""

from __future__ import annotations

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


def accept_submissions(server: KaggleServer, home: Path) -> None:
    """Add this competition, which scores at once, to a server; write its sample to the data folder in `home`."""
    data = home / "data" / "dog-breed"
    data.mkdir(parents=True)
    write_csv(data / "sample_submission.csv", [HEAD, *((image, "0.5", "0.5") for image in SOLUTION)])
    server.add_competition(SLUG, data, SOLUTION, title="Dog Breed Identification", polls=0)


def dog_run(home: Path, **facts: str) -> Run:
    """Write a finished run of it."""
    return finished_run(home, "dog-breed", SLUG, ROWS, **facts)


def sent(server: KaggleServer) -> int:
    """Return the number of submissions that the server has."""
    return len(server.submissions[SLUG])
