"""A download unpacks to what its size allows, all archives in it counted; decompressors are bounded in memory."""

from __future__ import annotations

import io
import lzma
import resource
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from archives import TARS, ZIPS, found, tar_file, zip_file
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.data.archive.budget import LEAST, Budget, parse_size, size_text
from kagglekit.data.archive.expand import XzStream, member_chunks
from kagglekit.data.archive.extract import BadArchive, LargeArchive, extract
from kagglekit.data.archive.nested import extract_nested

ZEROS = bytes(2 * 10**6)


def nested_bomb(folder: Path, n: int = 10) -> Path:
    """Write a zip of zips, each of 2 MB of zeros: some 20 kB."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", ZEROS)
    return zip_file(folder / "bomb.zip", {f"{number}.zip": inner.getvalue() for number in range(n)})


def test_all_levels_of_nesting_have_one_budget(tmp_path: Path) -> None:
    bomb = nested_bomb(tmp_path)
    budget = Budget(fetched=bomb.stat().st_size)
    assert bomb.stat().st_size < 25_000
    extract(bomb, tmp_path / "out", budget=budget)
    with pytest.raises(LargeArchive, match=r"would unpack to more than 10 MB.*\n.*--max-unpacked 20GB"):
        extract_nested(tmp_path / "out", budget=budget)
    assert sum(len(content) for content in found(tmp_path / "out").values()) < LEAST


def test_the_user_lifts_the_limit_and_may_lower_it(tmp_path: Path) -> None:
    bomb = nested_bomb(tmp_path)
    budget = Budget(given=10**8)
    extract(bomb, tmp_path / "out", budget=budget)
    assert extract_nested(tmp_path / "out", budget=budget) == 10
    assert budget.used > 10 * len(ZEROS)
    with pytest.raises(LargeArchive, match=r"more than 1 MB, the limit of --max-unpacked"):
        extract(zip_file(tmp_path / "b.zip", {"zeros": ZEROS}), tmp_path / "b", budget=Budget(given=10**6))
    assert not found(tmp_path / "b")


def test_without_a_budget_nested_archives_have_one_of_their_own(tmp_path: Path) -> None:
    extract(nested_bomb(tmp_path), tmp_path / "out")
    with pytest.raises(LargeArchive, match="would unpack to more than 10 MB"):
        extract_nested(tmp_path / "out")


@pytest.mark.parametrize("mode", TARS.values(), ids=TARS)
def test_tar_files_have_the_same_budget(tmp_path: Path, mode: str) -> None:
    archive = tar_file(tmp_path / "a.tar", {"fine": b"1", "zeros": ZEROS}, mode)
    with pytest.raises(LargeArchive, match=r"\(at zeros\) would unpack to more than 1 MB"):
        extract(archive, tmp_path / "out", budget=Budget(given=10**6))
    assert found(tmp_path / "out") == {"fine": b"1"}


def test_headers_and_padding_count_as_well(tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "a.tar.xz", {f"{number}": b"" for number in range(9000)}, "w:xz")
    with pytest.raises(LargeArchive, match="would unpack to more than 1 MB"):
        extract(archive, tmp_path / "out", budget=Budget(given=10**6))


@pytest.mark.parametrize("compression", ZIPS.values(), ids=ZIPS)
def test_members_are_read_in_small_pieces_with_their_checksum(tmp_path: Path, compression: int) -> None:
    content = bytes(range(256)) * 20_000 + ZEROS
    archive = zip_file(tmp_path / "a.zip", {"a": content, "empty": b""}, compression)
    with zipfile.ZipFile(archive) as opened:
        chunks = list(member_chunks(opened, opened.getinfo("a")))
        assert b"".join(chunks) == content
        assert max(map(len, chunks)) <= 1 << 20
        assert b"".join(member_chunks(opened, opened.getinfo("empty"))) == b""


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_a_member_of_zeros_takes_little_memory(tmp_path: Path, compression: int) -> None:
    archive = zip_file(tmp_path / "a.zip", {"zeros": bytes(200 * 10**6)}, compression)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    with zipfile.ZipFile(archive) as opened:
        assert sum(map(len, member_chunks(opened, opened.infolist()[0]))) == 200 * 10**6
    assert tracemalloc.get_traced_memory()[1] < 20 * 10**6
    tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_streams_of_xz_one_after_the_other_are_read_as_one() -> None:
    whole = lzma.compress(b"one") + bytes(8) + lzma.compress(b"two")
    stream = XzStream(io.BytesIO(whole))
    assert b"".join(iter(lambda: stream.read(2), b"")) == b"onetwo"
    cut = XzStream(io.BytesIO(lzma.compress(bytes(range(256)) * 99)[:-40]))
    with pytest.raises(EOFError):
        list(iter(lambda: cut.read(1000), b""))


def test_folders_nested_too_deep_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    deep = "d/" * 1500 + "f"
    for archive in (zip_file(tmp_path / "a.zip", {deep: b"1"}), tar_file(tmp_path / "a.tar", {deep: b"1"})):
        with pytest.raises(BadArchive, match=r"folders nested more than 100 deep: d/d/.*\.\.\.") as caught:
            extract(archive, tmp_path / "out")
        assert len(str(caught.value)) < 600
        assert not found(tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("20GB", 20 * 10**9),
        ("1.5 TB", 15 * 10**11),
        ("500mib", 500 * 2**20),
        ("7", 7),
        ("3 kB", 3000),
        ("2G", 2 * 10**9),
    ],
)
def test_sizes_are_read(text: str, n: int) -> None:
    assert parse_size(text) == n


@given(text=st.text(max_size=12))
@settings(max_examples=200, deadline=None)
def test_anything_else_is_no_size(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except ValueError as error:
        assert "is no size such as 20GB" in str(error)  # noqa: PT017


def test_sizes_are_shown_with_three_digits() -> None:
    assert [size_text(n) for n in (7, 1500, 2 * 10**7, 10**9)] == ["7 bytes", "1.5 kB", "20 MB", "1 GB"]
