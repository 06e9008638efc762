"""Archives that are damaged are refused, and lose nothing in silence."""

from __future__ import annotations

import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from archives import CONTENT, TARS, ZIPS, found, patched, refused, tar_file, zip_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kagglekit.data.archive.extract import BadArchive, BrokenArchive, extract
from kagglekit.system.errors import UserError


@pytest.mark.parametrize("place", [100, -300])
def test_a_bad_member_of_a_zip_file_is_named(tmp_path: Path, place: int) -> None:
    archive = zip_file(tmp_path / "a.zip", {"good": b"1", "bad": bytes(9999), "after": b"2"}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[place] ^= 1
    archive.write_bytes(data)
    refused(archive, "cannot unpack .*, at bad: Bad CRC-32")


def test_a_cut_zip_file_is_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    archive.write_bytes(archive.read_bytes()[:-30])
    refused(archive, "File is not a zip file")


def test_a_zip_file_whose_table_of_contents_is_damaged_does_not_lose_members_in_silence(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    patched(
        archive, "train/b.jpg", central=(32, (256).to_bytes(2, "little"))
    )  # its comment now swallows those that follow
    refused(archive, "2 members found, 4 expected")


@pytest.mark.parametrize("mode", TARS.values(), ids=TARS)
def test_a_cut_tar_file_is_refused(tmp_path: Path, mode: str) -> None:
    archive = tar_file(tmp_path / "a", {"good": b"1", "bad": os.urandom(9999)}, mode)
    content = archive.read_bytes()
    archive.write_bytes(content[:5000])
    refused(archive, "cannot unpack .*(ended before|unexpected end|truncated)")


def test_a_tar_file_that_ends_between_members_is_refused(tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "a.tar", {"first": b"1", "second": b"2"})
    archive.write_bytes(archive.read_bytes()[:1024])
    refused(archive, "at first: the archive ends, or is damaged, after it")


def test_a_damaged_header_does_not_lose_members_in_silence(tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "a.tar", {"first": b"1", "second": b"2", "third": b"3"})
    content = bytearray(archive.read_bytes())
    content[1024 + 20] ^= 1
    archive.write_bytes(content)
    refused(archive, "at first: the archive ends, or is damaged, after it")


def test_the_checksum_at_the_end_of_a_compressed_tar_file_counts(tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "a.tar.gz", CONTENT, "w:gz")
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1
    archive.write_bytes(content)
    refused(archive, "CRC check failed")


@pytest.mark.parametrize("content", [b"", b"<html>log in first</html>", bytes(600), b"\x1f\x8b not gzip", b"PK"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.zip").write_bytes(content)
    refused(tmp_path / "train.zip", r"cannot unpack .*train\.zip: ")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*train\.zip"):
        extract(tmp_path / "train.zip", tmp_path / "out")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    make=st.sampled_from([*ZIPS.values(), *TARS.values()]),
    changes=st.lists(st.tuples(st.integers(0, 10**4), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5),
)
def test_random_damage_is_refused_or_does_no_harm(
    tmp_path: Path, make: int | str, changes: list[tuple[int, bytes]]
) -> None:
    """Damaged names and dates of a tar file without checksum may pass; contents outside of the folder never do."""
    top = tmp_path / "top"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    make_it = zip_file if isinstance(make, int) else tar_file
    archive = make_it(top / "a", {"a/b.jpg": bytes(range(200)), "c.csv": b"1,2\n" * 50}, make)  # type: ignore[operator]
    data = bytearray(archive.read_bytes())
    for place, new in changes:
        at = place % len(data)
        data[at : at + len(new)] = new
    archive.write_bytes(data)
    with suppress(BadArchive):
        extract(archive, top / "out")
        if isinstance(make, int):
            assert {bytes(range(200)), b"1,2\n" * 50} >= set(found(top / "out").values())
    assert {path.name for path in top.iterdir()} <= {"a", "out"}


def test_what_is_damaged_is_told_from_what_is_unsafe(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    archive.write_bytes(archive.read_bytes()[:-30])
    assert type(refused(archive, "not a zip file")) is BrokenArchive
    assert type(refused(zip_file(tmp_path / "b.zip", {"../x": b""}), "outside")) is BadArchive
