"""Archives are unpacked: kagglekit.data.archive.extract, unpack, unpack_zip, unpack_tar."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import forks
import pytest
from archives import CONTENT, TARS, ZIPS, found, patched, size, special, tar_file, zip_file
from rich.console import Console

from kagglekit import unpacked
from kagglekit.data.archive.extract import BadArchive, extract
from kagglekit.data.archive.nested import extract_nested
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError


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


@pytest.mark.parametrize("make", [zip_file, tar_file])
def test_names_that_only_look_like_devices_are_taken(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    content = dict.fromkeys(["console.txt", "com10.txt", "a.aux", "a b/null", ".hidden", "lpt/x..y"], b"1")
    extract(make(tmp_path / "good", content), tmp_path / "out")
    assert found(tmp_path / "out") == content


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


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5 * 10**8))
    zipped = zip_file(tmp_path / "a.zip", {"a": b"1", "b": b"1"})
    for name in "ab":
        patched(zipped, name, central=(24, size(4 * 10**8)))
    with pytest.raises(UserError, match=r"a\.zip needs 0\.8 GB, but .*out has 0\.5 GB left\nfree some disk") as caught:
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
        "from kagglekit.data.archive.extract import BadArchive, extract\n"
        "from kagglekit.system.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n    extract(pathlib.Path('a.zip'), pathlib.Path('out'))\n"
        "except UserError as error:\n    print(type(error).__name__, error)\n"
    )
    done = forks.run(["-c", code], tmp_path, {**os.environ, **forks.SET})
    assert done.stdout == (
        "UserError cannot unpack a.zip into out (at large): File too large\n"
        "free some disk space, or choose another folder\n"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", CONTENT)
    with pytest.raises(UserError, match=r"cannot unpack .*a\.zip into .*a\.zip/out: Not a directory"):
        extract(archive, archive / "out")


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


def test_a_nested_archive_whose_place_is_taken_stays_packed(tmp_path: Path) -> None:
    nest(tmp_path, "train.zip", {"train/1.jpg": b"1"})
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.jpg").write_bytes(b"here before")
    display, said = terminal()
    assert extract_nested(tmp_path, display) == 0
    assert "train.zip stays packed: train exists already" in said.getvalue()
    assert (tmp_path / "train" / "1.jpg").read_bytes() == b"here before"
    assert (tmp_path / "train.zip").exists()


def test_a_hostile_nested_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = nest(tmp_path, "data/train.zip", {"fine": b"1", "../../outside": b"2"})
    with pytest.raises(BadArchive, match=r"train\.zip would write outside"):
        extract_nested(tmp_path)
    assert set(tmp_path.rglob("*")) == {tmp_path / "data", archive}


def test_the_cache_takes_tar_files_and_refuses_as_all_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    assert found(unpacked(tar_file(tmp_path / "a.tar.gz", CONTENT, "w:gz"))) == CONTENT
    with pytest.raises(BadArchive, match="holds special members that are not files: odd"):
        unpacked(special(tmp_path / "b.tgz", tarfile.FIFOTYPE))
    assert len([path for path in (tmp_path / "cache" / "unpacked").iterdir() if path.is_dir()]) == 1
