"""`kagglekit submit` by the real client to the server that plays Kaggle."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from kaggle_session import ask, entries, fail, finished_run, succeed
from submitting import ROWS, SCORE, SLUG, dog_run, sent

from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.errors import UserError


def test_the_latest_run_is_checked_uploaded_and_scored(server, run, tmp_path):
    server.play.contests[SLUG].polls = 1
    dog_run(tmp_path, name="20250101-000000-older")
    finished_run(tmp_path, "pets", None, ROWS, name="20270101-000000-newer")
    dog_run(tmp_path, name="20270101-000000-broken", status="failed")
    done = succeed(server, tmp_path, "submit", "-m", "first try")
    assert "12 rows, checked against sample_submission.csv" in done.stdout
    assert "Dog Breed Identification: deadline 2018-02-27 23:59 UTC, passed" in done.stdout
    assert re.search("submissions left today: 5 of 5; the day ends at midnight UTC, in .* h", done.stdout)
    assert f"public score {SCORE}, private score {SCORE}" in done.stdout
    assert "valid log loss 0.25000 ± 0.01000; public - valid +0.03768" in done.stdout
    (made,) = server.submissions[SLUG]
    (entry,) = entries(run)
    assert made.content == run.submission.read_bytes()
    assert made.description == f"[{entry['token']}] first try"
    assert {key: entry[key] for key in ("ref", "status", "public", "private", "error", "message")} == {
        "ref": made.ref, "status": "complete", "public": SCORE, "private": SCORE, "error": "", "message": "first try",
    }  # fmt: skip


def test_a_file_needs_its_competition(server, run, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_bytes(run.submission.read_bytes())
    error = fail(server, tmp_path, "submit", "mine.csv", code=2)
    assert "kagglekit submit COMPETITION mine.csv" in error
    assert not server.requests
    done = succeed(server, tmp_path, "submit", "dog-breed", "mine.csv", "--no-wait")
    (made,) = server.submissions[SLUG]
    assert (made.file_name, made.content) == ("mine.csv", file.read_bytes())
    assert f"kagglekit submit --status {made.ref}" in done.stdout
    later = ask(server, tmp_path, "submit", "--status", made.ref, "--wait")
    assert f"public score {SCORE}" in later.stdout
    assert not run.submissions()


@pytest.mark.parametrize("name", ["mine.csv.zip", "mine.zip", "mine.csv.gz", "mine.CSV"])
def test_a_compressed_file_is_checked_and_uploaded_as_it_is(server, run, tmp_path, name):
    file, rows = tmp_path / name, run.submission.read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("mine.csv", rows)
    else:
        file.write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
    done = succeed(server, tmp_path, "submit", "dog-breed", name, "--no-wait")
    assert f"{name}: 12 rows, checked against sample_submission.csv" in done.stdout
    (made,) = server.submissions[SLUG]
    assert (made.file_name, made.content) == (name, file.read_bytes())
    assert made.public is not None
    assert round(made.public, 5) == SCORE


def test_without_waiting_the_score_is_asked_for_later(server, run, tmp_path):
    server.play.contests[SLUG].polls = 1
    done = succeed(server, tmp_path, "submit", "dog-breed", run.name[:8], "--no-wait")
    assert f"kagglekit submit --status {run.name}" in done.stdout
    assert entries(run)[0]["status"] == "pending"
    pending = ask(server, tmp_path, "submit", "--status")
    assert (pending.returncode, "pending" in pending.stdout) == (0, True)
    scored = ask(server, tmp_path, "submit", "--status", run.name)
    assert f"public score {SCORE}" in scored.stdout
    assert entries(run)[0]["public"] == SCORE
    assert sent(server) == 1


def test_a_competition_that_is_not_on_kaggle_shows_its_own_score(server, tmp_path):
    scores = [{"member": "ensemble", "test_accuracy": [0.8801, 0.0041]}]
    finished_run(tmp_path, "pets", None, ROWS, scores=scores, title="Oxford-IIIT Pet")
    done = succeed(server, tmp_path, "submit", "pets")
    assert "Oxford-IIIT Pet is not on Kaggle" in done.stdout
    assert "test accuracy 0.8801 ± 0.0041" in done.stdout
    assert not server.requests


def test_a_broken_run_does_not_keep_the_others_from_being_submitted(server, run, tmp_path):
    broken = run.folder.with_name("20990101-000000-broken")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    succeed(server, tmp_path, "submit", "--no-wait")


def test_status_finds_a_run_by_the_beginning_of_its_name_and_knows_the_last_scored(server, run, tmp_path):
    succeed(server, tmp_path, "submit")
    server.fault("CreateSubmission", "ref 0")
    fail(server, tmp_path, "submit", "--yes")
    assert [entry["status"] for entry in entries(run)] == ["complete", "error"]
    done = ask(server, tmp_path, "submit", "--status", run.name[:8])
    assert f"public score {SCORE}" in done.stdout, done.stderr
    fail(server, tmp_path, "submit", "--status", "²")


def test_a_second_upload_of_a_run_is_asked_about(server, run, tmp_path):
    succeed(server, tmp_path, "submit")
    error = fail(server, tmp_path, "submit", code=2)
    assert f"{run.name} was submitted before" in error
    assert sent(server) == 1
    succeed(server, tmp_path, "submit", "--yes")
    assert (sent(server), len(entries(run))) == (2, 2)


def test_the_last_submission_of_the_day_is_asked_about(server, run, tmp_path):
    server.play.contests[SLUG].used_today = 4
    error = fail(server, tmp_path, "submit", code=2)
    assert "this is today's last submission" in error
    assert sent(server) == 0
    succeed(server, tmp_path, "submit", "--yes")
    assert sent(server) == 1


def test_an_open_competition_shows_its_deadline_and_no_private_score(server, run, tmp_path):
    server.play.contests[SLUG].deadline = datetime.now(UTC) + timedelta(days=3)
    done = succeed(server, tmp_path, "submit")
    assert "passed" not in done.stdout
    assert "private" not in done.stdout
    assert entries(run)[0]["private"] is None


def test_the_leaderboard_shows_our_place(server, run, tmp_path):
    server.play.contests[SLUG].teams = [("Ann", 0.1), ("Ben", 0.2), ("Cem, Inc.", 0.4), ("Dee", 0.5)]
    succeed(server, tmp_path, "submit")
    done = succeed(server, tmp_path, "leaderboard", "dog-breed", "--top", 3)
    assert "Dog Breed Identification: 4 teams" in done.stdout
    assert "Cem, Inc." in done.stdout
    assert "Dee" not in done.stdout
    assert f"our best: {SCORE} ({run.name}), place 3 of 4, top 75.0 %" in done.stdout
    again = ask(server, tmp_path, "leaderboard", "dog-breed", "--json", credentials="none")
    assert json.loads(again.stdout)["place"] == 3
    assert server.count("DownloadLeaderboard") == 1
    fail(server, tmp_path, "leaderboard", "pets")


def test_a_leaderboard_without_end_is_refused(server, customer, monkeypatch):
    server.play.contests[SLUG].teams = [(f"team {number}", number) for number in range(10_000)]
    monkeypatch.setattr("kagglekit.kaggle.client.MAX_LEADERBOARD", 10_000)
    with pytest.raises(UserError, match=rf"the leaderboard of {SLUG} is larger than 10\.0 kB"):
        connect(RetryPolicy(5)).leaderboard(SLUG)
    assert server.count("DownloadLeaderboard") == 1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["competitions"], ["history"], ["doctor", "--offline"], ["recipe", "dog-breed"]]
)
def test_offline_commands_ask_nobody_and_do_not_import_the_client(server, run, tmp_path, arguments):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['kagglekit', *{arguments!r}]\n"
        "try:\n    runpy.run_module('kagglekit', run_name='__main__')\n"
        "finally:\n    assert 'kaggle' not in sys.modules, 'kaggle was imported'\n"
    )
    done = server.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (server.requests, server.refused) == ([], [])
