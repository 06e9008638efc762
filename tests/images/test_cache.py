from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from store_parts import built, draw_images, read, spec_of

from kagglekit import Recipe, Run, Stage
from kagglekit.cli.cache import cache
from kagglekit.data.archive.cached import unpacked
from kagglekit.images.build import build
from kagglekit.images.cache import cached_archives, cached_stores
from kagglekit.images.store import INFO, StoreSpec, open_store
from kagglekit.runs.info import Record
from kagglekit.system.errors import UsageError
from kagglekit.system.in_use import release


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "250")  # of the table, since pytest's folders have long names


@pytest.fixture
def spec(tmp_path: Path) -> StoreSpec:
    return spec_of(draw_images(tmp_path / "pets"), side=24)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cache, arguments)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_stores_are_shown_with_data_folder_size_and_bytes(spec: StoreSpec, tmp_path: Path) -> None:
    built(spec)
    built(spec_of(spec.root, side=16, fit="long"))
    shown = run().output
    assert str(tmp_path / "pets") in shown
    assert "24 px short" in shown
    assert "16 px long" in shown
    assert f"2 image stores, 0.0 MB in {tmp_path / 'cache'}" in shown
    assert "incomplete" not in shown


def test_the_bytes_shown_are_those_on_the_disk(spec: StoreSpec) -> None:
    store = built(spec)
    (found,) = cached_stores()
    assert found.n_bytes == sum(path.stat().st_size for path in store.folder.iterdir())
    assert (found.images, found.side, found.fit, found.complete) == (10, 24, "short", True)


def test_a_store_that_is_not_finished_is_shown_as_such(spec: StoreSpec) -> None:
    steps = build(spec, read, threads=1)
    next(steps)
    steps.close()
    assert "incomplete" in run().output


def test_an_empty_cache_is_said_to_be_empty(tmp_path: Path) -> None:
    assert run().output == f"the cache is empty: {tmp_path / 'cache'}\n"
    assert run("--clear", "--yes").exit_code == 0


def test_clear_removes_every_store(spec: StoreSpec, tmp_path: Path) -> None:
    built(spec)
    built(spec_of(spec.root, side=16))
    result = run("--clear", "--yes")
    assert "removed 2 image stores" in result.output
    assert left_in(tmp_path / "cache" / "stores") == []
    assert len(left_in(spec.root)) == 10


def test_clear_leaves_alone_what_kagglekit_did_not_make(spec: StoreSpec, tmp_path: Path) -> None:
    store = built(spec)
    stores = tmp_path / "cache" / "stores"
    other = built(spec_of(spec.root, side=16))
    (other.folder / "notes.txt").write_text("mine")
    (stores / "thesis").mkdir()
    (stores / "thesis" / "pixels.u8").write_bytes(b"mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pixels.u8").write_bytes(b"mine")
    (stores / ("0" * 32)).symlink_to(elsewhere)
    (store.folder / INFO).unlink()
    (store.folder / INFO).symlink_to(elsewhere / "pixels.u8")
    own, others = store.folder.name, other.folder
    del store, other
    assert run("--clear", "--yes").exit_code == 0
    assert left_in(stores) == sorted(["0" * 32, "thesis", "pixels.u8", others.name, "notes.txt"])
    assert not (stores / own).exists()
    assert (elsewhere / "pixels.u8").read_bytes() == b"mine"


def test_clear_leaves_a_store_that_is_being_built(spec: StoreSpec) -> None:
    steps = build(spec, read, threads=1)
    next(steps)
    result = run("--clear", "--yes")
    assert f"in use, not removed: {spec.folder}" in result.output
    assert "removed nothing, 0.0 MB" in result.output
    assert list(steps)[-1] == 10
    assert "removed 1 image store," in run("--clear", "--yes").output


def test_clear_without_a_terminal_asks_for_yes(spec: StoreSpec) -> None:
    built(spec)
    result = run("--clear")
    assert isinstance(result.exception, UsageError)
    assert "--yes" in result.exception.hint
    assert len(cached_stores()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1)])
def test_clear_asks_on_a_terminal(spec: StoreSpec, answer: str, left: int) -> None:
    built(spec)
    person, terminal = os.openpty()
    os.write(person, f"{answer}\n".encode())
    code = "from kagglekit.cli.cache import cache; cache(['--clear'])"
    asked = subprocess.run([sys.executable, "-c", code], stdin=terminal, capture_output=True, text=True)
    os.close(terminal)
    os.close(person)
    assert "Remove 1 image store, 0.0 MB?" in asked.stdout
    assert len(cached_stores()) == left


def test_yes_alone_is_refused() -> None:
    assert isinstance(run("--yes").exception, UsageError)


