"""`kagglekit submit` by the real client to the server that plays Kaggle."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kaggle_server import KaggleServer
from kaggle_session import QUICK, ask, check_nothing_leaked, entries, finished_run, message
from layouts import write_csv

from kagglekit.run_folder import Run

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


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data" / "dog-breed"
    folder.mkdir(parents=True)
    write_csv(folder / "sample_submission.csv", [HEAD, *((image, "0.5", "0.5") for image in SOLUTION)])
    return folder


@pytest.fixture
def server(data) -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        server.add_competition(SLUG, data, SOLUTION, title="Dog Breed Identification")
        yield server


@pytest.fixture
def run(tmp_path, data) -> Run:
    return finished_run(tmp_path, "dog-breed", SLUG, ROWS)


def sent(server: KaggleServer) -> int:
    return len(server.submissions[SLUG])


def test_the_latest_run_is_checked_uploaded_and_scored(server, run, tmp_path):
    finished_run(tmp_path, "dog-breed", SLUG, ROWS, name="20250101-000000-older")
    finished_run(tmp_path, "pets", None, ROWS, name="20270101-000000-newer")
    finished_run(tmp_path, "dog-breed", SLUG, ROWS, name="20270101-000000-broken", status="failed")
    done = ask(server, tmp_path, "submit", "-m", "first try")
    assert done.returncode == 0, done.stderr
    assert "12 rows, checked against sample_submission.csv" in done.stdout
    assert "Dog Breed Identification: deadline 2018-02-27 23:59 UTC, over" in done.stdout
    assert re.search("submissions left today: 5 of 5; the day ends at midnight UTC, in .* h", done.stdout)
    assert f"public score {SCORE}, private score {SCORE}" in done.stdout
    assert "valid log_loss 0.25000 ± 0.01000; public - valid +0.03768" in done.stdout
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
    alone = ask(server, tmp_path, "submit", "mine.csv")
    assert alone.returncode == 2
    assert "kagglekit submit COMPETITION mine.csv" in message(alone)
    assert not server.requests
    done = ask(server, tmp_path, "submit", "dog-breed", "mine.csv", "--no-wait")
    assert done.returncode == 0, done.stderr
    (made,) = server.submissions[SLUG]
    assert (made.file_name, made.content) == ("mine.csv", file.read_bytes())
    assert f"kagglekit submit --status {made.ref}" in done.stdout
    later = ask(server, tmp_path, "submit", "--status", made.ref, "--wait")
    assert f"public score {SCORE}" in later.stdout
    assert not run.submissions()


def test_without_waiting_the_score_is_asked_for_later(server, run, tmp_path):
    done = ask(server, tmp_path, "submit", "dog-breed", run.name[:8], "--no-wait")
    assert done.returncode == 0, done.stderr
    assert f"kagglekit submit --status {run.name}" in done.stdout
    assert entries(run)[0]["status"] == "pending"
    pending = ask(server, tmp_path, "submit", "--status")
    assert (pending.returncode, "pending" in pending.stdout) == (0, True)
    scored = ask(server, tmp_path, "submit", "--status", run.name)
    assert f"public score {SCORE}" in scored.stdout
    assert entries(run)[0]["public"] == SCORE
    assert sent(server) == 1


def change(run: Run, old: str, new: str) -> None:
    text = run.submission.read_text()
    assert old in text
    run.submission.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("id,beagle,pug", "id,beagle,corgi", "other columns than sample_submission.csv.*pug"),
        ("id,beagle,pug", "id,pug,beagle", "must be in the order id, beagle, pug"),
        ("003,", "999,", "other ids than sample_submission.csv.*"),
        ("003,", "004,", "ids more than once: 004"),
        ("003,0.25,0.75\n", "", "other ids.*003"),
        ("003,0.25", "003,", "nothing for ids 003"),
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


def test_a_competition_that_is_not_on_kaggle_shows_its_own_score(server, tmp_path):
    scores = [{"member": "ensemble", "test_accuracy": [0.8801, 0.0041]}]
    finished_run(tmp_path, "pets", None, ROWS, scores=scores, title="Oxford-IIIT Pet")
    done = ask(server, tmp_path, "submit", "pets")
    assert done.returncode == 0, done.stderr
    assert "Oxford-IIIT Pet is not on Kaggle" in done.stdout
    assert "test accuracy 0.8801 ± 0.0041" in done.stdout
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


@pytest.mark.parametrize(
    ("where", "kind", "details"),
    [
        ("CreateSubmission", "lost answer", {}),
        ("CreateSubmission", "reset", {}),
        ("CreateSubmission", 503, {}),
        ("CreateSubmission", 429, {"retry_after": 1}),
        ("CreateSubmission", "silence", {}),
        ("StartSubmissionUpload", 500, {}),
        ("GetSubmissionLimits", "reset", {}),
        ("PUT", 500, {}),
        ("PUT", 401, {}),
        ("PUT", 503, {}),
        ("PUT", "lost answer", {}),
        ("PUT", "cut", {"after": 100}),
        ("PUT", 404, {}),
        ("CreateSubmission", "corrupt", {"after": 0}),
        ("GetSubmission", 429, {"retry_after": 1}),
        ("GetSubmission", "silence", {}),
    ],
)
def test_whatever_passes_ends_in_exactly_one_submission(server, run, tmp_path, where, kind, details):
    fault = server.fault(where, kind, **details)
    done = ask(server, tmp_path, "submit", "--timeout", 10)
    assert done.returncode == 0, done.stderr
    assert fault.hits == 1
    assert "went on after a fault: " in done.stdout or where == "CreateSubmission"
    assert f"public score {SCORE}" in done.stdout
    assert sent(server) == 1
    assert server.submissions[SLUG][0].content == run.submission.read_bytes()
    assert [entry["status"] for entry in entries(run)] == ["complete"]


@pytest.mark.parametrize(
    ("where", "kind", "says", "status"),
    [
        (
            "CreateSubmission",
            "ref 0",
            "Kaggle made no submission of the file: Could not submit to competition",
            "error",
        ),
        ("CreateSubmission", 500, "nobody knows whether .* Kaggle is in trouble .500", "sending"),
        ("CreateSubmission", "reset", "nobody knows whether .* cannot be reached", "sending"),
        ("StartSubmissionUpload", 500, "Kaggle is in trouble .500", None),
        ("PUT", 500, "the upload failed: HTTP 500", None),
        ("PUT", 401, "the upload failed: HTTP 401", None),
        ("PUT", 404, "the address that Kaggle gave for the upload is gone", None),
        ("PUT", "silence", "the upload failed: silence", None),
        ("PUT", 308, "the upload failed: nothing has arrived", None),
    ],
)
def test_what_lasts_ends_with_a_message_and_without_a_submission(server, run, tmp_path, where, kind, says, status):
    server.fault(where, kind, None)
    done = ask(server, tmp_path, "submit", "--timeout", 2)
    assert done.returncode == 1
    assert re.search(says, message(done)), message(done)
    assert sent(server) == 0
    assert [entry["status"] for entry in run.submissions()] == ([status] if status else [])
    server.heal()
    again = ask(server, tmp_path, "submit")
    assert again.returncode == 0, again.stderr
    assert sent(server) == 1


def test_an_answer_that_stays_lost_is_looked_up_by_the_next_command(server, run, tmp_path):
    server.fault("CreateSubmission", "lost answer", None)
    server.fault("ListSubmissions", 500, None)
    done = ask(server, tmp_path, "submit", "--timeout", 2)
    assert done.returncode == 1
    assert "nobody knows whether the file was submitted" in message(done)
    assert (sent(server), entries(run)[0]["status"]) == (1, "sending")
    server.heal()
    again = ask(server, tmp_path, "submit")
    assert again.returncode == 0, again.stderr
    assert "an earlier try had reached Kaggle" in again.stdout
    assert f"public score {SCORE}" in again.stdout
    assert sent(server) == 1


def test_one_killed_while_kaggle_answers_is_not_sent_again(server, run, tmp_path):
    silent = server.fault("CreateSubmission", "silence", after=0)
    command = [sys.executable, "-m", "kagglekit", "submit"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=server.environment(tmp_path), stdout=subprocess.DEVNULL
    ) as process:
        assert silent.happened.wait(60)
        while not sent(server):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.heal()
    found = ask(server, tmp_path, "submit", "--status")
    assert found.returncode == 0, found.stderr
    again = ask(server, tmp_path, "submit", "--status", "--wait")
    assert f"public score {SCORE}" in again.stdout
    assert sent(server) == 1


def test_a_submission_that_appears_late_is_not_made_twice(server, run, tmp_path):
    """Kaggle may answer that it timed out and make the submission all the same, seconds later."""
    server.fault("CreateSubmission", "lost answer")
    server.fault("ListSubmissions", "hidden", times=2)
    done = ask(server, tmp_path, "submit", "--timeout", 20)
    assert done.returncode == 0, done.stderr
    assert (sent(server), server.count("CreateSubmission")) == (1, 1)


def test_a_file_from_elsewhere_is_on_record_too(server, run, tmp_path):
    (tmp_path / "mine.csv").write_bytes(run.submission.read_bytes())
    server.fault("CreateSubmission", "lost answer", None)
    server.fault("ListSubmissions", 500, None)
    lost = ask(server, tmp_path, "submit", "dog-breed", "mine.csv", "--timeout", 2)
    assert lost.returncode == 1
    assert "give the same command again later: it looks for the submission before it sends" in message(lost)
    server.heal()
    again = ask(server, tmp_path, "submit", "dog-breed", "mine.csv")
    assert f"public score {SCORE}" in again.stdout, again.stderr
    assert sent(server) == 1
    third = ask(server, tmp_path, "submit", "dog-breed", "mine.csv")
    assert third.returncode == 2
    assert "was submitted before" in message(third)


def test_the_days_last_submission_is_found_though_none_is_left(server, run, tmp_path):
    server.play.contests[SLUG].used_today = 4
    server.fault("CreateSubmission", "lost answer", None)
    server.fault("ListSubmissions", 500, None)
    assert ask(server, tmp_path, "submit", "--yes", "--timeout", 2).returncode == 1
    server.heal()
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 0, done.stderr
    assert f"public score {SCORE}" in done.stdout


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


def test_a_broken_run_does_not_keep_the_others_from_being_submitted(server, run, tmp_path):
    broken = run.folder.with_name("20990101-000000-broken")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    done = ask(server, tmp_path, "submit", "--no-wait")
    assert done.returncode == 0, done.stderr


def test_status_finds_a_run_by_the_beginning_of_its_name_and_knows_the_last_scored(server, run, tmp_path):
    assert ask(server, tmp_path, "submit").returncode == 0
    server.fault("CreateSubmission", "ref 0")
    assert ask(server, tmp_path, "submit", "--yes").returncode == 1
    assert [entry["status"] for entry in entries(run)] == ["complete", "error"]
    done = ask(server, tmp_path, "submit", "--status", run.name[:8])
    assert f"public score {SCORE}" in done.stdout, done.stderr
    assert ask(server, tmp_path, "submit", "--status", "²").returncode == 1


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


def test_a_second_upload_of_a_run_is_asked_about(server, run, tmp_path):
    assert ask(server, tmp_path, "submit").returncode == 0
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 2
    assert f"{run.name} was submitted before" in message(done)
    assert sent(server) == 1
    assert ask(server, tmp_path, "submit", "--yes").returncode == 0
    assert (sent(server), len(entries(run))) == (2, 2)


def test_the_last_submission_of_the_day_is_asked_about(server, run, tmp_path):
    server.play.contests[SLUG].used_today = 4
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 2
    assert "this is the last submission of today" in message(done)
    assert sent(server) == 0
    assert ask(server, tmp_path, "submit", "--yes").returncode == 0
    assert sent(server) == 1


def test_an_open_competition_shows_its_deadline_and_no_private_score(server, run, tmp_path):
    server.play.contests[SLUG].deadline = datetime.now(UTC) + timedelta(days=3)
    done = ask(server, tmp_path, "submit")
    assert done.returncode == 0, done.stderr
    assert "over" not in done.stdout
    assert "private" not in done.stdout
    assert entries(run)[0]["private"] is None


def test_ctrl_c_while_waiting_says_how_to_ask_later(server, run, tmp_path):
    server.play.contests[SLUG].polls = 10_000
    command = [sys.executable, "-m", "kagglekit", "submit"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=server.environment(tmp_path),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
        **pipes,
    )
    while not any(request.path.endswith("/GetSubmission") for request in server.requests):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert f"kagglekit submit --status {run.name}" in out
    check_nothing_leaked(tmp_path, out + err)
    assert (sent(server), entries(run)[0]["status"]) == (1, "pending")


def test_the_leaderboard_shows_our_place(server, run, tmp_path):
    server.play.contests[SLUG].teams = [("Ann", 0.1), ("Ben", 0.2), ("Cem, Inc.", 0.4), ("Dee", 0.5)]
    assert ask(server, tmp_path, "submit").returncode == 0
    done = ask(server, tmp_path, "leaderboard", "dog-breed", "--top", 3)
    assert done.returncode == 0, done.stderr
    assert "Dog Breed Identification: 4 teams" in done.stdout
    assert "Cem, Inc." in done.stdout
    assert "Dee" not in done.stdout
    assert f"our best: {SCORE} ({run.name}), place 3 of 4, top 75.0 %" in done.stdout
    again = ask(server, tmp_path, "leaderboard", "dog-breed", "--json", credentials="none")
    assert json.loads(again.stdout)["place"] == 3
    assert server.count("DownloadLeaderboard") == 1
    assert ask(server, tmp_path, "leaderboard", "pets").returncode == 1


def test_a_number_that_kaggle_does_not_know(server, tmp_path):
    done = ask(server, tmp_path, "submit", "--status", "7")
    assert done.returncode == 1
    assert "Kaggle knows no submission 7" in message(done)


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
