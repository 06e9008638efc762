"""Text from outside never acts on the terminal."""

from __future__ import annotations

import json

from kaggle_contest import Malformed
from kaggle_session import ask, fail, finished_run, succeed
from submitting import ROWS, SLUG

EVIL = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202e\x00\r"
FORGED = "\nerror: call 555"


def acts(text: str) -> bool:
    """Whether a terminal would do more than show the text."""
    return any(not letter.isprintable() and letter != "\n" for letter in text)


def test_titles_and_team_names_of_kaggle(server, run, tmp_path):
    contest = server.play.contests[SLUG]
    contest.title, contest.teams = f"Dogs{EVIL}{FORGED}", [(f"Ann{EVIL}{FORGED}", 0.1)]
    done = succeed(server, tmp_path, "submit")
    board = succeed(server, tmp_path, "leaderboard", "dog-breed")
    for text in (done.stdout + done.stderr, board.stdout + board.stderr):
        assert not acts(text)
        assert "\nerror: call" not in text
    assert r"Ann\x1b]0;owned\x07\x1b[31mred\x9b2J" in board.stdout
    shown = succeed(server, tmp_path, "leaderboard", "dog-breed", "--json").stdout
    assert json.loads(shown)["top"][0]["name"] == f"Ann{EVIL}{FORGED}".replace("\r", "")


def test_messages_of_kaggle(server, run, tmp_path):
    server.fault("GetCompetition", 403, None, message=f"no{EVIL}{FORGED}")
    error = fail(server, tmp_path, "submit")
    assert not acts(error)
    assert "\nerror: call" not in error
    assert r"no\x1b]0;owned" in error


def test_reasons_why_a_submission_is_not_scored(server, run, tmp_path):
    def malformed(content: bytes) -> tuple[float, float]:
        raise Malformed(f"bad{EVIL}{FORGED}")

    server.play.contests[SLUG].scores = malformed
    error = fail(server, tmp_path, "submit")
    assert r"\x1b]0;owned" in error
    assert not acts(error)
    assert "\nerror: call" not in error


def test_what_run_json_says(server, tmp_path):
    scores = [{"member": "ensemble", "test_accuracy": [0.88, 0.004]}]
    finished_run(tmp_path, "pets", None, ROWS, scores=scores, title=f"Pets{EVIL}{FORGED}")
    done = ask(server, tmp_path, "submit", "2026")
    assert "Pets\\x1b" in done.stdout
    assert not acts(done.stdout + done.stderr)
    assert "\nerror: call" not in done.stdout


def test_names_of_files_and_ids(server, run, tmp_path):
    file = tmp_path / f"mine{EVIL.replace(chr(0), '')}.csv"
    file.write_text(f"id,beagle,pug\n000{EVIL},0.5,0.5\n")
    error = fail(server, tmp_path, "submit", "dog-breed", file)
    assert not acts(error)
