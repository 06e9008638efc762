"""Requests and responses on the wire when errors happen, and after them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from kaggle_contest import zipped
from kaggle_https import SLUG, announced, call, md5_header, signed, submit
from kaggle_server import API, KaggleServer

OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz"


def test_a_cut_download_is_resumed(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, tmp_path: Path
) -> None:
    whole = zipped(tmp_path / "real")
    server.fault("GET storage.googleapis.com", "cut", after=1000)
    address = signed(session)
    with session.get(address, stream=True, timeout=10) as answer:
        begin = answer.raw.read(1000)
        assert answer.headers["Content-Length"] == str(len(whole))
        assert answer.headers["x-goog-hash"].endswith(md5_header(whole))
        with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
            answer.raw.read(1)
    asked = {"Range": "bytes=1000-", "If-Range": answer.headers["ETag"]}
    rest = session.get(address, headers=asked, timeout=10)
    assert (rest.status_code, rest.headers["Content-Range"]) == (206, f"bytes 1000-{len(whole) - 1}/{len(whole)}")
    assert begin + rest.content == whole
    changed = session.get(address, headers={**asked, "If-Range": '"another"'}, timeout=10)
    assert (changed.status_code, changed.content) == (200, whole)
    beyond = session.get(address, headers={"Range": f"bytes={len(whole)}-"}, timeout=10)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    server.fault("GET", "no range")
    assert session.get(address, headers=asked, timeout=10).status_code == 200


def test_a_signed_address_expires_also_in_the_middle(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    address = signed(session)
    server.fault("GET storage", "expired", after=10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(address, timeout=10)
    answer = session.get(address, timeout=10)
    assert (answer.status_code, "<Code>ExpiredToken</Code>" in answer.text) == (400, True)
    assert session.get(signed(session), timeout=10).status_code == 200
    assert session.get(address.partition("?")[0], timeout=10).status_code == 403


@pytest.mark.parametrize("kind", ["short", "corrupt", "wrong md5", "no md5"])
def test_bytes_and_hashes_can_be_wrong(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, tmp_path: Path, kind: str
) -> None:
    whole = zipped(tmp_path / "real")
    server.fault("GET storage", kind)
    bad, good = (session.get(signed(session), timeout=10) for _ in range(2))
    assert bad.headers["Content-Length"] == str(len(bad.content))
    right = md5_header(whole)
    assert {
        "short": bad.content == whole[:-1],
        "corrupt": len(bad.content) == len(whole) and bad.content != whole,
        "wrong md5": "md5=" in bad.headers["x-goog-hash"] and right not in bad.headers["x-goog-hash"],
        "no md5": bad.headers["x-goog-hash"].startswith("crc32c=") and "md5" not in bad.headers["x-goog-hash"],
    }[kind]
    assert (good.content, right in good.headers["x-goog-hash"]) == (whole, True)


def test_a_broken_upload_is_resumed_after_a_query(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    content = b"0123456789" * 1000
    token, address = announced(session, len(content))
    question = {"Content-Range": f"bytes */{len(content)}"}
    assert "Range" not in session.put(address, headers=question, timeout=10).headers
    server.fault("PUT", "reset", after=4000)
    with pytest.raises(requests.ConnectionError):
        session.put(address, data=content, timeout=10)
    early = call(session, "CreateSubmission", competitionName=SLUG, blobFileTokens=token)
    assert (early.status_code, server.submissions[SLUG]) == (400, [])
    response = session.put(address, headers=question, timeout=10)
    assert (response.status_code, response.headers["Range"]) == (308, "bytes=0-3999")
    rest = {"Content-Range": f"bytes 4000-{len(content) - 1}/{len(content)}"}
    server.fault("PUT", 503)
    assert session.put(address, data=content[4000:], headers=rest, timeout=10).status_code == 503
    assert session.put(address, headers=question, timeout=10).status_code == 308
    server.fault("PUT", "lost response")
    with pytest.raises(requests.ConnectionError):
        session.put(address, data=content[4000:], headers=rest, timeout=10)
    assert session.put(address, headers=question, timeout=10).status_code == 200
    call(session, "CreateSubmission", competitionName=SLUG, blobFileTokens=token)
    assert [made.content for made in server.submissions[SLUG]] == [content]
    assert session.put(address.replace(token, "nothing"), data=b"x", timeout=10).status_code == 404


def test_a_lost_response_leaves_a_submission_and_ref_0_does_not(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    server.fault("CreateSubmission", "ref 0")
    assert "ref" not in submit(session, b"x").json()
    assert server.submissions[SLUG] == []
    server.fault("CreateSubmission", "reset")
    with pytest.raises(requests.ConnectionError):
        submit(session, b"x")
    assert server.submissions[SLUG] == []
    server.fault("CreateSubmission", "lost response")
    with pytest.raises(requests.ConnectionError):
        submit(session, b"x", "lost")
    assert [made.description for made in server.submissions[SLUG]] == ["lost"]


def test_faults_end_after_their_times_and_say_when_to_retry(
    server: KaggleServer, solution: dict[str, str], session: requests.Session
) -> None:
    fault = server.fault("GetCompetition", 429, times=2, skip=1, retry_after=7, message="Too many requests")
    answers = [call(session, "GetCompetition", competitionName=SLUG) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json() == {"code": 429, "message": "Too many requests"}
    server.fault("GetCompetition", 502, times=None, form="html")
    assert "<html>" in [call(session, "GetCompetition", competitionName=SLUG) for _ in range(3)][2].text
    server.heal()
    assert call(session, "GetCompetition", competitionName=SLUG).status_code == 200
    assert (fault.hits, server.count("GetCompetition")) == (2, 8)
    with pytest.raises(ValueError, match="no such fault: explode"):
        server.fault("GetCompetition", "explode")


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"status": 502}, "502 Bad Gateway"),
        ({}, "Remote end closed connection"),
        ({"status": 407}, "407 Proxy Authentication"),
    ],
)
def test_the_proxy_itself_can_refuse(
    server: KaggleServer, solution: dict[str, str], session: requests.Session, details: dict[str, Any], words: str
) -> None:
    server.fault(API, "refuse", **details)
    with pytest.raises(requests.ConnectionError, match=words):  # a ProxyError, where it answered
        call(session, "GetCompetition", competitionName=SLUG)
    assert call(session, "GetCompetition", competitionName=SLUG).status_code == 200


@pytest.mark.parametrize("where", ["GetCompetition", f"CONNECT {API}"])
def test_an_unanswered_request_ends_when_the_client_leaves_and_when_the_server_does(
    server: KaggleServer, session: requests.Session, where: str
) -> None:
    server.fault(where, "no response")
    with pytest.raises((requests.Timeout, requests.ConnectionError), match="timed out"):
        session.post(f"https://{API}/v1/GetCompetition", json={}, timeout=0.2)
    lasting = server.fault(where, "no response")

    def wait() -> None:
        with pytest.raises(requests.ConnectionError):
            session.post(f"https://{API}/v1/GetCompetition", json={}, timeout=60)
        ended.set()

    ended = threading.Event()
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert lasting.happened.wait(10)
    server.close()
    waiting.join()
    assert ended.is_set()


def test_open_files_need_no_account_and_have_ranges(server: KaggleServer, session: requests.Session) -> None:
    server.add_file(OXFORD, b"0123456789")
    del session.headers["Authorization"]
    whole = session.get(OXFORD, timeout=10)
    assert (whole.content, "x-goog-hash" in whole.headers) == (b"0123456789", False)
    rest = session.get(OXFORD, headers={"Range": "bytes=7-", "If-Range": whole.headers["ETag"]}, timeout=10)
    assert (rest.status_code, rest.content) == (206, b"789")
    assert session.get(f"{OXFORD}.md5", timeout=10).status_code == 404
    assert session.head(OXFORD, timeout=10).headers["Content-Length"] == "10"
