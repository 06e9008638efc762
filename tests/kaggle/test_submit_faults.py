"""`kagglekit submit` while the network, Kaggle or its user fails: one submission, or a message."""

from __future__ import annotations

import signal

import pytest
from kaggle_session import ask, check_nothing_leaked, entries, fail, succeed
from submitting import SCORE, SLUG, sent


@pytest.mark.parametrize(
    ("where", "kind", "details"),
    [
        ("CreateSubmission", "lost response", {}),
        ("StartSubmissionUpload", 500, {}),
        ("GetSubmissionLimits", "reset", {}),
        ("PUT", 500, {}),
        ("PUT", 401, {}),
        ("PUT", 503, {}),
        ("PUT", "lost response", {}),
        ("PUT", "cut", {"after": 100}),
        ("PUT", 404, {}),
        ("CreateSubmission", "corrupt", {"after": 0}),
        ("GetSubmission", 429, {"retry_after": 1}),
        ("GetSubmission", "no response", {}),
    ],
)
def test_a_temporary_error_ends_in_exactly_one_submission(server, run, tmp_path, where, kind, details):
    fault = server.fault(where, kind, **details)
    done = succeed(server, tmp_path, "submit", "--timeout", 10)
    assert fault.hits == 1
    assert "recovered from an error: " in done.stdout
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
            "Kaggle created no submission: Could not submit to competition",
            "error",
        ),
        ("StartSubmissionUpload", 500, "Kaggle has a server error .500", None),
        ("PUT", 500, "the upload failed: HTTP 500", None),
        ("PUT", 401, "the upload failed: HTTP 401", None),
        ("PUT", 404, "the upload address that Kaggle gave has expired", None),
        ("PUT", "no response", "the upload failed: no response", None),
        ("PUT", 308, "the upload failed: the host received nothing", None),
    ],
)
def test_a_lasting_error_ends_with_a_message_and_without_a_submission(server, run, tmp_path, where, kind, says, status):
    server.fault(where, kind, None)
    fail(server, tmp_path, "submit", "--timeout", 2, says=says)
    assert sent(server) == 0
    assert [entry["status"] for entry in run.submissions()] == ([status] if status else [])
    server.heal()
    succeed(server, tmp_path, "submit")
    assert sent(server) == 1


def test_one_killed_while_kaggle_responds_is_not_sent_again(server, run, tmp_path):
    silent = server.fault("CreateSubmission", "no response", after=0)
    with server.start("submit", cwd=tmp_path) as process:
        assert silent.happened.wait(60)
        while not sent(server):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.heal()
    succeed(server, tmp_path, "submit", "--status")
    again = ask(server, tmp_path, "submit", "--status", "--wait")
    assert f"public score {SCORE}" in again.stdout
    assert sent(server) == 1


def test_a_submission_that_appears_late_is_not_made_twice(server, run, tmp_path):
    """Kaggle may answer that it timed out and make the submission all the same, seconds later."""
    server.fault("CreateSubmission", "lost response")
    server.fault("ListSubmissions", "hidden", times=2)
    succeed(server, tmp_path, "submit", "--timeout", 20)
    assert (sent(server), server.count("CreateSubmission")) == (1, 1)


def test_a_file_from_elsewhere_is_on_record_too(server, run, tmp_path):
    (tmp_path / "mine.csv").write_bytes(run.submission.read_bytes())
    server.fault("CreateSubmission", "lost response", None)
    server.fault("ListSubmissions", 403, None)
    error = fail(server, tmp_path, "submit", "dog-breed", "mine.csv", "--timeout", 2)
    assert "run the same command again later: it checks before sending" in error
    server.heal()
    again = ask(server, tmp_path, "submit", "dog-breed", "mine.csv")
    assert f"public score {SCORE}" in again.stdout, again.stderr
    assert sent(server) == 1
    error = fail(server, tmp_path, "submit", "dog-breed", "mine.csv", code=2)
    assert "was submitted before" in error


def test_the_days_last_submission_is_found_though_none_is_left(server, run, tmp_path):
    server.play.contests[SLUG].used_today = 4
    server.fault("CreateSubmission", "lost response", None)
    server.fault("ListSubmissions", 403, None)
    fail(server, tmp_path, "submit", "--yes", "--timeout", 2)
    server.heal()
    done = succeed(server, tmp_path, "submit")
    assert f"public score {SCORE}" in done.stdout


def test_ctrl_c_while_waiting_says_how_to_ask_later(server, run, tmp_path):
    server.play.contests[SLUG].polls = 10_000
    process = server.start("submit", cwd=tmp_path)
    while not any(request.path.endswith("/GetSubmission") for request in server.requests):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert f"kagglekit submit --status {run.name}" in out
    check_nothing_leaked(tmp_path, out + err)
    assert (sent(server), entries(run)[0]["status"]) == (1, "pending")