def aged(folder: Path, days: float) -> None:
    """Let a store be used for the last time some days ago."""
    then = time.time() - 86_400 * days
    for path in folder.iterdir():
        os.utime(path, (then, then))


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Stores of three folders, not used for 1, 10 and 20 days."""
    folders = []
    for n, (name, days) in enumerate((("pets", 1), ("dogs", 10), ("cats", 20)), 4):
        folders.append(built(spec_of(draw_images(tmp_path / name, n), side=24)).folder)
        aged(folders[-1], days)
    return folders


def test_what_was_not_used_for_long_or_is_too_much_is_removed(three: list[Path]) -> None:
    assert "nothing to remove" in run("--older-than", "30d", "--yes").output
    assert "removed 1 image store," in run("--older-than", "2w", "--yes").output
    assert [folder.exists() for folder in three] == [True, True, False]
    size = sum(store.n_bytes for store in cached_stores())
    assert "nothing to remove" in run("--max-size", f"{size}", "--yes").output
    assert "removed 1 image store," in run("--max-size", f"{size - 1}", "--yes").output
    assert [folder.exists() for folder in three] == [True, False, False]
    assert "is no age such as 30d" in str(run("--older-than", "soon").output)
    assert isinstance(run("--clear", "--max-size", "1GB").exception, UsageError)


def test_what_a_process_uses_stays(spec: StoreSpec, archive: Path, tmp_path: Path) -> None:
    store = built(spec)
    unpacked(tmp_path / "train.zip")
    shown = run("--clear", "--yes").output
    assert f"in use, not removed: {spec.folder}" in shown
    assert f"in use, not removed: {archive}" in shown
    assert int(store.image(0).sum()) > 0
    del store
    release(archive.with_name(f"{archive.name}.used"))
    assert "removed 1 image store and 1 unpacked archive" in run("--clear", "--yes").output


def test_the_run_that_used_a_store_is_shown(spec: StoreSpec, tmp_path: Path) -> None:
    built(spec)
    for name in ("20260101-000000-old", "20260102-000000-new"):
        own = Run(tmp_path / "runs" / "pets" / name)
        own.write_recipe(Recipe(arch="net", stages=(Stage(name="head", size=32),)))
        Record.of(own.info_file).update(competition="pets", plugin="pets", status="finished", data=str(spec.root))
    shown = run("--out", str(tmp_path / "runs"))
    assert "20260102-000000-new and 1 more" in shown.output


def test_when_the_disk_runs_short_the_stores_not_used_for_longest_go_first(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = iter([4e9, 4e9, 6e9, 6e9])  # bytes: before, before the first, after it, and at the next build
    monkeypatch.setattr("kagglekit.images.make_room.free_bytes", lambda folder: next(left))
    built(spec_of(draw_images(tmp_path / "birds"), side=24))
    assert [folder.exists() for folder in three] == [True, True, False]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: less than 5.00 GB of the disk is free: removed 1 cached image store, ")
    assert "not used for 20 days or more; KAGGLEKIT_KEEP_CACHE=1 turns this off" in said


def test_room_is_made_neither_from_what_is_in_use_nor_from_the_same_data_nor_if_that_is_turned_off(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kagglekit.images.make_room.free_bytes", lambda folder: 0)
    used = open_store(spec_of(tmp_path / "cats", side=24))
    monkeypatch.setenv("KAGGLEKIT_KEEP_CACHE", "1")
    built(spec_of(tmp_path / "pets", side=16))
    assert all(folder.exists() for folder in three)
    monkeypatch.delenv("KAGGLEKIT_KEEP_CACHE")
    built(spec_of(tmp_path / "pets", side=12))
    assert [folder.exists() for folder in three] == [True, False, True]
    assert len(used) == 6


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return the folder in the cache where ``train.zip``, 3 MB in 2 files, was unpacked."""
    with zipfile.ZipFile(tmp_path / "train.zip", "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("train/1.jpg", bytes(1_000_000))
        content.writestr("train/deep/2.jpg", bytes(2_000_000))
    folder = unpacked(tmp_path / "train.zip")
    release(folder.with_name(f"{folder.name}.used"))  # as if another process had unpacked it
    return folder


def test_unpacked_archives_are_shown_with_their_size(spec: StoreSpec, archive: Path, tmp_path: Path) -> None:
    (found,) = cached_archives()
    assert (found.folder, found.name, found.n_bytes, found.complete) == (archive, "train", 3_000_000, True)
    shown = run().output
    assert any("3.0 MB" in line and line.rstrip().endswith("train") for line in shown.splitlines())
    assert f"1 unpacked archive, 3.0 MB in {tmp_path / 'cache'}" in shown
    built(spec)
    assert "1 image store and 1 unpacked archive, 3.0 MB" in run().output


def test_clear_removes_unpacked_archives_too_and_they_can_be_unpacked_again(
    spec: StoreSpec, archive: Path, tmp_path: Path
) -> None:
    built(spec)
    assert "removed 1 image store and 1 unpacked archive, 3.0 MB" in run("--clear", "--yes").output
    assert left_in(tmp_path / "cache") == ["stores", "unpacked"]
    assert unpacked(tmp_path / "train.zip") == archive
    assert len(left_in(archive)) == 4


def test_an_archive_that_was_not_unpacked_to_the_end_is_shown_and_removed(archive: Path) -> None:
    archive.rename(archive.with_name(f"{archive.name}.part"))
    (found,) = cached_archives()
    assert (found.folder, found.n_bytes, found.complete) == (archive, 3_000_000, False)
    assert "incomplete" in run("--clear", "--yes").output
    assert left_in(archive.parent) == []


def test_clear_leaves_an_archive_that_is_being_unpacked_and_folders_of_others(archive: Path, tmp_path: Path) -> None:
    (archive.parent / "thesis").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    (archive.parent / f"link-{'0' * 16}").symlink_to(elsewhere)
    (archive / "inner").symlink_to(elsewhere)
    with FileLock(archive.with_name(f"{archive.name}.lock")):
        assert f"in use, not removed: {archive}" in run("--clear", "--yes").output
    assert len(left_in(archive)) == 5
    assert "removed 1 unpacked archive" in run("--clear", "--yes").output
    assert left_in(archive.parent) == [f"link-{'0' * 16}", "thesis"]
    assert (elsewhere / "mine.txt").read_text() == "mine"


def test_showing_the_cache_imports_no_heavy_library(spec: StoreSpec) -> None:
    built(spec)
    code = (
        "import sys; from kagglekit.cli.cache import cache; cache([], standalone_mode=False);"
        "print(sorted({'torch', 'cv2', 'pandas', 'timm', 'PIL'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("[]\n")
