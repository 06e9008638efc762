"""The server that plays Kaggle, used by the real client in processes of its own."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
import zipfile
from pathlib import Path

import pytest
import requests
from kaggle_https import SLUG, TEAMS, call
from kaggle_play import USER
from kaggle_server import API, KaggleServer

CLIENT = """
import json, kaggle
from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest, ApiGetSubmissionRequest
api, slug, said = kaggle.api, "dog-breed-identification", {}
said["user"] = api.get_config_value("username")
first = api.competition_list_files(slug, page_size=30)
rest = api.competition_list_files(slug, page_size=30, page_token=first.next_page_token)
said["files"] = [file.name for page in (first, rest) for file in page.files]
api.competition_download_files(slug, path="data", quiet=True)
api.competition_download_file(slug, "train/00000000.jpg", path="data", quiet=True)
made = api.competition_submit("given.csv", "my message", slug, quiet=True)
said["made"] = [made.ref, made.message]
with api.build_kaggle_client() as client:
    calls = client.competitions.competition_api_client
    ask = ApiGetCompetitionRequest()
    ask.competition_name = slug
    facts = calls.get_competition(ask)
    said["facts"] = [facts.title, facts.deadline.isoformat(), facts.user_has_entered, facts.max_daily_submissions]
    ask = ApiGetSubmissionRequest()
    ask.ref = made.ref
    said["states"] = [calls.get_submission(ask).status.name for _ in range(3)]
(sent,) = api.competition_submissions(slug)
said["sent"] = [sent.ref, sent.file_name, sent.description, sent.status.name, sent.public_score, sent.private_score]
limits = api.competition_get_submission_limits(slug)
said["limits"] = [limits.num_today, limits.num_allowed_now]
said["teams"] = [[team.team_name, team.score] for team in api.competition_leaderboard_view(slug)]
api.competition_leaderboard_download(slug, "board")
print(json.dumps(said))
"""
REFUSALS = """
import json, kaggle, requests
def words(call, *arguments):
    try:
        call(*arguments)
    except requests.HTTPError as error:
        return [error.response.status_code, str(error)]
api = kaggle.api
print(json.dumps([
    words(api.competition_list_files, "dog-breed"),
    words(api.competition_download_files, "dog-breed-identification"),
    words(api.competition_submit, "given.csv", "", "dog-breed-identification"),
]))
"""
ELSEWHERE = """
import requests
for address in ("https://example.com/", "http://example.com/", "http://localhost:1/"):
    try:
        print(requests.get(address).status_code)
    except requests.exceptions.ProxyError as error:
        print("403 Forbidden" in str(error))
