from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from kagglekit.kaggle.leaderboard import Leaderboard, Team, get_leaderboard, medal_places, our_scores
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", "cannot read the leaderboard of fish"),
        (zipped(HEAD, "readme.txt"), "cannot read the leaderboard of fish"),
        (zipped(HEAD), "the leaderboard of fish is empty"),
        (zipped("Rank,Team,Score\n1,Ann,0.5\n"), "has an unexpected format"),
        (zipped(HEAD + "1,7,Ann,2026-01-02,none,3,ann\n"), "has an unexpected format"),
    ],
)
def test_a_leaderboard_that_cannot_be_read_says_so(content, message):
    with pytest.raises(UserError, match=message):
        get_leaderboard("fish", "log_loss", lambda: content, False, print)


def test_our_scores_are_those_of_the_runs_here_of_this_competition(tmp_path):
    for name, slug, public in (("a", "fish", 0.5), ("b", "fish", None), ("c", "birds", 0.1)):
        folder = Path(tmp_path) / "runs" / "competition" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"slug": slug}))
        (folder / "score.json").write_text(json.dumps({"submissions": [{"public": public}]}))
    assert our_scores(tmp_path / "runs", "fish") == [(0.5, "a")]


def test_the_metric_says_which_way_scores_go_where_the_teams_do_not(cache):
    one = fetched(HEAD + "1,7,Ann,2026-01-02,0.5,3,ann\n")
    assert get_leaderboard("a", "accuracy", lambda: one, False, print).place(0.6) == 1
    assert get_leaderboard("b", "log_loss", lambda: one, False, print).place(0.6) == 2
    assert get_leaderboard("c", "unheard_of", fetched, False, print).place(0.6) == 3
