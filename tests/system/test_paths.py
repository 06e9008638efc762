"""The cache folder and its places: links and other people's files are left alone."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest
from store_parts import built, draw_images, spec_of

from kagglekit.images.cache import cached_stores, remove
from kagglekit.images.store import ENTRIES, JOURNAL, LOCK, PIXELS, USED
from kagglekit.system import paths
from kagglekit.system.files import open_own, write_text
from kagglekit.system.paths import cache_folder, own_place, private_folder

SOMEBODY = 4242
as_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files to somebody else"
)


@pytest.fixture(autouse=True)
def cache_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "cache").mkdir()
    paths._warn.cache_clear()
    paths._mapped_user.cache_clear()
    return tmp_path / "cache"


def shared(folder: Path) -> Path:
    folder.chmod(0o1777)
    return folder


def test_what_is_not_there_or_the_users_own_is_used(cache_here: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert own_place("stores", "a") == cache_here / "stores" / "a"
    (cache_here / "stores" / "a").mkdir(parents=True)
    assert own_place("stores", "a", files=("x",)) == cache_here / "stores" / "a"
    assert not caplog.records
    assert not private_folder().exists()


@pytest.mark.parametrize("link", ["stores", "stores/a", "stores/a/pixels"])
def test_a_link_is_left_alone_with_one_line_and_a_private_folder_is_used(
    cache_here: Path, tmp_path: Path, link: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (cache_here / link).parent.mkdir(parents=True, exist_ok=True)
    (cache_here / link).symlink_to(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        found = [own_place("stores", "a", files=("pixels",)) for _ in range(3)]
    assert found == [private_folder() / "stores" / "a"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"warning: {cache_here / link} is a link or belongs to another user; using {private_folder()} instead"
    ]
    assert private_folder().stat().st_mode & 0o777 == 0o700


def test_a_file_with_a_second_name_elsewhere_is_left_alone(cache_here: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (cache_here / "stores" / "a").mkdir(parents=True)
    (cache_here / "stores" / "a" / "pixels").hardlink_to(tmp_path / "precious")
    assert own_place("stores", "a", files=("pixels",)) == private_folder() / "stores" / "a"


def test_a_cache_folder_that_is_the_users_own_link_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "large-disk")
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "link"))
    assert own_place("stores", "a") == tmp_path / "link" / "stores" / "a"


@as_root
def test_in_a_shared_folder_somebody_elses_places_are_left_alone(cache_here: Path) -> None:
    (shared(cache_here) / "stores" / "a").mkdir(parents=True)
    os.chown(cache_here / "stores" / "a", SOMEBODY, -1)
    assert own_place("stores", "a") == private_folder() / "stores" / "a"
    assert own_place("stores", "b") == cache_here / "stores" / "b"
    os.chown(cache_here / "stores", SOMEBODY, -1)
    assert own_place("stores", "b") == private_folder() / "stores" / "b"


@as_root
def test_somebody_elses_link_to_a_cache_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.lchown(tmp_path / "link", SOMEBODY, -1)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "link"))
    assert own_place("stores", "a") == private_folder() / "stores" / "a"


@as_root
def test_root_in_a_container_uses_the_folder_of_the_hosts_user(cache_here: Path) -> None:
    (cache_here / "stores").mkdir()
    for folder in (cache_here, cache_here / "stores"):
        os.chown(folder, SOMEBODY, -1)
    assert own_place("stores", "a") == cache_here / "stores" / "a"
    assert own_place("plugins", own_root=True) == private_folder() / "plugins"  # what runs code must be root's own
    cache_here.chmod(0o777)
    assert own_place("stores", "a") == private_folder() / "stores" / "a"


@as_root
def test_on_a_drive_that_gives_new_files_to_one_user_that_user_counts_as_this_one(
    cache_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared(cache_here) / "stores").mkdir()
    os.chown(cache_here / "stores", SOMEBODY, -1)
    monkeypatch.setattr(paths, "_mapped_user", lambda root: SOMEBODY)  # as a network drive with root_squash does
    assert own_place("stores", "a") == cache_here / "stores" / "a"


@as_root
def test_a_private_folder_that_somebody_else_has_taken_is_not_used(cache_here: Path) -> None:
    (cache_here / "stores").symlink_to(cache_here)
    private_folder().mkdir(parents=True)
    os.chown(private_folder(), SOMEBODY, -1)
    found = own_place("stores", "a")
    assert not found.is_relative_to(private_folder())
    assert found.parents[1].stat().st_mode & 0o777 == 0o700
    assert found.parents[1].stat().st_uid == os.geteuid()


@pytest.mark.parametrize("planted", ["", PIXELS, JOURNAL, ENTRIES, LOCK, USED, "info.json"])
def test_a_store_is_never_built_through_a_link(
    cache_here: Path, tmp_path: Path, planted: str, caplog: pytest.LogCaptureFixture
) -> None:
    images = draw_images(tmp_path / "images")
    place = spec_of(images).folder / planted
    target = tmp_path / "precious"
    if planted:
        place.parent.mkdir(parents=True)
        target.write_text("precious")
    else:
        place.parent.mkdir(parents=True)
        target.mkdir()
    place.symlink_to(target)
    folder = built(spec_of(images)).folder
    assert folder.is_relative_to(private_folder())
    assert (target.read_text() if planted else [*target.iterdir()]) == ("precious" if planted else [])
    assert len(caplog.records) == 1
    listed = [each for each in cached_stores() if each.folder == folder]
    assert [each.complete for each in listed] == [True]
    assert remove(listed[0])
    assert not folder.exists()


def test_a_file_that_is_a_link_is_not_opened_and_a_planted_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"link|loop"):
        open_own(tmp_path / "link")
    (tmp_path / f".facts.json.{os.getpid()}.part").symlink_to(tmp_path / "precious")
    write_text(tmp_path / "facts.json", "facts")
    assert (tmp_path / "facts.json").read_text() == "facts"
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_cache_folder_is_the_one_that_was_chosen(cache_here: Path) -> None:
    assert cache_folder() == cache_here
