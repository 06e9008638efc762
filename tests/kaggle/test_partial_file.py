"""The received bytes of a file, and resuming from them: kagglekit.kaggle.download and partial_file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import forks
import pytest
from fetched_file import Output, fails, get, is_here, note
from file_host import (
    CONTENT,
    HALF,
    MD5,
    Action,
    Handler,
    Host,
    all_of_it,
    facts,
    rest,
    silence,
    some,
)

from kagglekit.kaggle.download import Fetched


def changed(how: Action | None = None) -> Action:
    """Cut the file in the middle, and replace it by another at the host."""

    def action(handler: Handler) -> None:
        handler.host.content, new = bytes(len(CONTENT)), handler.host.content
        some(HALF, Handler.close)(handler)
        handler.host.content, handler.host.etag = new, '"two"'
        handler.host.modified = "Tue, 24 Nov 2015 11:00:00 GMT"
        if how:
            handler.host.script.insert(0, how)

    return action


def test_a_file_that_changes_meanwhile_is_started_again(host: Host, file: Path) -> None:
    host.script = [changed()]
    get(host, file)
    assert is_here(file)
    assert host.header("If-Range") == ["", '"one"']


def test_a_host_that_ignores_if_range_is_detected(host: Host, file: Path) -> None:
    host.script = [changed(lambda handler: rest(handler, HALF))]
    output = Output()
    get(host, file, output=output)
    assert is_here(file)
    assert output.lines[0] == "recovered from 2 errors: transfer cut off, file changed on the host"


def test_a_host_without_ranges_sends_all_again(host: Host, file: Path) -> None:
    host.script = [some(HALF, Handler.close), all_of_it]
    get(host, file)
    assert is_here(file)
    assert len(host.requests) == 2


def test_a_host_without_ranges_that_always_cuts_is_given_up_after_five_starts(host: Host, file: Path) -> None:
    host.etag = host.modified = ""
    host.script = [some(HALF, Handler.close)] * 99
    fails(host, file, "transfer cut off\ntry again later", seconds=30)
    assert len(host.requests) == 5
    assert set(host.header("Range")) == {""}


END = len(CONTENT) - 1
WRONG_PARTS: dict[str, Action] = {
    "begins before": lambda handler: rest(handler, HALF - 1),
    "begins after": lambda handler: rest(handler, HALF + 1),
    "ends before": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END - 1}/{END + 1}"),
    "other size": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END + 1}/{END + 2}"),
    "longer than announced": lambda handler: rest(handler, HALF, f"bytes {HALF}-{END + 1}/*"),
    "nonsense": lambda handler: rest(handler, HALF, "octets 1-2"),
    "without a range": lambda handler: handler.send(206, [("Content-Length", "9")], bytes(9)),
}


@pytest.mark.parametrize("answer", WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_another_part_than_asked_for_is_not_taken(host: Host, file: Path, answer: Action) -> None:
    host.script = [some(HALF, Handler.close), answer]
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", f"bytes={HALF}-", ""]


def test_parts_without_a_byte_end_with_a_message(host: Host, file: Path) -> None:
    def empty(handler: Handler) -> None:
        handler.send(206, [("Content-Range", f"bytes {HALF}-{END}/{END + 1}"), ("Connection", "close"), *facts(host)])
        handler.close()

    host.script = [some(HALF, Handler.close), *[empty] * 999]
    fails(host, file, "transfer cut off, for 1 s\n502.0 kB")
    assert len(host.requests) < 30


def test_a_file_that_is_cut_down_to_what_has_arrived_is_started_again(host: Host, file: Path) -> None:
    note(file, CONTENT[:HALF])
    host.content = bytes(HALF)
    get(host, file)
    assert file.read_bytes() == bytes(HALF)


def test_more_than_there_should_be_is_refused(host: Host, file: Path) -> None:
    def endless(handler: Handler) -> None:
        where = f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.send(206, [("Transfer-Encoding", "chunked"), ("Content-Range", where), *facts(host)])
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (HALF + 99, bytes(HALF + 99)))

    host.script = [some(HALF, Handler.close), endless] * 2
    fails(host, file, "train.zip was corrupted twice: 1,004,099 bytes instead of 1,004,000")
    assert not list(file.parent.iterdir())


def test_a_weak_tag_does_not_count_but_the_date_does(host: Host, file: Path) -> None:
    host.etag = 'W/"one"'
    host.script = [some(HALF, Handler.close)]
    get(host, file)
    assert is_here(file)
    assert host.header("If-Range") == ["", host.modified]


def test_without_tag_and_date_a_file_is_started_again(host: Host, file: Path) -> None:
    host.etag = host.modified = ""
    host.script = [some(HALF, Handler.close)]
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", ""]


LEFT: dict[str, tuple[bytes, dict[str, Any], str]] = {  # what a killed process left, and what is asked for then
    "half": (CONTENT[:HALF], {}, f"bytes={HALF}-"),
    "all but a byte": (CONTENT[:-1], {}, f"bytes={len(CONTENT) - 1}-"),
    "nothing yet": (b"", {}, ""),
    "more than all": (CONTENT + b"!", {}, ""),
    "of another file": (bytes(HALF), {"etag": '"other"'}, f"bytes={HALF}-"),
    "by date": (CONTENT[:HALF], {"etag": "", "modified": "Tue, 24 Nov 2015 10:00:00 GMT"}, f"bytes={HALF}-"),
    "unknown whose": (bytes(HALF), {"etag": ""}, ""),
    "all of it, unknown whose": (bytes(len(CONTENT)), {"etag": ""}, ""),
    "all of unknown size": (CONTENT, {"total": None}, f"bytes={len(CONTENT)}-"),
    "beyond the end": (bytes(len(CONTENT) + 5), {"total": None}, f"bytes={len(CONTENT) + 5}-"),
    "by another version": (bytes(HALF), {"sha256": "0"}, ""),
}


@pytest.mark.parametrize(("content", "facts", "asked"), LEFT.values(), ids=LEFT)
def test_the_file_is_right_whatever_a_killed_process_left(
    host: Host, file: Path, content: bytes, facts: dict[str, Any], asked: str
) -> None:
    note(file, content, **facts)
    get(host, file)
    assert is_here(file)
    assert host.header("Range")[0] == asked


@pytest.mark.parametrize("text", [None, "", "{", "[]", '"x"', '{"total": "1", "etag": "\\"one\\""}'])
def test_a_part_without_a_proper_note_is_started_again(host: Host, file: Path, text: str | None) -> None:
    note(file, bytes(HALF))
    if text is None:
        file.with_name("train.zip.part.json").unlink()
    else:
        file.with_name("train.zip.part.json").write_text(text)
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == [""]


def test_a_note_without_its_part_does_no_harm(host: Host, file: Path) -> None:
    note(file, b"")
    file.with_name("train.zip.part").unlink()
    get(host, file)
    assert is_here(file)


def test_what_is_whole_is_only_checked_and_renamed(host: Host, file: Path) -> None:
    note(file, CONTENT, md5=MD5)
    assert get(host, file).checked == "md5"
    assert is_here(file)
    assert not host.requests


def test_a_part_damaged_on_the_disk_is_found_by_its_md5(host: Host, file: Path) -> None:
    note(file, bytes(HALF))
    get(host, file, md5=MD5)
    assert is_here(file)
    assert host.header("Range") == [f"bytes={HALF}-", ""]


FETCH = """
import sys
from pathlib import Path
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.kaggle.download import Source, fetch
from kagglekit.system.display.console import for_people
fetch(Source("train.zip", lambda: sys.argv[1]), Path(sys.argv[2]), RetryPolicy(60), for_people(False))
"""


def fetching(host: Host, file: Path, first: str = "") -> forks.Process | subprocess.Popen[str]:
    """Start a process that fetches the file."""
    return forks.start(["-c", first + FETCH, host.address(), file], Path.cwd(), {**os.environ, **forks.SET})


def test_a_process_that_is_killed_leaves_all_that_has_arrived(host: Host, file: Path) -> None:
    host.script = [some(HALF, silence)]
    part = file.with_name("train.zip.part")
    with fetching(host, file) as process:
        deadline = time.monotonic() + 30
        while not part.exists() or part.stat().st_size < HALF:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", f"bytes={HALF}-"]


def test_a_file_that_is_here_is_not_fetched_again(host: Host, file: Path) -> None:
    get(host, file)
    assert get(host, file) == Fetched(len(CONTENT), MD5, "nothing")
    assert get(host, file, md5=MD5) == Fetched(len(CONTENT), MD5, "md5")
    assert len(host.requests) == 1
    file.write_bytes(b"something else")
    get(host, file, md5=MD5)
    assert is_here(file)


def test_a_disk_that_gets_full_keeps_what_has_arrived(host: Host, file: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (99999, 99999))\n"
    with fetching(host, file, limit) as process:
        _, errors = process.communicate()
    assert "UserError: cannot write" in errors
    assert "train.zip.part: File too large\nfree some disk space, or choose another folder" in errors
    get(host, file)
    assert is_here(file)
    assert host.header("Range") == ["", "bytes=99999-"]
