"""Paths of members, and their fingerprints."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kagglekit.system.fingerprints import BLOCKS, END_BYTES, WHOLE, fingerprint, fingerprints
from kagglekit.system.members import Member, is_there, member_of, members_of, why_no_key


def test_a_path_below_a_file_names_a_member(tmp_path: Path) -> None:
    file = tmp_path / "train.npz"
    file.touch()
    (tmp_path / "folder").mkdir()
    paths = [file / "x" / "5", file / "y", file, tmp_path / "folder" / "a.jpg", tmp_path / "none" / "a.jpg"]
    found = members_of(map(str, paths))
    assert found == [Member(str(file), "x/5"), Member(str(file), "y"), None, None, None]
    assert [is_there(path) for path in paths] == [True, True, True, False, False]


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "./a", "a/../b", "..", "a\\b", "a\0b", 3, None])
def test_some_values_are_no_keys(key: object) -> None:
    assert why_no_key(key)
    assert not why_no_key("images/17")


def test_members_have_fingerprints_of_content_and_key(tmp_path: Path) -> None:
    file, image = tmp_path / "a.tfrec", tmp_path / "a.jpg"
    content = bytearray(os.urandom(40_000))
    file.write_bytes(content)
    image.write_bytes(content)
    paths = [file / "0", image, file / "1"]
    before = fingerprints(paths)
    assert len(set(before)) == 3
    assert before[1] == fingerprint(image)
    content[20_000] ^= 1  # in the middle, where that of a file does not look
    file.write_bytes(content)
    after = fingerprints(paths)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False]


def test_a_large_container_is_hashed_in_blocks(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    size = WHOLE + 10**6
    with file.open("wb") as target:
        target.truncate(size)
    before = fingerprints([file / "0"])
    step = (size - END_BYTES) // BLOCKS
    seen = []
    for place in (0, 500 * step + 7, size - 1, 500 * step + END_BYTES + 7):
        with file.open("r+b") as target:
            target.seek(place)
            target.write(b"x")
        seen.append(fingerprints([file / "0"]) != before)
        with file.open("r+b") as target:
            target.seek(place)
            target.write(b"\0")
    assert seen == [True, True, True, False]


def test_a_hundred_thousand_members_take_a_moment(tmp_path: Path) -> None:
    file = tmp_path / "a.tfrec"
    file.write_bytes(os.urandom(10**6))
    paths = [file / str(i) for i in range(100_000)]
    started = time.process_time()
    found = fingerprints(paths)
    assert len(set(found)) == len(paths)
    assert time.process_time() - started < 3  # 0.3 s on an idle machine
    assert member_of(paths[-1]) == Member(str(file), "99999")
