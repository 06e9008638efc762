"""What the server that plays Kaggle says and refuses."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from kaggle_https import SLUG, announced, call, submit
from kaggle_play import KEY, USER
from kaggle_server import KaggleServer
from layouts import write_dogs_vs_cats


@pytest.mark.parametrize("login", ["", f"Basic {base64.b64encode(f'{USER}:wrong'.encode()).decode()}", "Bearer wrong"])
def test_nobody_gets_in_without_the_right_credentials(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, login: str
) -> None:
    session.headers["Authorization"] = login
    assert call(session, "GetCompetition", competitionName=SLUG).status_code == 401
    good = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
    session.headers["Authorization"] = f"Basic {good}"
    assert call(session, "GetCompetition", competitionName=SLUG).status_code == 200


def test_refusals_come_in_the_form_asked_for(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    server.play.contests[SLUG].verified = False
    received = {}
    for form in ("message", "error", "bare"):
        server.play.form = form
        received[form] = call(session, "DownloadDataFiles", competitionName=SLUG).json()
    assert "phone" in received["message"]["message"]
    assert received["error"]["error"] == {**received["message"], "status": "PERMISSION_DENIED"}
    assert received["bare"] == {"code": 403, "message": "Forbidden"}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"disabled": True}, "disabled"),
        ({"code_only": True}, "Notebooks"),
        ({"late": False}, "deadline"),
        ({"used_today": 5}, "daily submission allowance (5)"),
    ],
)
def test_what_takes_no_submission_says_so(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, facts: dict[str, Any], words: str
) -> None:
    token, address = announced(session, 1)
    session.put(address, data=b"x", timeout=10)
    for name, value in facts.items():
        setattr(server.play.contests[SLUG], name, value)
    answer = call(session, "CreateSubmission", competitionName=SLUG, blobFileTokens=token)
    assert (answer.status_code, words in answer.json()["message"]) == (400, True)
    assert server.submissions[SLUG] == []


def test_scores_are_the_metrics_and_private_ones_wait_for_the_deadline(
    server: KaggleServer, session: requests.Session, tmp_path: Path
) -> None:
    solution = write_dogs_vs_cats(tmp_path / "real")
    contest = server.add_competition(SLUG, tmp_path / "real", solution, positive="dog", polls=0)
    rows = [f"{image},{0.8 if label == 'dog' else 0.4}" for image, label in reversed(solution.items())]
    ref = submit(session, "\n".join(["id,label", *rows]).encode()).json()["ref"]
    received = call(session, "GetSubmission", ref=ref).json()
    assert received["publicScore"] == received["privateScore"] == "0.36698"  # -(log 0.8 + log 0.6) / 2
    contest.deadline = datetime(2099, 1, 1, tzinfo=UTC)
    assert call(session, "GetSubmission", ref=ref).json()["privateScore"] == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "ERROR: Required column 'id' could not be found"),
        (lambda text: text.replace("beagle", "beagel"), "ERROR: Required column 'beagle' could not be found"),
        (lambda text: text[: text.rindex("\n", 0, -1)], "Evaluation Exception: Submission must have 10 rows"),
        (lambda text: text.replace("\n00000020,", "\nnobody,"), "ERROR: Unable to find required key value '00000020'"),
        (lambda text: text.replace("\n00000020,", "\n00000021,"), "ERROR: The value '00000021' in the key column"),
        (lambda text: text.replace("0.25", "nan", 1), "ERROR: Could not parse 'nan' into expected type of Double"),
        (lambda text: text.replace("0.25,", "", 1), "ERROR: Record 1 had 4 columns but expected 5"),
    ],
)
def test_a_malformed_file_becomes_an_error_with_its_reason(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, tmp_path: Path, change: Any, words: str
) -> None:
    server.play.contests[SLUG].polls = 0
    ref = submit(session, change((tmp_path / "given.csv").read_text()).encode()).json()["ref"]
    received = call(session, "GetSubmission", ref=ref).json()
    assert (received["status"], received["publicScore"]) == ("ERROR", "")
    assert received["errorDescription"].startswith(words)


def test_lists_have_pages_and_the_newest_submission_comes_first(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    refs = [submit(session, b"x", str(number)).json()["ref"] for number in range(3)]
    first = call(session, "ListSubmissions", competitionName=SLUG, pageSize=2).json()
    rest = call(session, "ListSubmissions", competitionName=SLUG, pageSize=2, pageToken=first["nextPageToken"]).json()
    assert [each["ref"] for each in first["submissions"] + rest["submissions"]] == refs[::-1]
    assert rest["nextPageToken"] == ""
