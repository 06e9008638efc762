"""A competition on the server that plays Kaggle: its files, its submissions, and how they are scored."""

from __future__ import annotations

import csv
import gzip
import io
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from kagglekit import Competition, Metric, UserError
from kagglekit_metrics import kagglekit_metric

PUBLIC_SHARE = 3  # every third id is in the public part
LONG_AGO = datetime(2018, 2, 27, 23, 59, tzinfo=UTC)


@dataclass
class Submission:
    """A file that was submitted.

    Attributes:
        ref: Its number.
        file_name: As the client named it.
        description: What the client sent with it.
        content: Its bytes.
        date: When it was made.
        polls: How many more times it is reported as pending.
        public: The score on the public part; None if the file is wrong.
        private: The score on the rest; None if the file is wrong.
        error: What is wrong with the file.
        made_at: When it was made, by the clock of its contest.
    """

    ref: int
    file_name: str
    description: str
    content: bytes = field(repr=False)
    date: datetime
    polls: int
    public: float | None = None
    private: float | None = None
    error: str = ""
    made_at: float = 0

    @property
    def status(self) -> str:
        return "PENDING" if self.polls > 0 else "ERROR" if self.error else "COMPLETE"


@dataclass
class Contest:
    """A competition; a test may change everything but the files and the solution at any time.

    Attributes:
        slug: Its name in addresses.
        files: The folder of its data, or the bytes of the archive as it is to be downloaded.
        solution: The labels of the test images by id.
        title: As people know it; empty for the slug.
        metric: The name of one of kagglekit's.
        positive: For two classes with one probability a row: the class whose probability it is.
        by_name: Whether a row has the name of a class instead of probabilities.
        deadline: In UTC; None if there is none. Private scores are visible after it.
        late: Whether submissions are accepted after the deadline.
        max_daily: Submissions allowed in a day.
        used_today: How many were made today before the server was started.
        polls: How often a new submission is reported as pending.
        entered: Whether the account has accepted the rules.
        verified: Whether its phone is.
        disabled: Whether submissions are disabled.
        code_only: Whether only notebooks are.
        pages: What its website says, by the name of the page.
        medals: Whether it counts for the ranking.
        teams: Names and scores on the leaderboard, best first.
        submissions: Those made on this server, oldest first.
        lag: Seconds after which a new submission appears in lists.
        now: The clock that `lag` is measured with.
    """

    slug: str
    files: Path | bytes = b""
    solution: dict[str, str] = field(default_factory=dict)
    title: str = ""
    metric: str = "log_loss"
    positive: str | None = None
    by_name: bool = False
    deadline: datetime | None = LONG_AGO
    late: bool = True
    max_daily: int = 5
    used_today: int = 0
    polls: int = 1
    entered: bool = True
    verified: bool = True
    disabled: bool = False
    code_only: bool = False
    pages: Mapping[str, str] = field(default_factory=dict)
    medals: bool = False
    teams: Sequence[tuple[str, float]] = ()
    submissions: list[Submission] = field(default_factory=list)
    lag: float = 0
    now: Callable[[], float] = time.monotonic

    @property
    def over(self) -> bool:
        return self.deadline is not None and self.deadline < datetime.now(UTC)

    @property
    def today(self) -> int:
        """The number of submissions made today."""
        here = sum(each.date.date() == datetime.now(UTC).date() for each in self.submissions)
        return self.used_today + here

    @cached_property
    def archive(self) -> bytes:
        """The zip file of all data."""
        return self.files if isinstance(self.files, bytes) else zipped(self.files)

    @cached_property
    def members(self) -> dict[str, bytes]:
        """The files by name; none if the archive can't be read."""
        try:
            with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
                return {each.filename: archive.read(each) for each in archive.infolist() if not each.is_dir()}
        except zipfile.BadZipFile:
            return {}

    def submit(self, ref: int, file_name: str, description: str, content: bytes) -> Submission:
        """Accept a file and score it; the score is visible after `polls` requests."""
        made = Submission(ref, file_name, description, content, datetime.now(UTC), self.polls, made_at=self.now())
        try:
            made.public, made.private = self.scores(content)
        except (Malformed, UserError) as error:
            made.error = str(error)
        self.submissions.append(made)
        return made

    @property
    def listed(self) -> list[Submission]:
        """The submissions that appear in lists, newest first."""
        return [each for each in self.submissions[::-1] if self.now() - each.made_at >= self.lag]

    def scores(self, content: bytes) -> tuple[float, float]:
        """Return a file's scores on the public and on the private part.

        Raises:
            Malformed: The file can't be scored.
        """
        table = self._table(content)
        public = list(self.solution)[::PUBLIC_SHARE]
        private = [image for image in self.solution if image not in set(public)]
        return self._score(public, table), self._score(private, table)

    def _score(self, ids: list[str], table: dict[str, list[float]]) -> float:
        truth = [self._class_number(self.solution[image]) for image in ids]
        rows = [table[image] for image in ids]
        probabilities = [[1 - row[0], row[0]] for row in rows] if self.positive else rows
        asked: Metric | None = kagglekit_metric(Competition(title=self.slug, metric=self.metric), self._classes)
        if asked is None:
            raise ValueError(f"kagglekit has no metric {self.metric!r}")
        return asked.score(np.array(truth, dtype=np.int64), np.array(probabilities, dtype=np.float32)).value

    @cached_property
    def _header(self) -> list[str]:
        """The columns that Kaggle wants: those of the sample."""
        return self.members["sample_submission.csv"].decode().splitlines()[0].split(",")

    @property
    def _classes(self) -> list[str]:
        return sorted(set(self.solution.values())) if self.by_name else self._header[1:]

    def _class_number(self, label: str) -> int:
        return self._classes.index(label) if self.positive is None else int(label == self.positive)

    def _table(self, content: bytes) -> dict[str, list[float]]:
        """Read a submission: columns and rows may be in any order, but all must be there, once."""
        try:
            rows = list(csv.reader(io.StringIO(unpacked(content).decode("utf-8-sig", errors="replace"), newline="")))
        except csv.Error as error:
            raise Malformed(f"Evaluation Exception: {error}") from error
        header, body = (rows[0], rows[1:]) if rows else ([], [])
        key, *names = self._header
        for name in self._header:
            if name not in header:
                raise Malformed(f"ERROR: Required column '{name}' could not be found")
        if len(body) != len(self.solution):
            raise Malformed(f"Evaluation Exception: Submission must have {len(self.solution)} rows")
        table: dict[str, list[float]] = {}
        for line, row in enumerate(body, start=2):
            cells = _cells(header, row, line)
            if cells[key] in table:
                raise Malformed(
                    f"ERROR: The value '{cells[key]}' in the key column '{key}' is there twice (Line {line})"
                )
            table[cells[key]] = (
                [float(cells[names[0]] == each) for each in self._classes]
                if self.by_name
                else [_number(cells[name], line, header.index(name) + 1) for name in names]
            )
        for image in self.solution:
            if image not in table:
                raise Malformed(f"ERROR: Unable to find required key value '{image}' in the file")
        return table


class Malformed(Exception):
    """A submission that cannot be scored; the message is like Kaggle's."""


def _cells(header: list[str], row: list[str], line: int) -> dict[str, str]:
    if len(row) != len(header):
        raise Malformed(f"ERROR: Record {line - 1} had {len(row)} columns but expected {len(header)} (Line {line})")
    return dict(zip(header, row, strict=True))


def _number(text: str, line: int, column: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise Malformed(f"ERROR: Could not parse '{text}' into expected type of Double (Line {line}, Column {column})")
    return number


def unpacked(content: bytes) -> bytes:
    """Return a submission as CSV: the only member of a zip, what a gzip file holds, or the bytes as they are."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def zipped(folder: Path) -> bytes:
    """Return a zip file of all files below a folder, named from there."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return memory.getvalue()
