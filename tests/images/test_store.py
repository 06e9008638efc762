from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from store_parts import SIZES, built, draw_images, read, spec_of

from kagglekit.images.build import build_smaller, hold
from kagglekit.images.decode import made_store
from kagglekit.images.picture import reduced
from kagglekit.images.store import ENTRIES, PIXELS, StoreSpec, bad_images_error, exists, made, open_store
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.fingerprints import fingerprint, fingerprints
from kagglekit.system.paths import cache_folder
from kagglekit.system.pixel_limit import MAX_PIXELS


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return draw_images(tmp_path / "images")


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("short", [(30, 45), (45, 30), (30, 30), (20, 90), (30, 31)]),
        ("long", [(20, 30), (30, 20), (30, 30), (7, 30), (29, 30)]),
        ("both", [(30, 30), (30, 30), (30, 30), (20, 30), (30, 30)]),
    ],
)
def test_pictures_are_reduced_to_fit_and_never_enlarged(images: Path, fit: str, expected: list) -> None:
    store = built(spec_of(images, side=30, fit=fit))
    assert len(store) == 10
    for row in range(10):
        assert store.image(row).shape == (*expected[row % 5], 3)
        height, width = SIZES[row % 5]
        assert store.aspects[row] == np.float32(width / height)


def test_a_store_never_holds_fewer_pixels_than_asked_unless_the_file_does(images: Path) -> None:
    for side in (1, 7, 20, 33, 47, 200):
        store = built(spec_of(images, side=side))
        for row in range(10):
            assert min(store.image(row).shape[:2]) == min(side, *SIZES[row % 5])


def test_a_picture_of_full_size_is_stored_as_it_was_read(images: Path) -> None:
    spec = spec_of(images, side=500)
    store = built(spec)
    for row, path in enumerate(spec.files):
        assert (store.image(row) == read(path, 0)).all()


def test_reducing_gives_what_pillow_gives() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (75, 100, 3), dtype=np.uint8)
    for height, width in ((30, 40), (74, 99), (10, 100), (1, 1)):
        expected = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        difference = np.abs(reduced(picture, height, width).astype(int) - np.asarray(expected))
        assert difference.max() <= 1


def test_a_picture_is_a_view_of_the_map_and_cannot_be_changed(images: Path) -> None:
    store = built(spec_of(images))
    assert np.shares_memory(store.image(3), store.pixels)
    with pytest.raises(ValueError, match="read-only"):
        store.image(3)[0, 0, 0] = 1


def test_rows_follow_the_order_of_the_files(images: Path) -> None:
    spec = spec_of(images)
    forwards = built(spec)
    backwards = built(StoreSpec(spec.files[::-1], images, 32, "short", "test 1"))
    assert forwards.folder != backwards.folder
    assert backwards.names == forwards.names[::-1]
    for row in range(10):
        assert (forwards.image(row) == backwards.image(9 - row)).all()


def test_the_key_changes_with_whatever_changes_the_bytes(images: Path) -> None:
    spec = spec_of(images)
    keys = {spec.key, spec_of(images, side=33).key, spec_of(images, fit="long").key, spec.smaller(32).key}
    keys.add(spec_of(images, reader="test 2").key)
    first = spec.files[0]
    first.write_bytes(first.read_bytes() + b"0")
    keys.add(spec_of(images).key)
    first.rename(images / "0000.jpg")
    keys.add(spec_of(images).key)
    (images / "0000.jpg").unlink()
    keys.add(spec_of(images).key)
    assert len(keys) == 8
    assert spec_of(images).key == spec_of(images).key


