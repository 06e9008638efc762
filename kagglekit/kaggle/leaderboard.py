"""The public leaderboard: fetch it at most once an hour, find our place, and compute what medals need."""

from __future__ import annotations

import csv
import io
import math
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kagglekit.runs.lookup import submitted_runs
from kagglekit.system.damage import BROKEN, reason
from kagglekit.system.display.console import amount
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import write_text
from kagglekit.system.paths import cache_folder
from kagglekit.types.metric import greater_is_better

FRESH = 3600  # s during which a fetched leaderboard is used again
MAX_SIZE = 50_000_000  # bytes of the CSV; the largest competitions have a few MB
MAX_TEAMS = 500_000


@dataclass(frozen=True, slots=True)
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
        greater_is_better: Whether higher scores rank higher.
    """

    teams: tuple[Team, ...]
    age: float
    greater_is_better: bool

    def better(self, score: float, other: float) -> bool:
        """Return whether a score is better than another."""
        return score > other if self.greater_is_better else score < other

    def best(self, scores: Sequence[float]) -> float:
        """Return the best of several scores."""
        return max(scores) if self.greater_is_better else min(scores)

    def place(self, score: float) -> int:
        """Return the place of a score: right behind all teams that are strictly better."""
        return 1 + sum(self.better(team.score, score) for team in self.teams)


def medal_places(n_teams: int) -> dict[str, int]:
    """Return the last place that gets each medal, by Kaggle's rule for the number of teams.

    Source: https://www.kaggle.com/progression. Gold: the top 10 % below 100 teams, else the top 10, and one more per
    500 teams from 250 teams on. Silver and bronze: the top 20 % and 40 % below 250 teams, the top 50 and 100 below
    1,000, else the top 5 % and 10 %. Shares are rounded down, to at least one.
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
    """Return the leaderboard from the cache if it is fresh, else fetch it.

    Args:
        slug: The competition.
        metric: Name of its metric, which gives the direction; for an unknown one, the order of the teams does.
        fetch: Fetches the zip file.
        refresh: Fetch it even if the cached one is fresh.
        warn: Receives a warning if fetching fails and an old one is used.

    Raises:
        UserError: It cannot be fetched or read, or is empty.
    """
    file = cache_folder() / "leaderboards" / f"{slug}.csv"
    teams, age = _kept(file, slug)
    if refresh or not (teams and 0 <= age <= FRESH):
        try:
            text = _unzipped(fetch(), slug)
            teams, age = _teams(text, slug), 0.0
        except UserError as error:
            if not teams:
                raise
            warn(f"{error.what}; using the leaderboard of {age / 3600:.1f} h ago")
        else:
            _keep(text, file, warn)
    greater = greater_is_better(metric)
    return Leaderboard(teams, age, teams[0].score > teams[-1].score if greater is None else greater)


def _kept(file: Path, slug: str) -> tuple[tuple[Team, ...], float]:
    """Return the teams of a kept leaderboard, none if there is no intact one, and its age."""
    with suppress(OSError, UnicodeDecodeError, UserError):
        facts = file.stat()
        if facts.st_size <= MAX_SIZE:
            return _teams(file.read_text(encoding="utf-8"), slug), time.time() - facts.st_mtime
    return (), 0.0


def _keep(text: str, file: Path, warn: Callable[[str], None]) -> None:
    try:
        write_text(file, text)
    except UserError as error:
        warn(f"the leaderboard is not kept: {error.what}")


def _unzipped(content: bytes, slug: str) -> str:
    """Return the CSV in a zip file; read at most `MAX_SIZE` bytes, whatever size the file claims."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = next((each for each in archive.infolist() if each.filename.endswith(".csv")), None)
            if member is None:
                raise ValueError("the zip file contains no CSV")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without limit
                raise ValueError(f"unexpected compression {member.compress_type}")
            with archive.open(member) as table:
                data = table.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise ValueError(f"it is larger than {amount(MAX_SIZE)}")
        return data.decode("utf-8-sig")
    except (*BROKEN, OSError) as error:
        raise UserError(f"cannot read the leaderboard of {slug}: {reason(error)}", _see_site(slug)) from error


def _teams(text: str, slug: str) -> tuple[Team, ...]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""))
        missing = [name for name in ("TeamName", "Score") if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"it has no column {listing(missing)}")
        scored = (row for row in rows if row["Score"])
        teams = tuple(_team(number, row) for number, row in enumerate(islice(scored, MAX_TEAMS + 1), start=1))
    except BROKEN as error:
        raise UserError(f"cannot read the leaderboard of {slug}: {reason(error)}", _see_site(slug)) from error
    if not teams:
        raise UserError(f"the leaderboard of {slug} is empty: no team has a score yet", "try again later")
    return teams


def _team(rank: int, row: Mapping[str, str | None]) -> Team:
    score = float(row["Score"] or "")
    if rank > MAX_TEAMS or not math.isfinite(score):
        raise ValueError(f"it has more than {MAX_TEAMS:,} teams" if rank > MAX_TEAMS else f"a score of {score}")
    return Team(rank, row["TeamName"] or "", score)


def _see_site(slug: str) -> str:
    return f"see https://www.kaggle.com/c/{slug}/leaderboard"


def our_scores(out: Path, slug: str) -> list[tuple[float, str]]:
    """Return the public scores of the local runs of a competition, with the runs' names."""
    scores = []
    for run in submitted_runs(out):
        with suppress(UserError, ValueError, KeyError):  # a damaged run must not hide the others
            mine = run.submissions() if run.info().slug == slug else []
            scores += [(float(each["public"]), run.name) for each in mine if _is_score(each["public"])]
    return scores


def _is_score(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def standing(board: Leaderboard, ours: Sequence[tuple[float, str]], top: int) -> dict[str, Any]:
    """Return what people ask of a leaderboard: its head, the places and scores of medals, our best score's place.

    Args:
        board: The leaderboard.
        ours: Our scores with the names of their runs.
        top: How many teams its head has.
    """
    best = board.best([score for score, _ in ours]) if ours else None
    return {
        "teams": len(board.teams),
        "top": [asdict(team) for team in board.teams[:top]],
        "medals": {
            medal: {"place": place, "score": board.teams[place - 1].score}
            for medal, place in medal_places(len(board.teams)).items()
        },
        "best": best,
        "run": next((run for score, run in ours if score == best), None),
        "place": board.place(best) if best is not None else None,
    }
