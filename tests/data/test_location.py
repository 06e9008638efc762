"""Data folders made of fetched files, without a server: kagglekit.kaggle.data_folder, kagglekit.data.location."""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from kagglekit.data import location
from kagglekit.data.archive.extract import BadArchive, LargeArchive
from kagglekit.data.location import MARKER, check_given, existing_data, workshop
from kagglekit.kaggle.data_folder import download
from kagglekit.kaggle.download import Source
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.types.competition import Competition
from kagglekit.types.download import DownloadOptions


def test_on_kaggle_the_attached_folder_is_used_in_place(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_DATA", str(tmp_path / "own"))
    monkeypatch.setattr(location, "KAGGLE_INPUT", tmp_path / "input")
    facts = Competition(title="Fish", slug="fish-2026")
    assert existing_data(facts, "fish") is None
    for place in (
        tmp_path / "input" / "fish-2026",
        tmp_path / "input" / "competitions" / "fish-2026",
        tmp_path / "own" / "fish",
    ):
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("id,label\n")
        assert existing_data(facts, "fish") == place
    shutil.rmtree(tmp_path / "own")
    assert existing_data(Competition(title="Open"), "fish") is None
    (tmp_path / "input" / "fish-2026" / "labels.csv").unlink()
    (tmp_path / "input" / "competitions" / "fish-2026" / "labels.csv").rename(tmp_path / "labels.csv")
    for name in (".DS_Store", "Thumbs.db", ".gitkeep", MARKER):
        (tmp_path / "input" / "fish-2026" / name).write_text("no data")
    assert existing_data(facts, "fish") is None


class Asked(Exception):
    """Somebody was asked for a file."""


def nobody() -> str:
    raise Asked


def get(folder: Path, *names: str, keep: bool = False, most: int | None = None) -> str:
    """Download files that an earlier call has fetched; return what was said."""
    said = io.StringIO()
    fetching = DownloadOptions(Display(Console(file=said, width=1000)), 1, keep, most)
    assert download([Source(name, nobody) for name in names], "fish", folder, fetching, RetryPolicy(1)) == folder
    return said.getvalue()


def fetched(folder: Path, name: str, content: bytes) -> Path:
    """Write what a call leaves that was stopped after it had fetched a file."""
    workshop(folder).mkdir(parents=True, exist_ok=True)
    file = workshop(folder) / name
    file.write_bytes(content)
    return file


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_refused_archive_is_kept_and_refused_again_without_asking(tmp_path):
    folder = tmp_path / "fish"
    file = fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1", "a/C:/evil.txt": b"2"}))
    for _ in range(2):
        with pytest.raises(BadArchive, match=r"fish\.zip has names that mean .* on Windows: a/C:/evil\.txt") as caught:
            get(folder, "fish.zip")
        assert caught.value.hint == f"the archive is kept but not used; to fetch it again, remove {file}"
    assert file.exists()
    assert not folder.exists()


def test_a_broken_archive_in_the_archive_has_the_outer_one_fetched_anew(tmp_path):
    folder = tmp_path / "fish"
    inner = zip_of(**{"1.jpg": bytes(999)})[:-30]
    fetched(folder, "fish.zip", zip_of(**{"labels.csv": b"1", "train.zip": inner}))
    with pytest.raises(UserError, match=r"cannot unpack .*train\.zip.*") as caught:
        get(folder, "fish.zip")
    assert caught.value.hint == "run the same command again: it downloads fish.zip once more"
    assert not folder.exists()
    with pytest.raises(Asked):
        get(folder, "fish.zip")


def test_a_refused_archive_in_the_archive_leaves_the_outer_one(tmp_path):
    folder = tmp_path / "fish"
    file = fetched(folder, "fish.zip", zip_of(**{"train.zip": zip_of(**{"../1.jpg": b"1"})}))
    with pytest.raises(BadArchive, match=r"train\.zip would write outside its folder"):
        get(folder, "fish.zip")
    assert file.exists()


def zeros_of(n: int, start: str = "") -> bytes:
    """Return a zip of `n` zips, each of 2 MB of zeros."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2 * 10**6))
    return zip_of(**{f"{start}{number}.zip": inner.getvalue() for number in range(n)})


def test_a_bomb_of_nested_archives_leaves_nothing_and_the_user_may_allow_it(tmp_path):
    folder = tmp_path / "fish"
    file = fetched(folder, "fish.zip", zeros_of(10))
    assert file.stat().st_size < 25_000
    with pytest.raises(LargeArchive, match=r"would unpack to more than 10 MB") as caught:
        get(folder, "fish.zip")
    assert caught.value.hint == "if you trust it, allow more: --max-unpacked 20GB; the archive is kept"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == [file]
    assert "unpacked 10 files" in get(folder, "fish.zip", most=10**8)
    assert sum(path.stat().st_size for path in folder.rglob("zeros")) == 2 * 10**7


def test_all_files_of_a_download_share_one_budget(tmp_path):
    folder = tmp_path / "fish"
    for name in ("one.zip", "two.zip"):
        fetched(folder, name, zeros_of(4, name[0]))
    with pytest.raises(LargeArchive):
        get(folder, "one.zip", "two.zip")
    assert not (workshop(folder) / "unpacked").exists()


def test_images_of_two_archives_without_folders_stay_apart(tmp_path):
    folder = tmp_path / "fish"
    fetched(folder, "train.zip", zip_of(**{"1.jpg": b"train"}))
    fetched(folder, "test.zip", zip_of(**{"1.jpg": b"test"}))
    fetched(folder, "more.zip", zip_of(**{"masks/1.png": b"mask"}))
    fetched(folder, "labels.csv", b"id,label\n")
    get(folder, "train.zip", "test.zip", "more.zip", "labels.csv")
    assert names_in(folder) == {"train", "test", "masks", "labels.csv", MARKER}
    assert [(folder / part / "1.jpg").read_text() for part in ("train", "test")] == ["train", "test"]


def test_a_single_archive_of_images_and_parts_of_one_stay_where_they_were(tmp_path):
    folder = tmp_path / "fish"
    whole = zip_of(**{"1.jpg": b"1", "sub/2.jpg": b"2"})
    fetched(folder, "fish.zip.001", whole[:50])
    fetched(folder, "fish.zip.002", whole[50:])
    fetched(folder, "lists.zip", zip_of(**{"sub/2.txt": b"2"}))
    get(folder, "fish.zip.001", "fish.zip.002", "lists.zip")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[12].*")) == [
        "1.jpg",
        "sub/2.jpg",
        "sub/2.txt",
    ]


def test_archives_with_the_same_file_are_refused(tmp_path):
    folder = tmp_path / "fish"
    for name in ("one.zip", "two.zip"):
        fetched(folder, name, zip_of(**{"labels.csv": name.encode(), ".DS_Store": b""}))
    with pytest.raises(BadArchive, match=r"two\.zip holds labels\.csv, and so does another file of this download"):
        get(folder, "one.zip", "two.zip")
    assert not folder.exists()


def test_remains_that_cannot_be_removed_are_not_the_archives_fault(tmp_path):
    folder, victim = tmp_path / "fish", tmp_path / "victim"
    file = fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1"}))
    victim.mkdir()
    (victim / "a.csv").write_text("mine")
    (workshop(folder) / "unpacked").symlink_to(victim)
    with pytest.raises(UserError, match=r"cannot remove .*unpacked, left by an interrupted download") as caught:
        get(folder, "fish.zip")
    assert not isinstance(caught.value, BadArchive)
    assert file.exists()
    assert (victim / "a.csv").read_text() == "mine"


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_a_file_is_copied_is_told(tmp_path):
    folder = tmp_path / "fish"
    fetched(folder, "setid.mat", bytes(50_000))
    with disk_full_after(40_000), pytest.raises(UserError, match=r"cannot copy .*setid\.mat.*: .*\nfree some disk"):
        get(folder, "setid.mat")
    assert "unpacked 1 files" in get(folder, "setid.mat")
    assert (folder / "setid.mat").stat().st_size == 50_000


def root(tmp_path: Path) -> Path:
    return Path("/")


def file_as_workshop(tmp_path: Path) -> Path:
    (tmp_path / ".fish.download").write_text("")
    return tmp_path / "fish"


def folder_as_lock(tmp_path: Path) -> Path:
    (tmp_path / ".fish.lock").mkdir()
    return tmp_path / "fish"


def file_as_folder(tmp_path: Path) -> Path:
    (tmp_path / "fish").write_text("")
    return tmp_path / "fish"


def long_name(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300) / "fish"


def circle(tmp_path: Path) -> Path:
    (tmp_path / "fish").symlink_to("fish")
    return tmp_path / "fish"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (root, "cannot download into /: it is the root of a disk"),
        (file_as_workshop, r"cannot create the folder .*\.fish\.download: File exists"),
        (folder_as_lock, r"cannot lock .*\.fish\.lock: Is a directory"),
        (file_as_folder, r"cannot write to the folder .*: .*fish is a file"),
        (long_name, "File name too long"),
        (circle, "(cannot download into|the name) .*fish"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_anything_is_asked(tmp_path, make, says):
    with pytest.raises(UserError, match=says) as caught:
        get(make(tmp_path), "fish.zip")
    assert "--data DIR" in caught.value.hint


def test_a_mount_point_is_told_before_anything_is_asked(tmp_path, monkeypatch):
    folder = tmp_path / "fish"
    folder.mkdir()

    def busy(self: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    with pytest.raises(UserError, match=r"to .*fish: Device or resource busy.*\n.*if it is a mount point"):
        get(folder, "fish.zip")
    assert names_in(folder) == set()


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
    target, link = tmp_path / "large disk" / "fish", tmp_path / "fish"
    target.mkdir(parents=True)
    link.symlink_to(target)
    fetched(link, "fish.zip", zip_of(**{"a.csv": b"1"}))
    get(link, "fish.zip")
    assert link.is_symlink()
    assert names_in(target) == {"a.csv", MARKER}
    assert names_in(target.parent) == {"fish"}
    assert "complete" in get(link, "fish.zip")


def test_an_empty_folder_stays_where_a_download_fails(tmp_path):
    folder = tmp_path / "fish"
    folder.mkdir()
    with pytest.raises(Asked):
        get(folder, "fish.zip")
    assert names_in(folder) == set()
    assert names_in(workshop(folder)) == set()


def test_what_a_file_manager_left_does_not_stop_a_download_and_other_hidden_files_do(tmp_path):
    folder = tmp_path / "fish"
    fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1"}))
    folder.mkdir()
    for name in (".DS_Store", MARKER, ".gitkeep"):  # of data that somebody has removed
        (folder / name).write_text("")
    with pytest.raises(UserError, match=r"contains files that kagglekit did not download: .*\.gitkeep"):
        get(folder, "fish.zip")
    (folder / ".gitkeep").unlink()
    get(folder, "fish.zip")
    assert names_in(folder) == {"a.csv", MARKER}


@pytest.mark.parametrize("keep", [True, False])
def test_one_killed_before_it_tidied_is_tidied_by_the_next(tmp_path, keep):
    folder = tmp_path / "fish"
    fetched(folder, "fish.ZIP", zip_of(**{"a.csv": b"1"}))
    get(folder, "fish.ZIP")
    fetched(folder, "fish.ZIP", b"as large as the data")
    assert "complete" in get(folder, "fish.ZIP", keep=keep)
    assert names_in(folder) == {"a.csv", MARKER} | ({"fish.ZIP"} if keep else set())
    assert names_in(tmp_path) == {"fish"}


def test_a_complete_folder_needs_no_place_to_write(tmp_path):
    (tmp_path / "fish").mkdir()
    for name in ("a.csv", MARKER):
        (tmp_path / "fish" / name).write_text("")
    assert "complete" in get(tmp_path / "fish", "fish.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["fish"]


def test_a_data_folder_that_is_not_there_is_reported_before_torch_is_loaded() -> None:
    code = """
        import sys
        from click.testing import CliRunner
        from kagglekit.cli import cli
        done = CliRunner().invoke(cli, ["run", "dog-breed", "--data", "nowhere"])
        print("the data folder nowhere does not exist" in done.output, "torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_download_is_only_proposed_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="or run kagglekit download dogs"):
        check_given(tmp_path / "none", Competition(title="Dogs", slug="dogs"), "dogs")
    with pytest.raises(UserError) as caught:
        check_given(tmp_path / "none", Competition(title="Dogs"), "dogs")
    assert caught.value.hint == "pass the folder of the unpacked download with --data"
