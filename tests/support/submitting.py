"""A tiny dog-breed that accepts submissions, runs of it, and submitting them with an injected clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fetched_file import Output
from kaggle_server import KaggleServer
from kaggle_session import finished_run
from layouts import write_csv

from kagglekit.kaggle.follow import wait_for_score
from kagglekit.kaggle.ledger import keep_score
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import Clock, RetryPolicy
from kagglekit.kaggle.submit import submit
from kagglekit.kaggle.target import check_target, target_of
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError

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


@dataclass
class FakeClock(Clock):
    """A clock that only `sleep` advances; `started` is when it shows 0."""

    slept: float = 0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += max(seconds, 0.001)  # no sleep is shorter, and floats must not swallow it

    def utc(self) -> datetime:
        return self.started + timedelta(seconds=self.slept)


@dataclass
class Customer:
    """Submits in this process, by the real client and an injected clock; the server must know this process."""

    server: KaggleServer
    run: Run
    clock: FakeClock = field(default_factory=FakeClock)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        self.server.play.contests[SLUG].now = self.clock.now

    def submit(self, timeout: float = 10) -> None:
        """Submit the run and wait for its score, as ``kagglekit submit --yes`` does."""
        kaggle = connect(RetryPolicy(timeout, self.output.display.report, self.clock))
        package = check_target(target_of(self.run), None, "", self.output.display)
        found = submit(package, kaggle, lambda _: True, self.output.display)
        keep_score(self.run, wait_for_score(found.ref, kaggle, self.output.display))

    def fails(self, says: str, timeout: float = 10) -> None:
        """Check that the submission ends with an error that contains `says`."""
        with pytest.raises(UserError, match=says):
            self.submit(timeout)

    @property
    def states(self) -> list[str]:
        """The states of the run's entries."""
        return [entry["status"] for entry in self.run.submissions()]
