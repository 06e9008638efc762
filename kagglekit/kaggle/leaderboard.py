"""The public leaderboard: fetched once an hour, our place on it, and what medals would need."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.system.paths import cache_folder
from kagglekit.types.metric import greater_is_better

FRESH = 3600  # s for which a fetched leaderboard is taken as it is
LARGEST = 500_000_000  # bytes of the CSV; the largest competitions have some 20 MB


@dataclass(frozen=True)
class Team:
    """A row of the leaderboard."""

    rank: int
    name: str
    score: float


@dataclass(frozen=True)
class Leaderboard:
    """A competition's public leaderboard.

    Attributes:
        teams: Best first; at least one.
        age: Seconds since it was fetched.
        greater_is_better: Whether larger scores win.
    """

    teams: tuple[Team, ...]
    age: float
    greater_is_better: bool

    def better(self, score: float, other: float) -> bool:
        """Whether a score beats another."""
        return score > other if self.greater_is_better else score < other

    def best(self, scores: Sequence[float]) -> float:
        """Return the best of some scores."""
        return max(scores) if self.greater_is_better else min(scores)

    def place(self, score: float) -> int:
        """Return the place of a score: behind all teams that are strictly better."""
        return 1 + sum(self.better(team.score, score) for team in self.teams)


def medal_places(n_teams: int) -> dict[str, int]:
    """Return the last place that gets each medal, by Kaggle's rule for the number of teams.

    Source: https://www.kaggle.com/progression: gold for the top 10 % below 100 teams, the top 10 from there on, and
    one more for every 500 teams from 250 teams on; silver and bronze for the top 20 % and 40 % below 250 teams, the
    top 50 and 100 below 1,000, the top 5 % and 10 % from there on. Shares are rounded down here, to at least one.
    """
    if n_teams < 250:
        gold = n_teams // 10 if n_teams < 100 else 10
        silver, bronze = n_teams // 5, n_teams * 2 // 5
    else:
        gold = 10 + n_teams // 500
        silver, bronze = (50, 100) if n_teams < 1000 else (n_teams // 20, n_teams // 10)
    return {"gold": max(1, gold), "silver": max(1, silver), "bronze": max(1, bronze)}


def get_leaderboard(
    slug: str, metric: str, fetch: Callable[[], bytes], refresh: bool, warn: Callable[[str], None]
) -> Leaderboard:
    """Return the leaderboard from the cache where it is fresh, else fetch it.

    Args:
        slug: The competition.
        metric: Its metric's name: which way it goes; of one that is not known the order of the teams tells.
        fetch: Fetches the zip file.
        refresh: Fetch it even if it is fresh.
        warn: Told when an old one is used since a new one can't be had.

    Raises:
        UserError: It can't be had, or is empty.
    """
    kept = cache_folder() / "leaderboards" / f"{slug}.csv"
    age = time.time() - kept.stat().st_mtime if kept.exists() else None
    if age is None or age > FRESH or age < 0 or refresh:
        try:
            write_text(kept, _unzipped(fetch(), slug))
            age = 0.0
        except UserError as error:
            if age is None:
                raise
            warn(f"{error.what}; this leaderboard is {age / 3600:.1f} h old")
    teams, greater = _read(kept), greater_is_better(metric)
    return Leaderboard(teams, age or 0.0, teams[0].score > teams[-1].score if greater is None else greater)


def _unzipped(content: bytes, slug: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = next(each for each in archive.infolist() if each.filename.endswith(".csv"))
            if member.file_size > LARGEST:
                raise UserError(
                    f"the leaderboard of {slug} would be {member.file_size / 1e6:,.0f} MB", "it is not unpacked"
                )
            return archive.read(member).decode("utf-8-sig")
    except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError) as error:
        raise UserError(f"Kaggle's leaderboard of {slug} cannot be read: {error}", "try again later") from error


def _read(file: Path) -> tuple[Team, ...]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("Score")]
    try:
        teams = tuple(Team(number, row["TeamName"], float(row["Score"])) for number, row in enumerate(rows, start=1))
    except (KeyError, ValueError) as error:
        file.unlink()
        raise UserError(
            f"Kaggle's leaderboard has another form than expected: {error}", "look at it on the site"
        ) from error
    if not teams:
        file.unlink()
        raise UserError("the leaderboard is empty", "nobody has a score yet")
    return teams


def our_scores(out: Path, slug: str) -> list[tuple[float, str]]:
    """Return the public scores of the runs here, with the runs' names."""
    scores = []
    for file in sorted(out.glob("*/*/score.json")):
        run = Run(file.parent)
        with suppress(UserError, ValueError, KeyError):  # a broken folder is no reason to show nothing
            mine = run.submissions() if run.info().slug == slug else []
            scores += [(float(each["public"]), run.name) for each in mine if each["public"] is not None]
    return scores
