from __future__ import annotations

import io
import json
import math
import os
import re
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.kaggle.leaderboard import Leaderboard, Team, get_leaderboard, medal_places, our_scores
from kagglekit.kaggle.ledger import new_entry, write_entry
from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError

HEAD = "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n"


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (1, 1, 1, 1),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (999, 11, 50, 100),
        (1000, 12, 50, 100),
        (1286, 12, 64, 128),
        (5000, 20, 250, 500),
    ],
)
def test_medals_follow_kaggles_rule_for_the_number_of_teams(teams, gold, silver, bronze):
    assert medal_places(teams) == {"gold": gold, "silver": silver, "bronze": bronze}


def board(*scores: float) -> Leaderboard:
    teams = tuple(Team(i, f"team {i}", score) for i, score in enumerate(scores, start=1))
    return Leaderboard(teams, 0, scores[0] > scores[-1])


def test_a_place_is_behind_all_that_are_strictly_better_whichever_way_the_metric_goes():
    losses, accuracies = board(0.1, 0.2, 0.2, 0.4), board(0.9, 0.8, 0.8, 0.1)
    assert [losses.place(score) for score in (0.05, 0.1, 0.2, 0.3, 0.5)] == [1, 1, 2, 4, 5]
    assert [accuracies.place(score) for score in (0.95, 0.9, 0.8, 0.7, 0.0)] == [1, 1, 2, 4, 5]
    assert (losses.best([0.3, 0.2]), accuracies.best([0.3, 0.2])) == (0.2, 0.3)


