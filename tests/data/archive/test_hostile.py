"""Archives that would do harm are refused: kagglekit.data.archive.extract, unpack, unpack_zip, unpack_tar."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import found, patched, refused, size, special, tar_file, zip_file

from kagglekit.data.archive.extract import extract

OUTSIDE = [
    "../outside",
    "/tmp/outside",
    "a/../../outside",
    "C:/outside",
    "c:outside",
    "a\\..\\..\\outside",
    "\\outside",
]


@pytest.mark.parametrize("make", [zip_file, tar_file])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_that_leads_outside_is_refused_and_named(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = make(tmp_path / "bad", {"fine.txt": b"", name: b"gotcha"})
    error = refused(archive, "would write outside its folder, or holds links: ")
    assert error.what.endswith(f": {name}")
    assert not [path for path in tmp_path.rglob("*") if "outside" in path.name]


MISREAD = [
    "a/C:/x.txt",
    "./C:evil.txt",
    "a/b.txt:stream",
    "CON",
    "a/nul.txt",
    "aux/x.txt",
    "com1.tar.gz",
    "a/LPT9 .txt",
    "lpt¹",
    "conin$",
    "a/b.",
    "a /b",
    "a/.../b",
]


@pytest.mark.parametrize("make", [zip_file, tar_file])
@pytest.mark.parametrize("name", MISREAD)
def test_a_name_that_windows_reads_otherwise_is_refused_everywhere(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = make(tmp_path / "bad", {name: b"gotcha"})
    error = refused(archive, "has names that mean drives, streams, devices or other names on Windows: ")
    assert error.what.endswith(f": {name}")
    assert not found(tmp_path / "out")


def test_members_without_a_name_are_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"_.jpg": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"_.jpg", b"\0.jpg"))
    refused(archive, "write outside its folder, or holds links: ''")
    refused(zip_file(tmp_path / "b.zip", {".": b"1"}), r"holds special members that are not files: \.\n")
    refused(tar_file(tmp_path / "c.tar", {"": b"1"}), "write outside its folder, or holds links: ''")
    refused(tar_file(tmp_path / "d.tar", {".": b"1"}), r"holds special members that are not files: \.\n")


def test_a_name_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    error = refused(zip_file(tmp_path / "a.zip", {"../\x1b[2Jevil": b"1"}), "evil")
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_links_are_refused_before_anything_is_written_through_them(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "victim").mkdir()
    refused(special(tmp_path / "a.tgz", kind, str(tmp_path / "victim")), "or holds links: odd")
    assert not list((tmp_path / "victim").iterdir())
    assert not list((tmp_path / "out").iterdir())


STRANGE = {
    "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "volume": b"V",
    "sparse": tarfile.GNUTYPE_SPARSE,
}


@pytest.mark.parametrize("kind", STRANGE.values(), ids=STRANGE)
def test_devices_and_pipes_are_refused(tmp_path: Path, kind: bytes) -> None:
    refused(special(tmp_path / "a.tgz", kind), "holds special members that are not files: odd")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (stat.S_IFLNK, "or holds links: odd"),
        (stat.S_IFIFO, "holds special members that are not files: odd"),
        (stat.S_IFCHR, "holds special members that are not files: odd"),
    ],
)
def test_links_and_pipes_in_zip_files_are_refused(tmp_path: Path, mode: int, words: str) -> None:
    entry = zipfile.ZipInfo("odd")
    entry.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    refused(tmp_path / "a.zip", words)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped, tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("a/1.jpg", "./a//1.jpg"):
            zipped.writestr(name, name)
            tar.addfile(tarfile.TarInfo(name))
    refused(tmp_path / "a.zip", r"holds \./a//1\.jpg twice")
    assert found(tmp_path / "out") == {"a/1.jpg": b"a/1.jpg"}
    shutil.rmtree(tmp_path / "out")
    refused(tmp_path / "a.tar", r"holds \./a//1\.jpg twice")


@pytest.mark.parametrize("make", [zip_file, tar_file])
def test_a_file_where_a_folder_must_be_is_refused(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    refused(make(tmp_path / "one", {"a": b"1", "a/b": b"2"}), "holds a file where a folder must be: a/b")
    shutil.rmtree(tmp_path / "out")
    refused(make(tmp_path / "two", {"a/b": b"2", "a": b"1"}), "holds a twice, or it existed before")
    assert found(tmp_path / "out") == {"a/b": b"2"}


def test_what_is_in_the_folder_is_neither_replaced_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "victim"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(outside)
    (tmp_path / "out" / "file").symlink_to(outside / "new")
    (tmp_path / "out" / "old").write_bytes(b"old")
    refused(zip_file(tmp_path / "a.zip", {"link/x": b"1"}), "where a folder must be: link/x")
    refused(zip_file(tmp_path / "b.zip", {"file": b"1"}), "holds file twice, or it existed before")
    refused(zip_file(tmp_path / "c.zip", {"old": b"1"}), "holds old twice, or it existed before")
    assert not list(outside.iterdir())
    assert (tmp_path / "out" / "old").read_bytes() == b"old"


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"fine": b"1", "secret": b"2"})
    refused(patched(archive, "secret", local=(6, b"\1"), central=(8, b"\1")), "is encrypted: secret")
    assert not found(tmp_path / "out")


def test_a_member_that_expands_beyond_measure_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"fine": b"1", "bomb": b"2"})
    refused(patched(archive, "bomb", central=(24, size(3 * 10**9))), "would expand more than 500 times: bomb")
    assert not found(tmp_path / "out")


def test_many_members_that_expand_beyond_measure_together_are_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", dict.fromkeys("abc", b"2"))
    for name in "abc":
        patched(archive, name, central=(24, size(9 * 10**8 + ord(name))))
    refused(archive, "would expand more than 500 times in all, its largest member: c")


def test_a_member_that_holds_more_than_its_headers_claim_is_refused_and_not_written_on(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"fine": b"1", "liar": bytes(10**6)})
    refused(patched(archive, "liar", local=(22, size(9)), central=(24, size(9))), "cannot unpack .*, at liar: Bad CRC")
    assert (tmp_path / "out" / "liar").stat().st_size <= 9


def test_a_member_that_holds_less_than_its_headers_claim_is_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"liar": b"12345"})
    patched(archive, "liar", local=(22, size(9)), central=(24, size(9)))
    refused(archive, "at liar: 5 bytes found, 9 expected")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("kernel", bytes(999))
        archive.filelist *= 2
    refused(tmp_path / "a.zip", "holds members that overlap: kernel")


def test_a_tar_file_that_expands_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.data.archive.tar_files.LARGE_IN_ALL", 10**6)
    archive = tar_file(tmp_path / "a.tar.xz", {"fine": b"1", "bomb": bytes(5 * 10**6)}, "w:xz")
    refused(archive, "at bomb: the archive expands more than 500 times")
    assert (tmp_path / "out" / "bomb").stat().st_size <= 2**20


def test_a_table_of_equal_numbers_is_no_bomb(tmp_path: Path) -> None:
    table = b"".join(b"%d" % row + b",0.0002" * 5000 + b"\n" for row in range(200))
    archive = zip_file(tmp_path / "a.zip", {"sample_submission.csv": table})
    assert len(table) > 500 * archive.stat().st_size
    extract(archive, tmp_path / "out")
    assert found(tmp_path / "out") == {"sample_submission.csv": table}


def test_a_giant_header_is_refused(tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "a.tar", {"a": b"1"}, format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 2**21})
    refused(archive, "a header claims 2,")


def test_a_member_of_negative_size_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("first")
    entry.size = -1024
    content = entry.tobuf(tarfile.GNU_FORMAT) + tar_file(tmp_path / "a.tar", {"second": b"2"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar", "cannot unpack ")
