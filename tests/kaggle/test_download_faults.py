"""`kagglekit download` while the network, Kaggle, the disk or its process fails."""

from __future__ import annotations

import re
import signal

import pytest
from downloading import SLUG, dog_breed, is_complete
from kaggle_session import fail, message, succeed

STORAGE = "GET storage.googleapis.com"

pytestmark = pytest.mark.usefixtures("download_server")


@pytest.mark.parametrize(
    ("where", "kind", "details", "reported"),
    [
        ("DownloadDataFiles", 429, {"retry_after": 1}, "HTTP 429"),
        ("DownloadDataFiles", "no response", {}, "no response"),
        ("CONNECT api.kaggle.com", "refuse", {"times": 2, "status": 502}, "proxy error"),
        (STORAGE, 503, {}, "HTTP 503"),
        (STORAGE, "reset", {"after": 5000}, "connection reset|recovered from .*cut"),
        (STORAGE, "cut", {"after": 5000}, "transfer cut off"),
        (STORAGE, "no response", {"after": 5000}, "no response"),
        (STORAGE, "expired", {"after": 5000}, "transfer cut off"),
        (STORAGE, "corrupt", {"after": 5000}, "damaged file"),
    ],
)
def test_a_temporary_error_is_reported_in_one_line(server, tmp_path, where, kind, details, reported):
    server.fault(where, kind, **details)
    done = succeed(server, tmp_path, "download", "dog-breed", "--timeout", 10)
    assert re.search(rf"recovered from .*{reported}", done.stdout), done.stdout
    assert is_complete(tmp_path)


@pytest.mark.parametrize(
    ("where", "kind", "details", "says", "keeps"),
    [
        ("DownloadDataFiles", 429, {"retry_after": 3600}, "limits the number of calls .429.*try again after", 0),
        ("DownloadDataFiles", 500, {}, "Kaggle has a server error .500", 0),
        ("CONNECT api.kaggle.com", "refuse", {}, "cannot be reached.*HTTPS_PROXY", 0),
        ("DownloadDataFiles", "no response", {}, "did not respond in time", 0),
        ("DownloadDataFiles", "reset", {}, "cannot be reached", 0),
        (STORAGE, 503, {"retry_after": 600}, "HTTP 503.*retry in 10 min", 0),
        (STORAGE, "reset", {}, "cannot fetch .*connection", 0),
        (STORAGE, "no response", {"skip": 1}, "no response", 5000),
        (STORAGE, "short", {}, "was corrupted twice", 0),
        (STORAGE, "corrupt", {}, "was corrupted twice: md5", 0),
        (STORAGE, "wrong md5", {}, "was corrupted twice: md5", 0),
    ],
)
def test_a_lasting_error_ends_with_a_message_and_keeps_what_has_arrived(
    server, tmp_path, where, kind, details, says, keeps
):
    if keeps:
        server.fault(STORAGE, "cut", after=keeps)
        details = {}
    server.fault(where, kind, None, **details)
    fail(server, tmp_path, "download", "dog-breed", "--timeout", 2, says=says)
    assert not (tmp_path / "data" / "dog-breed").exists()
    part = tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part"
    assert (part.stat().st_size if part.exists() else 0) == keeps
    server.heal()
    succeed(server, tmp_path, "download", "dog-breed")
    assert is_complete(tmp_path)
    assert any(f"bytes={keeps}-" == request.headers.get("Range") for request in server.requests) is bool(keeps)


def last_fetched(server):
    """The part of the file that was asked for last; what Kaggle states of the competition is asked for after it."""
    return next(each for each in reversed(server.requests) if str(each).startswith(STORAGE)).headers["Range"]


def test_a_killed_download_is_resumed(server, tmp_path):
    silent = server.fault(STORAGE, "no response", after=30_000)
    with server.start("download", "dog-breed", cwd=tmp_path) as process:
        assert silent.happened.wait(60)
        part = tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part"
        while not part.exists() or part.stat().st_size < 30_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.heal()
    succeed(server, tmp_path, "download", "dog-breed")
    assert is_complete(tmp_path)
    assert last_fetched(server) == "bytes=30000-"


def test_one_killed_while_it_unpacks_fetches_nothing_again(server, tmp_path):
    workshop = tmp_path / "data" / ".dog-breed.download"
    (workshop / "unpacked" / "train").mkdir(parents=True)
    (workshop / "unpacked" / "train" / "half.jpg").write_bytes(b"half an image")
    (workshop / f"{SLUG}.zip").write_bytes(dog_breed())  # it gets this name when it is whole
    succeed(server, tmp_path, "download", "dog-breed", credentials="none")
    assert is_complete(tmp_path)
    assert not server.requests


def test_of_two_processes_at_once_one_waits_for_the_other(server, tmp_path):
    slow = server.fault(STORAGE, "no response", after=30_000)
    first = server.start("download", "dog-breed", "--timeout", 30, cwd=tmp_path)
    assert slow.happened.wait(60)
    second = server.start("download", "dog-breed", "--timeout", 30, cwd=tmp_path)
    heard = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], heard
    assert "another process is downloading" in heard[1][0]
    assert server.count("DownloadDataFiles") == 1
    assert is_complete(tmp_path)


def test_a_full_disk_keeps_what_has_arrived(server, tmp_path):
    limited = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "sys.argv = ['kagglekit', 'download', 'dog-breed']\n"
        "runpy.run_module('kagglekit', run_name='__main__')\n"
    )
    done = server.run("-c", limited, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot write" in message(done)
    assert (tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part").stat().st_size == 40_000
    succeed(server, tmp_path, "download", "dog-breed")
    assert is_complete(tmp_path)
    assert last_fetched(server) == "bytes=40000-"