def zipped(text: str, name: str = "fish-publicleaderboard.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path))
    return tmp_path


def fetched(text: str = HEAD + "1,7,Ann,2026-01-02,0.25,3,ann\n2,8,Bob,2026-01-02,0.5,1,bob\n") -> bytes:
    return zipped(text)


def refused() -> bytes:
    raise UserError("Kaggle cannot be reached")


def test_a_leaderboard_is_fetched_once_an_hour(cache):
    warnings: list[str] = []
    first = get_leaderboard("fish", "log_loss", fetched, False, warnings.append)
    again = get_leaderboard("fish", "log_loss", refused, False, warnings.append)
    assert first.teams == again.teams == (Team(1, "Ann", 0.25), Team(2, "Bob", 0.5))
    assert not warnings


def test_an_old_leaderboard_is_better_than_none(cache):
    get_leaderboard("fish", "log_loss", fetched, False, print)
    file = cache / "leaderboards" / "fish.csv"
    os.utime(file, (0, 0))
    warnings: list[str] = []
    assert len(get_leaderboard("fish", "log_loss", refused, False, warnings.append).teams) == 2
    assert "Kaggle cannot be reached; using the leaderboard of" in warnings[0]
    with pytest.raises(UserError, match="cannot be reached"):
        get_leaderboard("birds", "log_loss", refused, False, warnings.append)


def zip_bomb(compression: int = zipfile.ZIP_DEFLATED, size: int = 1_000_000_000) -> bytes:
    """Return a leaderboard of a few kB to a MB that unpacks to `size` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, archive.open("fish.csv", "w") as member:
        member.write(HEAD.encode())
        for _ in range(size // 1_000_000):
            member.write(bytes(1_000_000))
    return buffer.getvalue()


def truncated(name: str = "fish.csv") -> bytes:
    """Return a zip file that says of its member that it is small, and of its compressed bytes that they are few."""
    content = bytearray(zipped(HEAD + "1,7,Ann,2026-01-02,0.25,3,ann\n" * 100, name))
    start = 30 + len(name)
    content[start : start + 20] = bytes(20)
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(fetched())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


BAD = {
    "no zip": (b"no zip", "cannot read the leaderboard of fish: File is not a zip file"),
    "nothing": (b"", "cannot read the leaderboard of fish"),
    "no CSV": (zipped(HEAD, "readme.txt"), "the zip file contains no CSV"),
    "no rows": (zipped(HEAD), "the leaderboard of fish is empty"),
    "no text": (zipped(""), "it has no column TeamName, Score"),
    "other columns": (zipped("Rank,Team,Score\n1,Ann,0.5\n"), "it has no column TeamName"),
    "no number": (zipped(HEAD + "1,7,Ann,2026-01-02,none,3,ann\n"), "could not convert string to float: 'none'"),
    "not finite": (zipped(HEAD + "1,7,Ann,2026-01-02,nan,3,ann\n"), "a score of nan"),
    "long field": (zipped(HEAD + "1,7," + "A" * 200_000 + ",2026-01-02,1,3,ann\n"), "field larger than field limit"),
    "a NUL": (zipped(HEAD + "1,7,A\0nn,2026-01-02,\0,3,ann\n"), "cannot read the leaderboard of fish"),
    "damaged": (truncated(), "cannot read the leaderboard of fish"),
    "encrypted": (encrypted(), "cannot read the leaderboard of fish: .*encrypted"),
    "bzip2": (zip_bomb(zipfile.ZIP_BZIP2, 2_000_000), "unexpected compression 12"),
    "LZMA": (zip_bomb(zipfile.ZIP_LZMA, 2_000_000), "unexpected compression 14"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_bad_leaderboard_is_one_message_and_not_kept(cache, content, message):
    with pytest.raises(UserError, match=message) as caught:
        get_leaderboard("fish", "log_loss", lambda: content, False, print)
    assert "\n" not in caught.value.what
    assert caught.value.hint
    assert not (cache / "leaderboards" / "fish.csv").exists()


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_bad_leaderboard_does_not_replace_a_good_one(cache, content, message):
    get_leaderboard("fish", "log_loss", fetched, False, print)
    warnings: list[str] = []
    board = get_leaderboard("fish", "log_loss", lambda: content, True, warnings.append)
    assert [team.name for team in board.teams] == ["Ann", "Bob"]
    assert re.search(f"{message}.*; using the leaderboard of 0.0 h ago", warnings[0])
    again = get_leaderboard("fish", "log_loss", refused, False, warnings.append)
    assert (again.teams, len(warnings)) == (board.teams, 1)


@pytest.mark.parametrize("kept", [b"\xff\xfe", b"", b"what,ever\n", None])
def test_a_damaged_file_in_the_cache_is_fetched_again(cache, kept):
    file = cache / "leaderboards" / "fish.csv"
    file.parent.mkdir()
    if kept is not None:
        file.write_bytes(kept)
    assert len(get_leaderboard("fish", "log_loss", fetched, False, print).teams) == 2
    assert len(get_leaderboard("fish", "log_loss", refused, False, print).teams) == 2


def test_where_nothing_can_be_kept_the_leaderboard_is_shown_with_a_warning(cache):
    (cache / "leaderboards").write_text("a file")
    warnings: list[str] = []
    assert len(get_leaderboard("fish", "log_loss", fetched, False, warnings.append).teams) == 2
    assert "the leaderboard is not kept: cannot write" in warnings[0]


def test_a_bomb_is_refused_with_little_memory():
    bomb = zip_bomb()
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"it is larger than 50\.0 MB"):
            get_leaderboard("fish", "log_loss", lambda: bomb, False, print)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_too_many_teams_are_refused_with_little_memory(monkeypatch):
    monkeypatch.setattr("kagglekit.kaggle.leaderboard.MAX_TEAMS", 1000)
    rows = zipped(HEAD + "1,7,Ann,2026-01-02,0.5,3,ann\n" * 1001)
    with pytest.raises(UserError, match="it has more than 1,000 teams"):
        get_leaderboard("fish", "log_loss", lambda: rows, False, print)


@given(st.text())
def test_any_text_is_a_leaderboard_or_one_error(text):
    try:
        board = get_leaderboard("fish", "log_loss", lambda: zipped(HEAD + text), True, lambda _: None)
    except UserError:
        return
    assert all(math.isfinite(team.score) for team in board.teams)


def test_our_scores_are_those_of_the_runs_here_of_this_competition(tmp_path):
    facts = {"status": "finished", "competition": "competition", "plugin": "competition"}
    for name, slug, public in (("a", "fish", 0.5), ("b", "fish", None), ("c", "birds", 0.1), ("d", "fish", math.nan)):
        folder = Path(tmp_path) / "runs" / "competition" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({**facts, "slug": slug}))
        (folder / "recipe.json").write_text("{}")
        entry = new_entry(folder / "recipe.json", "", "0123456789ab", datetime.now(UTC))
        write_entry(Run(folder), {**entry, "public": public})
    assert our_scores(tmp_path / "runs", "fish") == [(0.5, "a")]


def test_the_metric_says_which_way_scores_go_where_the_teams_do_not(cache):
    one = fetched(HEAD + "1,7,Ann,2026-01-02,0.5,3,ann\n")
    assert get_leaderboard("a", "accuracy", lambda: one, False, print).place(0.6) == 1
    assert get_leaderboard("b", "log_loss", lambda: one, False, print).place(0.6) == 2
    assert get_leaderboard("c", "unheard_of", fetched, False, print).place(0.6) == 3
