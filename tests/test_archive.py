"""Archives, good and hostile: kagglekit.archive, unpack, unpack_zip, unpack_tar."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from kagglekit import unpacked
from kagglekit.archive import BadArchive, BrokenArchive, extract, extract_nested
from kagglekit.errors import UserError
from kagglekit.progress import Display

CONTENT = {
    "train/a.jpg": bytes(range(256)) * 9,
    "train/b.jpg": b"",
    "labels.csv": b"id,breed\n" * 999,
    "x/y/z" * 30 + ".txt": b"z",
}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
ZIPS = {"stored": zipfile.ZIP_STORED, "deflated": 8, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def zip_file(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_file(path: Path, members: dict[str, bytes], mode: str = "w", **options: Any) -> Path:
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, words: str) -> UserError:
    """Check that an archive is refused with these words, and that nothing lies outside of its folder."""
    there = set(archive.parent.iterdir())
    with pytest.raises(BadArchive, match=words) as caught:
        extract(archive, archive.parent / "out")
    assert set(archive.parent.iterdir()) - there <= {archive.parent / "out"}
    assert str(archive) in caught.value.what
    assert caught.value.hint
    return caught.value


def terminal() -> tuple[Display, io.StringIO]:
    said = io.StringIO()
    return Display(Console(file=said, force_terminal=True, width=100)), said


@pytest.mark.parametrize("compression", ZIPS.values(), ids=ZIPS)
def test_a_zip_file_is_unpacked(tmp_path: Path, compression: int) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT, compression)
    assert extract(archive, tmp_path / "deep" / "out") == 4
    assert found(tmp_path / "deep" / "out") == CONTENT


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@pytest.mark.parametrize("mode", TARS.values(), ids=TARS)
def test_a_tar_file_is_unpacked_whatever_its_name(tmp_path: Path, mode: str, form: int) -> None:
    archive = tar_file(tmp_path / "a.download", CONTENT | {"ä" * 99: b"long"}, mode, format=form)
    assert extract(archive, tmp_path / "out") == 5
    assert found(tmp_path / "out") == CONTENT | {"ä" * 99: b"long"}


def test_folders_in_archives_are_made_also_empty_ones_and_the_root(tmp_path: Path) -> None:
    zipped = zip_file(tmp_path / "a.zip", {"./": b"", "empty/": b"", "./full/a": b"1"})
    (tmp_path / "source" / "empty").mkdir(parents=True)
    (tmp_path / "source" / "a").write_bytes(b"1")
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as archive:
        archive.add(tmp_path / "source", ".")
    extract(zipped, tmp_path / "zip")
    extract(tmp_path / "b.tgz", tmp_path / "tar")
    assert sorted(path.name for path in (tmp_path / "zip").iterdir()) == ["empty", "full"]
    assert sorted(path.name for path in (tmp_path / "tar").iterdir()) == ["a", "empty"]


def test_two_archives_share_a_folder(tmp_path: Path) -> None:
    extract(tar_file(tmp_path / "images.tar", {"data/a.jpg": b"a"}), tmp_path / "out")
    extract(tar_file(tmp_path / "labels.tar", {"data/a.txt": b"b"}), tmp_path / "out")
    assert found(tmp_path / "out") == {"data/a.jpg": b"a", "data/a.txt": b"b"}


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
    error = refused(archive, "would write outside of its folder, or holds links: ")
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
    error = refused(archive, "has names that Windows reads as drives, streams, devices or other names: ")
    assert error.what.endswith(f": {name}")
    assert not found(tmp_path / "out")


@pytest.mark.parametrize("make", [zip_file, tar_file])
def test_names_that_only_look_like_devices_are_taken(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    content = dict.fromkeys(["console.txt", "com10.txt", "a.aux", "a b/null", ".hidden", "lpt/x..y"], b"1")
    extract(make(tmp_path / "good", content), tmp_path / "out")
    assert found(tmp_path / "out") == content


def test_members_without_a_name_are_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"_.jpg": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"_.jpg", b"\0.jpg"))
    refused(archive, "write outside of its folder, or holds links: ''")
    refused(zip_file(tmp_path / "b.zip", {".": b"1"}), r"holds what is no file: \.\n")
    refused(tar_file(tmp_path / "c.tar", {"": b"1"}), "write outside of its folder, or holds links: ''")
    refused(tar_file(tmp_path / "d.tar", {".": b"1"}), r"holds what is no file: \.\n")


def test_a_name_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    error = refused(zip_file(tmp_path / "a.zip", {"../\x1b[2Jevil": b"1"}), "evil")
    assert "\x1b" not in str(error)


def special(path: Path, kind: bytes, target: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("odd")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
        entry = tarfile.TarInfo("odd/inside.txt")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"1"))
    return path


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
    refused(special(tmp_path / "a.tgz", kind), "holds what is no file: odd")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (stat.S_IFLNK, "or holds links: odd"),
        (stat.S_IFIFO, "holds what is no file: odd"),
        (stat.S_IFCHR, "holds what is no file: odd"),
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
    refused(make(tmp_path / "two", {"a/b": b"2", "a": b"1"}), "holds a twice, or it was there before")
    assert found(tmp_path / "out") == {"a/b": b"2"}


def test_what_is_in_the_folder_is_neither_replaced_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "victim"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(outside)
    (tmp_path / "out" / "file").symlink_to(outside / "new")
    (tmp_path / "out" / "old").write_bytes(b"old")
    refused(zip_file(tmp_path / "a.zip", {"link/x": b"1"}), "where a folder must be: link/x")
    refused(zip_file(tmp_path / "b.zip", {"file": b"1"}), "holds file twice, or it was there before")
    refused(zip_file(tmp_path / "c.zip", {"old": b"1"}), "holds old twice, or it was there before")
    assert not list(outside.iterdir())
    assert (tmp_path / "out" / "old").read_bytes() == b"old"


def test_rights_are_not_taken_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, mode in (("root", 0o4777), ("closed", 0)):
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            archive.addfile(entry)
    extract(tmp_path / "a.tar", tmp_path / "out")
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o7777 for path in (tmp_path / "out").iterdir()} == {0o666 & ~mask}


def patched(archive: Path, name: str, *, local: tuple[int, bytes] | None = None, central: tuple[int, bytes]) -> Path:
    """Write over header fields of a zip member, given by offset and bytes."""
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        start, where = opened.start_dir, opened.getinfo(name).header_offset
        names = [entry.filename for entry in opened.infolist()]
        for before in names[: names.index(name)]:
            start += 46 + len(before)
    for base, change in ((where, local), (start, central)):
        if change:
            data[base + change[0] : base + change[0] + len(change[1])] = change[1]
    archive.write_bytes(data)
    return archive


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"fine": b"1", "secret": b"2"})
    refused(patched(archive, "secret", local=(6, b"\1"), central=(8, b"\1")), "is encrypted: secret")
    assert not found(tmp_path / "out")


def size(n: int) -> bytes:
    return n.to_bytes(4, "little")


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
    refused(archive, "at liar: 5 bytes, expected are 9")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("kernel", bytes(999))
        archive.filelist *= 2
    refused(tmp_path / "a.zip", "holds members that overlap: kernel")


def test_a_tar_file_that_expands_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.unpack_tar.LARGE_IN_ALL", 10**6)
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
    refused(archive, "a header of 2,")


def test_a_member_of_negative_size_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("first")
    entry.size = -1024
    content = entry.tobuf(tarfile.GNU_FORMAT) + tar_file(tmp_path / "a.tar", {"second": b"2"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar", "cannot unpack ")


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5 * 10**8))
    zipped = zip_file(tmp_path / "a.zip", {"a": b"1", "b": b"1"})
    for name in "ab":
        patched(zipped, name, central=(24, size(4 * 10**8)))
    with pytest.raises(UserError, match=r"a\.zip needs 0\.8 GB and .*out has 0\.5 GB left\nfree some disk") as caught:
        extract(zipped, tmp_path / "out")
    assert not isinstance(caught.value, BadArchive)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        entry = tarfile.TarInfo("large")
        entry.size = 2 * 10**9
        tar.fileobj.write(entry.tobuf())  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"a\.tar \(at large\) needs 2\.0 GB"):
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_is_full_all_the_same_is_the_users_to_mend(tmp_path: Path) -> None:
    zip_file(tmp_path / "a.zip", {"small": b"1", "large": bytes(10**6)})
    code = (
        "import resource, sys, pathlib\n"
        "from kagglekit.archive import BadArchive, extract\nfrom kagglekit.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n    extract(pathlib.Path('a.zip'), pathlib.Path('out'))\n"
        "except UserError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "UserError cannot unpack a.zip into out (at large): File too large\n"
        "free some disk, or choose a folder elsewhere\n"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    with pytest.raises(UserError, match=r"cannot unpack .*a\.zip into .*a\.zip/out: Not a directory"):
        extract(archive, archive / "out")


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
    refused(archive, "2 members, expected are 4")


@pytest.mark.parametrize("mode", TARS.values(), ids=TARS)
def test_a_cut_tar_file_is_refused(tmp_path: Path, mode: str) -> None:
    archive = tar_file(tmp_path / "a", {"good": b"1", "bad": os.urandom(9999)}, mode)
    content = archive.read_bytes()
    archive.write_bytes(content[:5000])
    refused(archive, "cannot unpack .*(ended before|unexpected end|in the middle)")


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


def test_unpacking_shows_a_bar_that_counts_the_archives_bytes(tmp_path: Path) -> None:
    random = {f"{number}.jpg": os.urandom(700_000) for number in range(5)}
    for archive in (zip_file(tmp_path / "a.zip", random), tar_file(tmp_path / "a.tar.gz", random, "w:gz")):
        display, said = terminal()
        extract(archive, tmp_path / archive.name.replace(".", "-"), display)
        assert f"unpacking {archive.name}" in said.getvalue()
        assert "/3.5 MB" in said.getvalue()
        assert re.search("[MG]B/s", said.getvalue())


def nest(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return zip_file(folder / name, members)


def test_nested_archives_are_unpacked_where_they_lie_and_removed(tmp_path: Path) -> None:
    nest(tmp_path, "train.zip", {"train/": b"", "train/cat.0.jpg": b"0", "train/dog.0.jpg": b"1"})
    nest(tmp_path, "deep/test.zip", {"1.jpg": b"2", "2.jpg": b"3"})
    nest(tmp_path, "sample_submission.csv.zip", {"sample_submission.csv": b"id,label\n"})
    nest(tmp_path, "images.ZIP", {"images/a.jpg": b"4", "readme.txt": b"5"})
    (tmp_path / "labels.csv").write_bytes(b"6")
    assert extract_nested(tmp_path) == 4
    assert found(tmp_path) == {
        "train/cat.0.jpg": b"0",
        "train/dog.0.jpg": b"1",
        "deep/test/1.jpg": b"2",
        "deep/test/2.jpg": b"3",
        "sample_submission.csv": b"id,label\n",
        "images/images/a.jpg": b"4",
        "images/readme.txt": b"5",
        "labels.csv": b"6",
    }
    assert extract_nested(tmp_path) == 0


def test_archives_in_nested_archives_stay_packed(tmp_path: Path) -> None:
    inner = zip_file(tmp_path / "inner.zip", {"a": b"1"}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    nest(tmp_path, "data/outer.zip", {"outer/inner.zip": inner, "outer/b": b"2"})
    assert extract_nested(tmp_path) == 1
    assert found(tmp_path) == {"data/outer/inner.zip": inner, "data/outer/b": b"2"}


def test_a_nested_archive_whose_place_is_taken_stays_packed(tmp_path: Path) -> None:
    nest(tmp_path, "train.zip", {"train/1.jpg": b"1"})
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.jpg").write_bytes(b"here before")
    display, said = terminal()
    assert extract_nested(tmp_path, display) == 0
    assert "train.zip stays packed: train is there already" in said.getvalue()
    assert (tmp_path / "train" / "1.jpg").read_bytes() == b"here before"
    assert (tmp_path / "train.zip").exists()


def test_a_hostile_nested_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = nest(tmp_path, "data/train.zip", {"fine": b"1", "../../outside": b"2"})
    with pytest.raises(BadArchive, match=r"train\.zip would write outside"):
        extract_nested(tmp_path)
    assert set(tmp_path.rglob("*")) == {tmp_path / "data", archive}


def test_what_is_damaged_is_told_from_what_is_unsafe(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    archive.write_bytes(archive.read_bytes()[:-30])
    assert type(refused(archive, "not a zip file")) is BrokenArchive
    assert type(refused(zip_file(tmp_path / "b.zip", {"../x": b""}), "outside")) is BadArchive


def test_the_cache_takes_tar_files_and_refuses_as_all_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    assert found(unpacked(tar_file(tmp_path / "a.tar.gz", CONTENT, "w:gz"))) == CONTENT
    with pytest.raises(BadArchive, match="holds what is no file: odd"):
        unpacked(special(tmp_path / "b.tgz", tarfile.FIFOTYPE))
    assert len([path for path in (tmp_path / "cache" / "unpacked").iterdir() if path.is_dir()]) == 1
