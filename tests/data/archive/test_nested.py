"""Archives of all kinds in a download are unpacked in place, and those in them."""

from __future__ import annotations

import gzip
import io
import os
import signal
import struct
import tarfile
import zipfile
from pathlib import Path

import forks
import pytest
from archives import TARS, found, tar_file, zip_file
from rich.console import Console
from seven_zip_files import seven_zip_file, seven_zipped, stored_7z

from kagglekit.data.archive import extract_nested
from kagglekit.data.archive.budget import LEAST, Budget
from kagglekit.data.archive.destination import BadArchive, BrokenArchive, LargeArchive
from kagglekit.data.archive.extract import extract
from kagglekit.data.archive.parts import Joined, parts_of, unpacked_name
from kagglekit.system.display.console import Display

IMAGES = {"a.jpg": b"a" * 99, "b.jpg": b"b" * 99}


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def cut(folder: Path, name: str, content: bytes, n: int = 3) -> list[Path]:
    size = -(-len(content) // n)
    files = [folder / f"{name}.{number + 1:03}" for number in range(n)]
    for number, file in enumerate(files):
        file.write_bytes(content[number * size : (number + 1) * size])
    return files


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_tar_files_become_folders_of_their_names(tmp_path: Path, suffix: str) -> None:
    mode = TARS[suffix.replace("tgz", "tar.gz")]
    tar_file(tmp_path / f"train.{suffix}", IMAGES, mode)
    tar_file(tmp_path / f"test.{suffix}", {f"test/{name}": content for name, content in IMAGES.items()}, mode)
    assert extract_nested(tmp_path) == 2
    assert found(tmp_path) == {f"{part}/{name}": IMAGES[name] for part in ("train", "test") for name in IMAGES}


def test_bare_archives_stay_apart(tmp_path: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    seven_zip_file(tmp_path / "test.7z", IMAGES)
    assert extract_nested(tmp_path) == 2
    assert found(tmp_path) == {f"{part}/{name}": IMAGES[name] for part in ("train", "test") for name in IMAGES}


def test_archives_in_archives_are_unpacked_with_names_of_their_own(tmp_path: Path) -> None:
    seven_zip_file(tmp_path / "train.tar.7z", {"train.tar": tarred(IMAGES)})
    zip_file(tmp_path / "all.zip", {"all/test.zip": zipped(IMAGES), "all/x.tgz": tarred({"1": b"1"}, "w:gz")})
    assert extract_nested(tmp_path) == 5
    assert found(tmp_path) == {
        **{f"train/{name}": content for name, content in IMAGES.items()},
        **{f"all/test/{name}": content for name, content in IMAGES.items()},
        "all/x/1": b"1",
    }


def test_packed_tables_become_files(tmp_path: Path) -> None:
    zip_file(tmp_path / "train.csv.zip", {"__MACOSX/._train.csv": b"litter", "train.csv": b"1"})
    zip_file(tmp_path / "labels.zip", {"labels.csv": b"2"})
    seven_zip_file(tmp_path / "test.json.7z", {"data/processed/test.json": b"3"})
    seven_zip_file(tmp_path / "sample_submission.csv.7z", {"sample_submission.csv": b"4"})
    (tmp_path / "more.csv.gz").write_bytes(gzip.compress(b"5"))
    assert extract_nested(tmp_path) == 5
    assert found(tmp_path) == {
        "train.csv": b"1",
        "labels.csv": b"2",
        "test.json": b"3",
        "sample_submission.csv": b"4",
        "more.csv": b"5",
    }


def test_numbered_parts_are_one_archive(tmp_path: Path) -> None:
    random = {name: bytes(range(256)) * 9 for name in IMAGES}
    cut(tmp_path, "train.zip", zipped(random))
    cut(tmp_path, "test.7z", seven_zipped(random))
    cut(tmp_path, "more.tar.gz", tarred(random, "w:gz"), 2)
    assert extract_nested(tmp_path) == 3
    assert found(tmp_path) == {f"{part}/{name}": random[name] for part in ("train", "test", "more") for name in IMAGES}


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_part_is_reported(tmp_path: Path, number: int) -> None:
    cut(tmp_path, "train.zip", zipped(IMAGES))[number].unlink()
    with pytest.raises(
        BrokenArchive, match=r"train\.zip\.00[23] is a part of a split archive, and one before it is mi"
    ):
        extract_nested(tmp_path)
    (tmp_path / f"train.zip.00{number + 1}").write_bytes(b"")
    with pytest.raises(BrokenArchive, match=r"cannot unpack .*train\.zip\.001"):
        extract_nested(tmp_path)


def spanned(folder: Path, members: dict[str, bytes]) -> None:
    """Cut a zip file into train.z01, ..., train.zip, each member in a file of its own, as zip -s does."""
    whole = bytearray(zip_file(folder / "train.zip", members).read_bytes())
    with zipfile.ZipFile(folder / "train.zip") as archive:
        starts = [member.header_offset for member in archive.infolist()]
        entry = archive.start_dir
    ends = [*starts[1:], entry]
    for number, (name, start, end) in enumerate(zip(members, starts, ends, strict=True)):
        (folder / f"train.z{number + 1:02}").write_bytes(whole[start:end])
        struct.pack_into("<H", whole, entry + 34, number)
        struct.pack_into("<I", whole, entry + 42, 0)
        entry += 46 + len(name)
    struct.pack_into("<HH", whole, len(whole) - 18, len(members), len(members))
    struct.pack_into("<I", whole, len(whole) - 6, 0)
    (folder / "train.zip").write_bytes(whole[ends[-1] :])


def test_a_zip_file_that_spans_several_is_unpacked(tmp_path: Path) -> None:
    spanned(tmp_path, IMAGES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.z01", "train.z02", "train.zip"]
    assert extract_nested(tmp_path) == 1
    assert found(tmp_path) == {f"train/{name}": content for name, content in IMAGES.items()}


def test_split_archives_are_checked_like_whole_ones(tmp_path: Path) -> None:
    for place, write in (
        ("numbered", lambda folder, members: cut(folder, "train.zip", zipped(members))),
        ("spanned", spanned),
    ):
        folder = tmp_path / place
        folder.mkdir()
        write(folder, {"fine": b"1", "../outside": b"2"})
        with pytest.raises(BadArchive, match="would write outside its folder, or holds links: "):
            extract_nested(folder)
        assert not [path for path in tmp_path.rglob("*") if path.name in ("outside", "fine", "train")]
    (tmp_path / "7z").mkdir()
    whole = stored_7z(tmp_path / "whole", [("../outside", b"2")]).read_bytes()
    cut(tmp_path / "7z", "train.7z", whole)
    with pytest.raises(BadArchive, match="would write outside its folder, or holds links: "):
        extract_nested(tmp_path / "7z")


def test_a_span_that_names_a_part_too_many_is_refused(tmp_path: Path) -> None:
    spanned(tmp_path, IMAGES)
    last = bytearray((tmp_path / "train.zip").read_bytes())
    struct.pack_into("<H", last, 34, 7)
    (tmp_path / "train.zip").write_bytes(last)
    with pytest.raises(BrokenArchive, match="3 parts are there, a member is in part 8"):
        extract_nested(tmp_path)


def test_a_split_zip_file_of_a_kind_that_is_not_read_is_not_called_damaged(tmp_path: Path) -> None:
    locator = b"PK\6\7" + struct.pack("<LQL", 1, 0, 3)
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 2, 2, 1, 1, 50, 0, 0)
    (tmp_path / "train.z01").write_bytes(b"PK\7\x08" + bytes(99))
    (tmp_path / "train.zip").write_bytes(bytes(99) + locator + end)
    with pytest.raises(BadArchive, match="it is split, and larger than 4 GB\nunpack it yourself") as caught:
        extract_nested(tmp_path)
    assert not isinstance(caught.value, BrokenArchive)


def test_a_span_without_its_end_is_reported(tmp_path: Path) -> None:
    spanned(tmp_path, IMAGES)
    (tmp_path / "train.zip").unlink()
    with pytest.raises(BrokenArchive, match=r"lacks the last part of split archives: train\.zip"):
        extract_nested(tmp_path)


def test_an_archive_that_contains_itself_ends_in_an_error(tmp_path: Path) -> None:
    content = b""
    for _ in range(12):
        content = zipped({"again.zip": content})
    (tmp_path / "again.zip").write_bytes(content)
    with pytest.raises(BadArchive, match="is packed more than 8 times, one archive in another"):
        extract_nested(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["again.zip"]


def test_all_kinds_and_levels_share_one_budget(tmp_path: Path) -> None:
    zeros = bytes(4 * 10**6)
    inner = zipped(
        {"a.zip": zipped({"0": zeros}), "b.tgz": tarred({"0": zeros}, "w:gz"), "c.7z": seven_zipped({"0": zeros})}
    )
    bomb = zip_file(tmp_path / "bomb.zip", {"inner.zip": inner})
    with pytest.raises(LargeArchive, match="would unpack to more than 10 MB"):
        extract_nested(tmp_path, budget=(budget := Budget(fetched=bomb.stat().st_size)))
    assert budget.used <= LEAST
    assert set(tmp_path.rglob("*")) == {bomb}


def test_a_compressed_table_has_the_budget_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(20 * 10**6)))
    with pytest.raises(LargeArchive, match=r"\(at a.csv\) would unpack to more than 10 MB"):
        extract_nested(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.csv.gz"]


def test_what_a_killed_call_left_is_no_obstacle_and_no_data(tmp_path: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    room = tmp_path / ".train.zip.unpacking"
    room.mkdir()
    zip_file(room / "half.zip", {"x": b"1"})
    (room / "a.jpg").write_bytes(b"half")
    assert extract_nested(tmp_path) == 1
    assert found(tmp_path) == {f"train/{name}": content for name, content in IMAGES.items()}


def test_litter_of_file_managers_is_no_archive(tmp_path: Path) -> None:
    zip_file(tmp_path / "train.zip", {"train/a.jpg": b"1", "__MACOSX/._train.zip": b"litter"})
    (tmp_path / "._train.zip").write_bytes(b"litter")
    assert extract_nested(tmp_path) == 1
    assert found(tmp_path) == {"train/a.jpg": b"1", "._train.zip": b"litter"}


def test_progress_names_each_archive(tmp_path: Path) -> None:
    said = io.StringIO()
    seven_zip_file(tmp_path / "train.7z", {"a": bytes(3 * 10**6)})
    extract(tmp_path / "train.7z", tmp_path / "out", Display(Console(file=said, force_terminal=True, width=100)))
    assert "unpacking train.7z" in said.getvalue()


def test_parts_are_read_as_one_file(tmp_path: Path) -> None:
    whole = bytes(range(250)) * 40
    files = cut(tmp_path, "a.zip", whole, 7)
    assert parts_of(files[3]) == files
    with Joined(files) as file:
        assert file.read() == whole
        file.seek(-3000, 2)
        assert file.read(2000) == whole[-3000:-1000]
        file.seek(9)
        assert (file.read(5), file.tell()) == (whole[9:14], 14)
        with pytest.raises(ValueError, match="before the beginning"):
            file.seek(-1, 0)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("train.tar.7z", "train"),
        ("a.csv.zip.001", "a.csv"),
        ("v1.2.ZIP", "v1.2"),
        ("b.tgz", "b"),
        ("c.json.gz", "c.json"),
        (".zip", ".zip"),
        ("scan.nii.gz", "scan.nii.gz"),
    ],
)
def test_names_lose_their_suffixes(name: str, plain: str) -> None:
    assert unpacked_name(name) == plain


KILLED = """
import os, pathlib, signal
from kagglekit.data.archive import extract_nested
from kagglekit.data.archive.cached import unpacked
from kagglekit.data.archive.destination import Place

write = Place.write

def die_later(place, parts, chunks):
    yield from write(place, parts, chunks)
    if place.archive.name == "inner.tgz":
        os.kill(os.getpid(), signal.SIGKILL)

Place.write = die_later
folder = pathlib.Path("data")
"""


@pytest.mark.parametrize("call", ["extract_nested(folder)", "unpacked(folder / 'train.7z')"])
def test_a_killed_call_leaves_nothing_that_looks_complete(tmp_path: Path, call: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    seven_zip_file(data / "train.7z", {**IMAGES, "inner.tgz": tarred(IMAGES, "w:gz")})
    environment = {**os.environ, **forks.SET, "KAGGLEKIT_CACHE": str(tmp_path / "cache")}
    assert forks.run(["-c", KILLED + call], tmp_path, environment).returncode == -signal.SIGKILL
    assert [path.name for path in data.iterdir() if not path.name.startswith(".")] == ["train.7z"]
    left = [path for path in (tmp_path / "cache").glob("unpacked/*") if path.suffix != ".lock"]
    assert all(path.suffix == ".part" for path in left)
    done = forks.run(["-c", KILLED + f"Place.write = write\n{call}"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    whole = (
        data / "train"
        if "nested" in call
        else next(path for path in (tmp_path / "cache" / "unpacked").iterdir() if path.is_dir())
    )
    assert found(whole) == {**IMAGES, **{f"inner/{name}": content for name, content in IMAGES.items()}}
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".unpacking")]