"""


@pytest.mark.parametrize("credentials", ["key", "token"])
def test_the_real_client_does_all_it_can_here(
    server: KaggleServer, solution: dict[str, str], tmp_path: Path, credentials: str
) -> None:
    done = server.run("-c", CLIENT, cwd=tmp_path, credentials=credentials)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    archive = (tmp_path / "data" / f"{SLUG}.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        assert content.testzip() is None
        assert said.pop("files") == content.namelist()
    real = (tmp_path / "real" / "train" / "00000000.jpg").read_bytes()
    (fetched,) = (tmp_path / "data").rglob("00000000.jpg")  # from 2.2.5 on the client keeps the folder of its name
    assert fetched.read_bytes() == real
    (made,) = server.submissions[SLUG]
    assert made.content == (tmp_path / "given.csv").read_bytes()
    assert said == {
        "user": USER,
        "made": [made.ref, "Successfully submitted to Dog Breed"],
        "facts": ["Dog Breed", "2018-02-27T23:59:00", True, 5],
        "states": ["PENDING", "PENDING", "COMPLETE"],
        "sent": [made.ref, "given.csv", "my message", "COMPLETE", "1.38629", "1.38629"],  # log(4)
        "limits": [1, 4],
        "teams": [[name, f"{score:.5f}"] for name, score in TEAMS],
    }
    with zipfile.ZipFile(tmp_path / "board" / f"{SLUG}.zip") as board:
        rows = list(csv.DictReader(io.StringIO(board.read(board.namelist()[0]).decode("utf-8-sig"))))
    assert [(row["Rank"], row["TeamName"], float(row["Score"])) for row in rows] == [
        (str(rank), *team) for rank, team in enumerate(TEAMS, start=1)
    ]
    assert server.count("IntrospectToken") == (credentials == "token")
    assert {request.login for request in server.requests if request.host != API} == {""}
    assert server.refused == []


def test_the_real_command_submits_with_a_login_that_has_to_be_renewed(
    server: KaggleServer, solution: dict[str, str], tmp_path: Path
) -> None:
    arguments = ("competitions", "submit", SLUG, "-f", "given.csv", "-m", "hello")
    sent = server.kaggle(*arguments, cwd=tmp_path, credentials="oauth to renew")
    assert sent.returncode == 0, sent.stderr
    assert "Successfully submitted to Dog Breed" in sent.stdout
    assert "4 submissions remaining today." in sent.stdout
    assert [made.description for made in server.submissions[SLUG]] == ["hello"]
    assert server.count("GenerateAccessToken") == 1


def test_a_stale_token_wins_over_a_good_key_and_is_refused(
    server: KaggleServer, solution: dict[str, str], tmp_path: Path
) -> None:
    done = server.kaggle("competitions", "files", SLUG, cwd=tmp_path, credentials="stale token over key")
    assert done.returncode == 1
    assert "Authentication required" in done.stdout
    asked = [(str(request).rpartition("/")[2], request.login) for request in server.requests]
    assert asked == [("IntrospectToken", "Bearer"), ("ListDataFiles", "Bearer")]


def test_the_real_client_gets_the_reason_of_a_refusal(
    server: KaggleServer, solution: dict[str, str], tmp_path: Path
) -> None:
    server.play.contests[SLUG].entered = False
    done = server.run("-c", REFUSALS, cwd=tmp_path, credentials="key variables")
    assert json.loads(done.stdout) == [
        [403, "Permission 'competitions.get' was denied"],
        [403, "You must accept this competition's rules before you'll be able to download files."],
        [403, "You must accept this competition's rules before you'll be able to make submissions."],
    ]
    assert server.submissions[SLUG] == []


def test_every_other_host_is_refused_and_listed(server: KaggleServer, tmp_path: Path) -> None:
    done = server.run("-c", ELSEWHERE, cwd=tmp_path)
    assert done.stdout.split() == ["True", "403", "403"]
    assert server.refused == ["example.com", "http: http://example.com/", "http: http://localhost:1/"]
    assert server.requests == []


def test_the_environment_leaves_nothing_of_the_developers_own(
    server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KAGGLE_KEY", "KAGGLEKIT_DATA", "all_proxy", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, "theirs")
    server.environment(tmp_path, "token")
    environment = server.environment(tmp_path, "key", COLUMNS="80")
    assert "theirs" not in environment.values()
    assert environment["COLUMNS"] == "80"
    assert environment["HTTPS_PROXY"] == environment["http_proxy"] == server.address
    assert sorted(file.name for file in (tmp_path / ".kaggle").iterdir()) == ["authority.pem", "kaggle.json"]


def test_it_starts_and_ends_quickly_and_leaves_no_thread(tmp_path: Path) -> None:
    before, began = threading.active_count(), time.monotonic()
    with KaggleServer() as server:
        server.environment(tmp_path)
        started = time.monotonic() - began
    assert (threading.active_count(), started < 0.5) == (before, True)


def test_a_bug_of_the_server_fails_the_test(server: KaggleServer, session: requests.Session) -> None:
    server.add_competition(SLUG, deadline="no date")
    with pytest.raises(requests.ConnectionError):
        call(session, "GetCompetition", competitionName=SLUG)
    with pytest.raises(ExceptionGroup, match="the server that plays Kaggle failed"):
        server.close()
