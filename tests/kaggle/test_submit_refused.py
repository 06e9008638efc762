"""`kagglekit submit` where there is nothing to send, or Kaggle takes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import KaggleServer
from kaggle_session import QUICK, ask, entries, message
from submitting import SLUG, SOLUTION, dog_run, scoring, sent

from kagglekit.runs.folder import Run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KaggleServer]:
    with scoring(tmp_path) as server:
        yield server


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return dog_run(tmp_path)


def change(run: Run, old: str, new: str) -> None:
    text = run.submission.read_text()
    assert old in text
    run.submission.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("id,beagle,pug", "id,beagle,corgi", "other columns than sample_submission.csv.*pug"),
        ("id,beagle,pug", "id,pug,beagle", "the right order is id, beagle, pug"),
        ("003,", "999,", "other ids than sample_submission.csv.*"),
        ("003,", "004,", "duplicate ids: 004"),
        ("003,0.25,0.75\n", "", "other ids.*003"),
        ("003,0.25", "003,", "no value for ids 003"),
        ("003,0.25", "003,nan", "no finite number for ids 003"),
        ("003,0.25", "003,much", "no finite number for ids 003"),
    ],
)
def test_a_wrong_file_is_found_before_kaggle_is_asked(server, run, tmp_path, old, new, says):
    change(run, old, new)
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 1
    assert re.search(says, message(done)), message(done)
    assert not server.requests


def test_without_a_sample_there_is_nothing_to_check_against(server, run, tmp_path):
    (tmp_path / "data" / "dog-breed" / "sample_submission.csv").unlink()
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 1
    assert "kagglekit download dog-breed" in message(done)
    assert not server.requests


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["dogbreed"], 1, "unknown run 'dogbreed'"),
        (["dogbreed", "latest"], 2, "unknown competition 'dogbreed'"),
        (["dogs-vs-cats"], 1, "there is no finished run of dogs-vs-cats"),
        (["dogs-vs-cats", "20260101-000000-net"], 1, "unknown run|no runs in"),
        (["dog-breed", "nothing.csv"], 1, "there is no file nothing.csv"),
        (["dog-breed", "a", "b"], 2, "too many arguments"),
    ],
)
def test_what_cannot_be_meant_is_said(server, run, tmp_path, words, code, says):
    done = ask(server, tmp_path, "submit", *words)
    assert done.returncode == code
    assert re.search(says, message(done)), message(done)
    assert not server.requests


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"entered": False}, f"the rules of {SLUG} are not accepted yet"),
        ({"verified": False}, "verified by phone"),
        ({"disabled": True}, "takes no submissions"),
        ({"code_only": True}, "code competition: it takes notebooks"),
        ({"used_today": 5}, "no more submissions.*the day ends at midnight UTC, in .* come back then"),
        ({"late": False}, "the deadline of .* is over, and it takes no late submissions"),
    ],
)
def test_a_competition_that_takes_nothing_says_why(server, run, tmp_path, facts, says):
    vars(server.play.contests[SLUG]).update(facts)
    done = ask(server, tmp_path, "submit", *QUICK)
    assert done.returncode == 1
    assert re.search(says, message(done), re.S), message(done)
    assert sent(server) == 0


@pytest.mark.parametrize(
    ("credentials", "says"),
    [("none", "there are no credentials"), ("stale key", "does not accept the credentials .401.*kaggle.json")],
)
def test_nothing_is_sent_without_a_login(server, run, tmp_path, credentials, says):
    done = ask(server, tmp_path, "submit", *QUICK, credentials=credentials)
    assert done.returncode == 1
    assert re.search(says, message(done), re.S), message(done)
    assert (sent(server), run.submissions()) == (0, [])


def test_an_unknown_slug_is_told(server, run, tmp_path):
    server.play.contests.clear()
    done = ask(server, tmp_path, "submit", *QUICK)
    assert done.returncode == 1
    assert f"there is no competition '{SLUG}' on Kaggle" in message(done)


@pytest.mark.parametrize("name", ["blend.csv", "log.csv"])
def test_another_file_in_a_runs_folder_is_not_the_runs_submission(server, run, tmp_path, name):
    file = run.folder / name
    file.write_text("id,beagle,pug\n")
    done = ask(server, tmp_path, "submit", "dog-breed", file)
    assert done.returncode == 1
    assert "other ids than sample_submission.csv" in message(done)
    assert not server.requests


def test_a_runs_submission_goes_to_its_own_competition(server, run, tmp_path):
    done = ask(server, tmp_path, "submit", "dogs-vs-cats", run.submission)
    assert done.returncode == 1
    assert "is a run of dog-breed, not of dogs-vs-cats" in message(done)
    assert not server.requests


def test_a_token_with_a_line_end_is_refused_before_a_library_shows_it(server, run, tmp_path):
    token = "KGAT_end-of-line-abcd"
    done = ask(server, tmp_path, "submit", *QUICK, credentials="none", KAGGLE_API_TOKEN=f"{token}\n")
    assert done.returncode == 1
    assert "$KAGGLE_API_TOKEN has blanks or line ends in it" in message(done)
    assert token not in done.stdout + done.stderr
    doctor = ask(server, tmp_path, "doctor", credentials="none", KAGGLE_API_TOKEN=f"{token}\n")
    assert token not in doctor.stdout + doctor.stderr


def test_kaggles_reason_is_told_when_it_cannot_score(server, run, tmp_path):
    server.play.contests[SLUG].solution = {**SOLUTION, "new": "pug"}
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 1
    (made,) = server.submissions[SLUG]
    assert made.error
    assert made.error in message(done)
    assert entries(run)[0] | {"status": "error", "error": made.error} == entries(run)[0]


def test_a_number_that_kaggle_does_not_know(server, tmp_path):
    done = ask(server, tmp_path, "submit", "--status", "7")
    assert done.returncode == 1
    assert "Kaggle knows no submission 7" in message(done)