@pytest.mark.parametrize(
    "at", [0, 4095, -4096, -1], ids=["first byte", "4 kB from it", "4 kB from the end", "last byte"]
)
def test_changed_bytes_of_the_same_size_and_time_are_another_store(images: Path, at: int) -> None:
    changed = images / "000.jpg"
    changed.write_bytes(bytes(20_000))
    before, status = spec_of(images).key, changed.stat()
    content = bytearray(20_000)
    content[at] = 1
    changed.write_bytes(content)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert spec_of(images).key != before


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 8192, 8193])
def test_every_byte_of_a_small_file_counts_and_so_does_its_size(tmp_path: Path, size: int) -> None:
    file = tmp_path / "file"
    prints = set()
    places = {0, size // 2, size - 1} if 0 < size <= 8192 else set()
    for n, at in [(size, None), (size + 1, None), *((size, at) for at in places)]:
        content = bytearray(n)
        if at is not None:
            content[at] = 1
        file.write_bytes(content)
        prints.add(fingerprint(file))
    assert len(prints) == 2 + len(places)


def test_a_copy_of_the_data_folder_has_the_same_store_with_its_times_and_with_others(
    images: Path, tmp_path: Path
) -> None:
    store = built(spec_of(images))
    kept, fresh = (tmp_path / name / "images" for name in ("kept", "fresh"))
    shutil.copytree(images, kept)  # with times, as cp -a
    shutil.copytree(images, fresh, copy_function=shutil.copyfile)
    for number, path in enumerate(sorted(fresh.iterdir())):
        os.utime(path, (number, number))
    assert spec_of(kept).folder == spec_of(fresh).folder == store.folder
    assert exists(spec_of(fresh))


def test_fingerprints_of_many_files_are_those_of_each(images: Path) -> None:
    files = sorted(images.iterdir()) * 60
    assert fingerprints(files) == [fingerprint(path) for path in files]
    assert fingerprint(images / "missing.jpg") == b""


def test_labels_splits_and_the_place_of_the_data_play_no_part(images: Path, tmp_path: Path) -> None:
    files = tuple(sorted(images.iterdir()))
    (images / "labels.csv").write_text("id,label,split\n000,cat,train\n")
    before = StoreSpec(files, images, 32, "short", "test 1").key
    (images / "labels.csv").write_text("id,label,split\n000,dog,valid\n")
    assert StoreSpec(files, images, 32, "short", "test 1").key == before
    moved = images.rename(tmp_path / "elsewhere")
    files = tuple(sorted(moved.glob("*.jpg")))
    assert StoreSpec(files, moved, 32, "short", "test 1").key == before


def test_files_outside_the_data_folder_keep_their_whole_names(images: Path, tmp_path: Path) -> None:
    outside = draw_images(tmp_path / "other", 1) / "000.jpg"
    spec = StoreSpec((images / "001.jpg", outside), images, 32, "short", "test 1")
    assert spec.names == ("001.jpg", outside.as_posix())


def test_a_store_that_is_not_built_cannot_be_opened(images: Path) -> None:
    assert not exists(spec_of(images))
    with pytest.raises(FileNotFoundError, match="no complete image store"):
        open_store(spec_of(images))


@pytest.mark.parametrize("row", [0, 4, 9])
def test_a_store_whose_pixels_have_changed_is_refused(images: Path, row: int) -> None:
    store = built(spec_of(images))
    place = int(store.offsets[row])
    content = bytearray((store.folder / PIXELS).read_bytes())
    content[place] ^= 1  # one bit
    (store.folder / PIXELS).write_bytes(content)
    with pytest.raises(UserError, match=rf"damaged: the pixels of 00{row}\.jpg have changed"):
        open_store(spec_of(images))


def test_of_a_large_store_the_ends_and_a_sample_are_checked(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = built(spec_of(images))
    monkeypatch.setattr("kagglekit.images.store.CHECKED_BYTES", 1)
    checked: list[int] = []
    monkeypatch.setattr("kagglekit.images.store.checksum", lambda pixels: checked.append(0) or crc32(pixels))
    open_store(spec_of(images))
    assert len(checked) == 1
    content = bytearray((store.folder / PIXELS).read_bytes())
    content[0] ^= 1
    (store.folder / PIXELS).write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        open_store(spec_of(images))


def test_a_damaged_store_is_refused(images: Path) -> None:
    store = built(spec_of(images))
    content = (store.folder / PIXELS).read_bytes()
    (store.folder / PIXELS).write_bytes(content[:-1])
    with pytest.raises(UserError, match="damaged"):
        open_store(spec_of(images))
    (store.folder / PIXELS).write_bytes(content)
    lines = (store.folder / ENTRIES).read_text().splitlines(keepends=True)
    (store.folder / ENTRIES).write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="damaged"):
        open_store(spec_of(images))


def test_a_store_of_no_images_is_empty(tmp_path: Path) -> None:
    store = built(StoreSpec((), tmp_path, 32, "short", "test 1"))
    assert (len(store), store.pixels.shape, store.offsets.shape) == (0, (0,), (0,))


def test_a_smaller_copy_is_reduced_from_the_larger_store(images: Path) -> None:
    large = spec_of(images, side=33)
    store = built(large)
    for fit in ("short", "long", "both"):
        small = large.smaller(20, fit)
        assert list(build_smaller(small, threads=2))[-1] == 10
        copy, direct = open_store(small), built(spec_of(images, side=20, fit=fit))
        assert copy.folder != direct.folder
        assert (copy.aspects == store.aspects).all()
        for row in range(10):
            shape = copy.image(row).shape
            assert (copy.image(row) == reduced(store.image(row), *shape[:2])).all()
            assert max(abs(a - b) for a, b in zip(shape, direct.image(row).shape, strict=True)) <= 1
            if fit == "short":
                assert min(shape[:2]) == min(20, *SIZES[row % 5])


def test_a_copy_that_would_equal_its_source_is_its_source(images: Path) -> None:
    large = spec_of(images, side=99)  # the images are up to 90 px long, their short sides up to 48 px
    assert made(large.smaller(60)) is None
    built(large)
    assert made(large) == made(large.smaller(60)) == made(large.smaller(90, "both")) == large
    shared = made_store(large.smaller(48), SimpleNamespace(), Display(Console(file=io.StringIO())), "test", {}, [])
    assert shared.folder == large.folder
    for side, fit in ((47, "short"), (60, "long"), (89, "both")):
        small = large.smaller(side, fit)
        assert made(small) is None
        list(build_smaller(small))
        assert made(small) == small


def test_a_smaller_copy_needs_its_source_and_fewer_pixels_than_it_has(images: Path, tmp_path: Path) -> None:
    large = spec_of(images, side=33)
    with pytest.raises(FileNotFoundError):
        list(build_smaller(large.smaller(20)))
    with pytest.raises(ValueError, match="at least as large"):
        large.smaller(34)
    with pytest.raises(ValueError, match="fit 'short'"):
        spec_of(images, fit="long").smaller(20)
    with pytest.raises(ValueError, match="the same images"):
        StoreSpec(large.files[:3], images, 20, "short", "test 1", source=large)
    assert not (tmp_path / "cache").exists()


def test_files_that_cannot_be_decoded_are_listed_all_at_once(images: Path) -> None:
    whole = (images / "002.jpg").read_bytes()
    (images / "002.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "005.jpg").write_text("<html>not found</html>")
    (images / "007.jpg").write_bytes(b"")
    large = spec_of(images)
    store = built(large)
    assert sorted(store.bad) == [2, 5, 7]
    assert (store.image(5) == np.full((1, 1, 3), 128)).all()
    assert store.image(6).shape == (48, 32, 3)
    error = bad_images_error(store)
    assert error.what.startswith("3 of 10 images cannot be decoded")
    for expected in (
        "002.jpg: image file is truncated",
        "005.jpg: not a known image format",
        "007.jpg: the file is empty",
    ):
        assert expected in error.what
    assert "--skip-bad-images" in error.hint
    list(build_smaller(large.smaller(20)))
    assert open_store(large.smaller(20)).bad == store.bad


def test_images_of_nearly_one_value_are_noted_in_every_copy(images: Path) -> None:
    for number, value in ((3, 0), (8, 200)):
        Image.new("L", (50, 40), value).save(images / f"{number:03}.jpg")
    large = spec_of(images)
    assert built(large).constant == (3, 8)
    list(build_smaller(large.smaller(20)))
    assert open_store(large.smaller(20)).constant == (3, 8)
    assert hold(large, read).constant == (3, 8)


def test_another_limit_of_pixels_is_another_store(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = spec_of(images).key
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", "1500")
    refused = built(spec_of(images)).bad  # of 60 x 40, 48 x 48, 90 x 20 px, but not 34 x 33
    assert sorted(refused) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert refused[0].endswith("(set KAGGLEKIT_MAX_PIXELS=2400 to read it; decoding needs 7.2 kB or more)")
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", str(MAX_PIXELS))
    assert spec_of(images).key == before
    assert not built(spec_of(images)).bad


@pytest.mark.parametrize("value", ["many", "0", "-3", "1e9"])
def test_a_limit_of_pixels_that_is_no_number_is_refused(
    images: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", value)
    with pytest.raises(UsageError, match=f"KAGGLEKIT_MAX_PIXELS={value} is not a number of pixels"):
        built(spec_of(images))


def test_of_many_bad_files_the_first_are_named(images: Path) -> None:
    for path in images.iterdir():
        path.write_bytes(b"")
    error = bad_images_error(built(spec_of(images)), most=3)
    assert "002.jpg" in error.what
    assert "003.jpg" not in error.what
    assert "(10 in all)" in error.what


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("KAGGLEKIT_CACHE", "~/somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "somewhere"
    monkeypatch.delenv("KAGGLEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "kagglekit"
