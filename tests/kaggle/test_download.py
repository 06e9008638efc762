"""Files fetched over real sockets: kagglekit.kaggle.download."""

from __future__ import annotations

import base64
import gzip
import io
import re
import shutil
import socket
import time
from hashlib import md5
from pathlib import Path

import pytest
import requests
from fetched_file import Output, fails, get, is_here, note
from file_host import (
    CONTENT,
    HALF,
    MD5,
    SECRET,
    Handler,
    Host,
    chunked,
    facts,
    silence,
    some,
    status,
)
from rich.console import Console

from kagglekit.kaggle.download import Fetched, Source, fetch
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.display.console import Display


def test_a_file_is_fetched_and_its_size_checked(host: Host, file: Path) -> None:
    output = Output()
    assert get(host, file, output=output) == Fetched(len(CONTENT), MD5, "size")
    assert is_here(file)
    assert host.header("Accept-Encoding") == ["identity"]
    assert host.header("Range") == [""]
    assert len(output.lines) == 1
    assert re.fullmatch(r"fetched train\.zip: 1\.0 MB in 0 s \([0-9.]+ [kMG]B/s\)", output.lines[0])


@pytest.mark.parametrize("joined", [True, False])
def test_the_md5_that_the_host_sends_is_checked(host: Host, file: Path, joined: bool) -> None:
    value = base64.b64encode(bytes.fromhex(MD5)).decode()
    hashes = [f"crc32c=n03x6A==,md5={value}"] if joined else ["crc32c=n03x6A==", f"md5={value}"]
    host.headers = [("x-goog-hash", each) for each in hashes]
    assert get(host, file).checked == "md5"
    file.unlink()
    host.content = CONTENT[:-1] + b"!"
    fails(host, file, f"train.zip was corrupted twice: md5 {md5(host.content).hexdigest()} instead of {MD5}")
    assert not list(file.parent.iterdir())


def test_anything_but_an_md5_in_a_header_is_ignored(host: Host, file: Path) -> None:
    host.headers = [("x-goog-hash", "crc32c=abc,md5=short,md5=,what,md5=!!!")]
    assert get(host, file).checked == "size"


def test_the_md5_of_a_stored_compressed_file_is_not_that_of_what_comes(host: Host, file: Path) -> None:
    host.headers = [("x-goog-hash", f"md5={base64.b64encode(bytes(16)).decode()}")]
    host.headers += [("x-goog-stored-content-encoding", "gzip")]
    assert get(host, file).checked == "size"


def test_bytes_are_kept_as_they_are_stored(host: Host, file: Path) -> None:
    host.content = gzip.compress(CONTENT, mtime=0)
    host.headers = [("Content-Encoding", "gzip")]
    assert get(host, file).md5 == md5(host.content).hexdigest()


def test_the_md5_known_beforehand_is_checked(host: Host, file: Path) -> None:
    assert get(host, file, md5=MD5).checked == "md5"
    file.unlink()
    fails(host, file, f"md5 {MD5} instead of {'0' * 32}", md5="0" * 32)
    assert len(host.requests) == 3  # one, then one and one more
    assert not list(file.parent.iterdir())


def test_a_file_damaged_once_is_fetched_once_more_from_the_start(host: Host, file: Path) -> None:
    def damaged(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)], bytes(len(CONTENT)))

    host.script = [damaged]
    output = Output()
    get(host, file, md5=MD5, output=output)
    assert is_here(file)
    assert host.header("Range") == ["", ""]
    assert output.lines[0] == "recovered from an error: damaged file"


def test_a_slow_transfer_is_not_given_up(host: Host, file: Path) -> None:
    """It takes longer than the timeout and is cut; the rest is fetched anyway."""

    def slow(handler: Handler) -> None:
        handler.send(200, [("Content-Length", str(len(CONTENT))), *facts(host)])
        for start in range(0, len(CONTENT) - 70_000, 70_000):
            handler.wfile.write(CONTENT[start : start + 70_000])
            time.sleep(0.05)
        handler.close()

    host.script = [slow]
    started = time.monotonic()
    get(host, file, 0.5)
    assert time.monotonic() - started > 0.5
    assert is_here(file)


def test_a_file_of_unknown_size_is_fetched(host: Host, file: Path) -> None:
    host.script = [chunked(HALF, end=False), chunked(len(CONTENT))]
    output = Output()
    assert get(host, file, output=output).checked == "nothing"
    assert is_here(file)
    assert output.lines[0] == "recovered from an error: transfer cut off"


def test_an_empty_file_is_fetched(host: Host, file: Path) -> None:
    host.content = b""
    assert get(host, file).bytes == 0
    assert file.read_bytes() == b""


def test_redirects_are_followed_also_by_the_rest(host: Host, file: Path) -> None:
    moved = status(302, Location="/elsewhere")
    host.script = [moved, some(HALF, Handler.close), moved]
    get(host, file)
    assert is_here(file)
    assert host.header("Range")[-1] == f"bytes={HALF}-"


def full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - free, free))


def test_too_little_space_is_reported_before_a_byte_is_written(
    host: Host, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, len(CONTENT) - 1000)
    fails(host, file, r"train\.zip needs 1\.0 MB more, but .*/data has only 1\.0 MB free\nfree some disk")
    assert not list(file.parent.iterdir())


def test_only_what_is_missing_needs_room(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(file, CONTENT[:HALF])
    full(monkeypatch, HALF - 1)
    fails(host, file, "needs 502.0 kB more")
    assert file.with_name("train.zip.part").stat().st_size == HALF
    full(monkeypatch, HALF)
    get(host, file)
    assert is_here(file)


def test_a_folder_that_cannot_be_written_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fails(
        host,
        tmp_path / "file" / "data" / "train.zip",
        "cannot write to the folder .* is a file\nchoose a writable folder",
    )
    (tmp_path / "train.zip.part").mkdir()
    fails(host, tmp_path / "train.zip", r"cannot write .*train\.zip\.part: Is a directory")


def test_proxies_come_from_the_environment(host: Host, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", host.url.replace("//", "//user:5ec4e7@"))
    source = Source("train.zip", lambda: f"http://far.invalid/train.zip?{SECRET}")
    fetch(source, file, RetryPolicy(2), Output().display)
    assert is_here(file)
    assert host.requests[0][0].startswith("http://far.invalid/")


def test_trouble_with_a_proxy_says_where_to_look(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:5ec4e7@127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
    error = fails(Host(url="http://far.invalid"), file, r"proxy error \(connection refused\), for 1 s\ncheck HTTPS_")
    assert "5ec4e7" not in str(error)


def test_passwords_of_a_netrc_file_stay_there(
    host: Host, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password 5ec4e7\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.get(host.url, timeout=9).ok
    get(host, file)
    assert [bool(each) for each in host.header("Authorization")] == [True, False]


def test_a_terminal_shows_bytes_rate_and_size(host: Host, file: Path) -> None:
    said = io.StringIO()
    display = Display(Console(file=said, force_terminal=True, width=150))
    host.script = [some(HALF, silence)]  # time to draw
    fetch(Source("train.zip", host.address), file, RetryPolicy(2), display)
    assert "fetching train.zip" in said.getvalue()
    assert "/1.0 MB" in said.getvalue()
    assert re.search("[kMG]B/s", said.getvalue())
