"""Exactly one submission, also where Kaggle's response is lost and its lists lag behind: an injected clock."""

from __future__ import annotations

import re
import signal
from datetime import timedelta

import pytest
from kaggle_session import ask, succeed
from submitting import SCORE, SLUG, sent

from kagglekit.kaggle.ledger import new_entry, write_entry


@pytest.mark.parametrize("timeout", [2, 20, 300])
@pytest.mark.parametrize("lag", [5, 40, 55])
def test_a_submission_that_lists_show_late_is_not_made_twice(server, customer, lag, timeout):
    server.play.contests[SLUG].lag = lag
    server.fault("CreateSubmission", "lost response")
    customer.submit(timeout)
    assert (sent(server), server.count("CreateSubmission")) == (1, 1)
    assert customer.states == ["complete"]
    assert lag <= customer.clock.slept <= lag + 10


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("lag", [5, 40, 55])
def test_one_that_was_killed_is_looked_for_as_long_as_a_lost_response(server, customer, tmp_path, lag, number):
    server.play.contests[SLUG].lag = lag
    silent = server.fault("CreateSubmission", "no response", after=0)
    with server.start("submit", cwd=tmp_path) as process:
        assert silent.happened.wait(60)
        while not sent(server):
            assert process.poll() is None
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert ("it may have been submitted; run the same command again" in out) == (number == signal.SIGINT)
    server.heal()
    customer.submit(timeout=2)
    assert (sent(server), server.count("CreateSubmission")) == (1, 1)
    assert customer.states == ["complete"]


def test_a_slow_create_that_was_killed_is_found_by_the_next_command(server, run, tmp_path):
    slow = server.fault("CreateSubmission", "slow", after=4)
    with server.start("submit", cwd=tmp_path) as process:
        assert slow.received.wait(60)
        process.send_signal(signal.SIGKILL)
    assert sent(server) == 0
    done = succeed(server, tmp_path, "submit", "--timeout", 2)
    assert "an earlier attempt had reached Kaggle" in done.stdout
    assert f"public score {SCORE}" in done.stdout
    assert (sent(server), server.count("CreateSubmission")) == (1, 1)


def test_status_looks_for_an_interrupted_submission_as_long(server, run, tmp_path):
    slow = server.fault("CreateSubmission", "slow", after=4)
    with server.start("submit", cwd=tmp_path) as process:
        assert slow.received.wait(60)
        process.send_signal(signal.SIGKILL)
    done = succeed(server, tmp_path, "submit", "--status")
    assert f"public score {SCORE}" in done.stdout


def interrupted(customer, age: timedelta) -> None:
    """Leave the entry of a submission that never reached Kaggle."""
    write_entry(customer.run, new_entry(customer.run.submission, "", "0123456789ab", customer.clock.utc() - age))


@pytest.mark.parametrize(("minutes", "looks"), [(0, 10), (9.9, 10), (10.1, 1), (-60, 10)])
def test_only_a_recent_attempt_is_looked_for_until_the_minute_is_over(server, customer, minutes, looks):
    interrupted(customer, timedelta(minutes=minutes))
    customer.submit()
    assert sent(server) == 1
    assert customer.states == ["error", "complete"]
    assert server.count("ListSubmissions") >= looks
    assert (customer.clock.slept >= 60) == (looks > 1)


@pytest.mark.parametrize("sent_at", ["", "yesterday", "2026-01-01T00:00:00"])
def test_a_damaged_time_in_the_record_is_no_crash(server, customer, sent_at):
    entry = new_entry(customer.run.submission, "", "0123456789ab", customer.clock.utc())
    write_entry(customer.run, {**entry, "sent": sent_at})
    customer.submit()
    assert customer.states == ["error", "complete"]


@pytest.mark.parametrize("timeout", [2, 20])
def test_a_lost_response_is_looked_for_until_the_minute_is_over_also_where_lists_fail(server, customer, timeout):
    server.fault("CreateSubmission", "lost response", None)
    server.fault("ListSubmissions", 500, None)
    customer.fails("cannot tell whether the file was submitted.*\n.*run the same command again later", timeout)
    assert customer.clock.slept >= 60
    assert (sent(server), customer.states) == (1, ["sending"])
    server.heal()
    customer.submit(timeout)
    assert (sent(server), customer.states) == (1, ["complete"])
    assert "an earlier attempt had reached Kaggle" in customer.output.said.getvalue()


def test_lists_that_fail_for_half_a_minute_are_asked_again(server, customer):
    server.fault("CreateSubmission", "lost response")
    failing = server.fault("ListSubmissions", 503, 12)
    customer.submit(timeout=2)
    assert (sent(server), customer.states, failing.hits) == (1, ["complete"], 12)


@pytest.mark.parametrize(
    ("kind", "details"), [("reset", {}), (503, {}), (429, {"retry_after": 1}), ("no response", {}), ("cut", {})]
)
def test_what_never_arrived_is_sent_again_after_the_minute(server, customer, kind, details):
    fault = server.fault("CreateSubmission", kind, **details)
    customer.submit()
    assert fault.hits == 1
    assert customer.clock.slept >= 60
    assert (sent(server), customer.states) == (1, ["complete"])
    assert server.submissions[SLUG][0].content == customer.run.submission.read_bytes()


@pytest.mark.parametrize(
    ("kind", "says"),
    [(500, "cannot tell whether .*Kaggle has a server error .500"), ("reset", "cannot tell whether .*reached")],
)
def test_a_create_that_keeps_failing_ends_with_a_message(server, customer, kind, says):
    server.fault("CreateSubmission", kind, None)
    customer.fails(says, timeout=2)
    assert (sent(server), customer.states) == (0, ["sending"])
    server.heal()
    customer.submit()
    assert (sent(server), customer.states) == (1, ["error", "complete"])


def test_the_time_of_the_last_attempt_is_on_record(server, customer):
    """The record must not say an hour where the last of many attempts was a minute ago."""
    server.fault("CreateSubmission", "reset", None)
    customer.fails("cannot tell whether", timeout=300)
    (entry,) = customer.run.submissions()
    assert entry["sent"] > (customer.clock.started + timedelta(minutes=4)).isoformat(timespec="seconds")


def test_the_help_says_that_the_timeout_does_not_bound_the_scoring(server, tmp_path):
    done = ask(server, tmp_path, "submit", "--help")
    assert re.search(r"--timeout S.*does\s+not limit the scoring", done.stdout, re.S)
