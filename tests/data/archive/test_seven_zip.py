"""7z files are unpacked with the same checks as zip and tar files."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from archives import CONTENT, found, refused
from seven_zip_files import GIANT, LINK, PIPE, seven_zip_file, stored_7z

from kagglekit.data.archive.budget import Budget
from kagglekit.data.archive.extract import BadArchive, BrokenArchive, LargeArchive, extract
from kagglekit.system.errors import UserError

BSDTAR = shutil.which("bsdtar")


@pytest.fixture(params=["py7zr", pytest.param("bsdtar", marks=pytest.mark.skipif(not BSDTAR, reason="no bsdtar"))])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "bsdtar":
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return str(request.param)


def test_a_7z_file_is_unpacked(tmp_path: Path, reader: str) -> None:
    assert extract(seven_zip_file(tmp_path / "a.download", CONTENT), tmp_path / "out") == 4
    assert found(tmp_path / "out") == CONTENT


def test_several_blocks_and_a_name_beyond_ascii_are_unpacked(tmp_path: Path, reader: str) -> None:
    archive = seven_zip_file(tmp_path / "a.7z", {"b/ä.csv": b"1", "empty": b""})
    with_more = {"c/ж.jpg": bytes(5 * 10**6)}
    import py7zr

    with py7zr.SevenZipFile(archive, "a") as more:
        for name, content in with_more.items():
            more.writestr(content, name)
    extract(archive, tmp_path / "out")
    assert found(tmp_path / "out") == {"b/ä.csv": b"1", "empty": b"", **with_more}


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "C:/outside", "a\\..\\..\\outside"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str, reader: str) -> None:
    archive = stored_7z(tmp_path / "a.7z", [("fine", b"1"), (name, b"2")])
    refused(archive, "would write outside its folder, or holds links: ")
    assert not [path for path in tmp_path.rglob("*") if "outside" in path.name]


def test_names_that_windows_reads_otherwise_are_refused(tmp_path: Path, reader: str) -> None:
    for name in ("a/b.txt:stream", "CON", "a/nul.txt", "a/b."):
        refused(stored_7z(tmp_path / "a.7z", [(name, b"1")]), "has names that mean drives, streams, devices or other")
        assert not found(tmp_path / "out")


def test_links_and_pipes_are_refused(tmp_path: Path, reader: str) -> None:
    refused(stored_7z(tmp_path / "a.7z", [("odd", b"/etc/passwd")], LINK), "or holds links: odd")
    refused(stored_7z(tmp_path / "b.7z", [("odd", b"1")], PIPE), "holds special members that are not files: odd")
    assert not list((tmp_path / "out").iterdir())


def test_a_member_that_comes_twice_is_refused(tmp_path: Path, reader: str) -> None:
    refused(stored_7z(tmp_path / "a.7z", [("a/1.jpg", b"1"), ("a/1.jpg", b"2")]), r"holds a/1\.jpg twice")
    refused(stored_7z(tmp_path / "b.7z", [("b", b"1"), ("b/c", b"2")]), "where a folder must be: b/c")


def test_an_encrypted_7z_file_is_refused(tmp_path: Path, reader: str) -> None:
    for hidden in (False, True):
        archive = seven_zip_file(tmp_path / f"{hidden}.7z", CONTENT, password="x", header_encryption=hidden)
        refused(archive, "is encrypted( or damaged, or bsdtar does not .*)?\n")
        assert not found(tmp_path / "out")


def test_a_7z_file_has_the_budget_of_all(tmp_path: Path, reader: str) -> None:
    archive = seven_zip_file(tmp_path / "a.7z", {"fine": b"1", "zeros": bytes(30 * 10**6)})
    budget = Budget(fetched=archive.stat().st_size)
    with pytest.raises(LargeArchive, match=r"\(at zeros\) would unpack to more than 10 MB.*\n.*--max-unpacked 20GB"):
        extract(archive, tmp_path / "out", budget=budget)
    assert found(tmp_path / "out") == {"fine": b"1"}


def test_a_7z_file_that_expands_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    monkeypatch.setattr("kagglekit.data.archive.tar_files.LARGE_IN_ALL", 10**6)
    archive = seven_zip_file(tmp_path / "a.7z", {"bomb": bytes(9 * 10**6)})
    refused(archive, "at bomb: the archive expands more than 500 times")
    assert (tmp_path / "out" / "bomb").stat().st_size <= 2**20


def test_headers_that_claim_too_much_are_refused(tmp_path: Path, reader: str) -> None:
    liar = stored_7z(tmp_path / "a.7z", [("liar", b"1"), ("b", b"2")], sizes={"liar": 9})
    many = stored_7z(tmp_path / "b.7z", [("a", b"1")], n_files=10**12)
    kinds = {type(refused(archive, "cannot unpack ")) for archive in (liar, many)}
    assert (kinds == {BrokenArchive}) == (reader != "bsdtar")  # which does not say what is wrong


def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    archive = stored_7z(tmp_path / "a.7z", [("a", b"1" * 999)], coder=GIANT)
    error = refused(archive, "cannot unpack .*: it needs more than 2 GB of memory")
    assert type(error) is BadArchive  # another download would need as much
    small = stored_7z(tmp_path / "b.7z", [("a", b"1" * 999)], coder=GIANT[:-1] + b"\x14")
    extract(small, tmp_path / "small")
    assert found(tmp_path / "small") == {"a": b"1" * 999}


def test_damage_is_refused(tmp_path: Path, reader: str) -> None:
    archive = seven_zip_file(tmp_path / "a.7z", {"random": bytes(range(256)) * 99})
    whole = archive.read_bytes()
    for content in (whole[:-30], whole[:40] + b"XX" + whole[42:], whole[:6]):
        archive.write_bytes(content)
        with pytest.raises(BadArchive, match=r"cannot unpack .*a\.7z") as caught:
            extract(archive, tmp_path / "out")
        assert type(caught.value) is BrokenArchive or reader == "bsdtar"
        shutil.rmtree(tmp_path / "out")


def test_without_a_reader_extra_and_program_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = seven_zip_file(tmp_path / "a.7z", CONTENT)
    with pytest.raises(UserError, match=r"cannot unpack .*a\.7z: .*\n.*kagglekit\[7z\].*bsdtar") as caught:
        extract(archive, tmp_path / "out")
    assert not isinstance(caught.value, BadArchive)  # a download keeps it for the next try
