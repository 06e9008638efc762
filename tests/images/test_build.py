from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image
from places import SUPPORT
from store_parts import built, draw_images, read, spec_of

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_shared
from kagglekit.images import build as store_build
from kagglekit.images.build import IN_FLIGHT, being_built, build
from kagglekit.images.store import ENTRIES, JOURNAL, PIXELS, StoreSpec, exists, open_store
from kagglekit.system.errors import PluginError, UserError

N = 60
# A build in a process of its own: prints the number of finished images, sleeps before each picture.
BUILDER = """
import sys, time
from pathlib import Path
from kagglekit.images import build as store_build
from store_parts import read, spec_of

def slow(path, size):
    time.sleep(float(sys.argv[2]))
    return read(path, size)

store_build.SECONDS_A_CHUNK = 0.0
for done in store_build.build(spec_of(Path(sys.argv[1])), slow, threads=2):
    print(done, flush=True)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return draw_images(tmp_path / "images", N)


class Files(NamedTuple):
    pixels: bytes
    pictures: bytes


def undisturbed(spec: StoreSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Files:
    """What a build in another cache leaves when nothing disturbs it."""
    with monkeypatch.context() as patch:
        patch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "undisturbed"))
        return files_of(built(spec).folder)


def files_of(folder: Path) -> Files:
    return Files((folder / PIXELS).read_bytes(), (folder / ENTRIES).read_bytes())


def start_builder(images: Path, seconds_a_picture: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(images), str(seconds_a_picture)]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `n_bytes`: as near as one gets to a full disk without a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wait_for_images(process: subprocess.Popen[str], n: int) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= n:
            return int(line)
    raise AssertionError("the builder ended early")


def resumed(spec: StoreSpec) -> int:
    """Finish the build in this process; return how many files were decoded for it."""
    decoded: list[Path] = []

    def counting(path: Path, size: int) -> np.ndarray:
        decoded.append(path)
        return read(path, size)

    assert list(build(spec, counting, threads=2))[-1] == len(spec.files)
    return len(decoded)


def test_the_bytes_do_not_depend_on_the_number_of_threads(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for threads in (1, 2, 7):
        monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / f"cache{threads}"))
        seen.add(files_of(built(spec_of(images), threads).folder))
    assert len(seen) == 1


def test_the_numbers_yielded_count_the_finished_images(images: Path) -> None:
    assert list(build(spec_of(images), read, threads=2)) == [*range(1, N + 1), N]


def test_a_complete_store_is_not_built_again(images: Path) -> None:
    built(spec_of(images))
    assert resumed(spec_of(images)) == 0


def test_a_killed_build_is_taken_over_where_it_was_and_ends_with_the_same_bytes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_build, "POLL_SECONDS", 0.05)
    spec = spec_of(images)
    decoded: list[Path] = []

    def counting(path: Path, size: int) -> np.ndarray:
        decoded.append(path)
        return read(path, size)

    with start_builder(images, 0.04) as process:
        wait_for_images(process, 12)
        steps = build(spec, counting, threads=2)
        n_before = next(steps)  # it waits
        assert 12 <= n_before < N
        assert not decoded
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not exists(spec)
    assert list(steps)[-1] == N
    assert 0 < len(decoded) <= N - n_before
    assert files_of(spec.folder) == undisturbed(spec, monkeypatch, tmp_path)


def test_whatever_reached_the_disk_a_restart_ends_with_the_same_bytes(images: Path) -> None:
    spec = spec_of(images)
    whole = files_of(built(spec).folder)
    rng = np.random.default_rng(0)
    cuts = rng.random((12, 2))
    cuts[:4] = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for pixels_kept, journal_kept in cuts:
        (spec.folder / ENTRIES).unlink()
        (spec.folder / PIXELS).write_bytes(whole.pixels[: int(pixels_kept * len(whole.pixels))])
        (spec.folder / JOURNAL).write_bytes(whole.pictures[: int(journal_kept * len(whole.pictures))])
        vouched = min(pixels_kept, journal_kept)
        assert (1 - vouched) * N - 25 <= resumed(spec) <= (1 - vouched) * N + 25
        assert files_of(spec.folder) == whole


def test_a_journal_cut_within_a_line_or_just_before_its_end_is_understood(images: Path) -> None:
    spec = spec_of(images)
    whole = files_of(built(spec).folder)
    two_lines = b"".join(whole.pictures.splitlines(keepends=True)[:2])
    for less in (0, 1, 2, 5):
        (spec.folder / ENTRIES).unlink(missing_ok=True)
        (spec.folder / PIXELS).write_bytes(whole.pixels[:-7])
        (spec.folder / JOURNAL).write_bytes(two_lines[: len(two_lines) - less] + b"\xff\x00" * (less == 5))
        assert resumed(spec) == (N - 2 if less == 0 else N - 1)
        assert files_of(spec.folder) == whole


def test_a_build_given_up_midway_frees_the_store_and_goes_on_later(images: Path) -> None:
    spec = spec_of(images)
    steps = build(spec, read, threads=2)
    assert [next(steps) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert being_built(spec)
    steps.close()  # what Ctrl-C comes to
    assert not being_built(spec)
    resumed(spec)
    assert exists(spec)


def test_a_second_process_waits_for_the_first_and_decodes_nothing(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_build, "POLL_SECONDS", 0.05)
    spec = spec_of(images)
    with start_builder(images, 0.03) as process:
        wait_for_images(process, 1)
        assert being_built(spec)
        decoded: list[Path] = []
        seen = list(build(spec, lambda path, size: decoded.append(path), threads=1))
    assert not decoded
    assert any(0 < n < N for n in seen[:-1])  # the first one's progress
    assert seen[-1] == N
    assert not being_built(spec)
    assert len(open_store(spec)) == N


def test_threads_are_only_a_window_ahead_of_the_writer(images: Path) -> None:
    started: list[Path] = []

    def counting(path: Path, size: int) -> np.ndarray:
        started.append(path)
        return read(path, size)

    steps = build(spec_of(images), counting, threads=2)
    for _ in range(4):
        next(steps)
    time.sleep(0.5)
    assert 4 <= len(started) <= 4 + 2 * IN_FLIGHT + 1
    steps.close()


def test_the_first_picture_is_read_alone_and_the_others_in_threads(images: Path) -> None:
    names: list[str] = []

    def noting(path: Path, size: int) -> np.ndarray:
        names.append(threading.current_thread().name)
        return read(path, size)

    list(build(spec_of(images), noting, threads=2))
    assert names[0] == threading.current_thread().name
    assert {name.partition("_")[0] for name in names[1:]} == {"decode"}


def test_a_full_disk_is_said_clearly_and_mended_by_a_second_start(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(images)
    monkeypatch.setattr(store_build, "SECONDS_A_CHUNK", 0.0)
    with largest_file(100_000), pytest.raises(UserError, match="disk full") as raised:
        list(build(spec, read, threads=2))
    assert str(spec.folder) in raised.value.what
    assert "KAGGLEKIT_CACHE" in raised.value.hint
    assert "kagglekit cache --clear" in raised.value.hint
    assert resumed(spec) < N
    assert files_of(spec.folder) == undisturbed(spec, monkeypatch, tmp_path)


def test_a_build_stops_before_it_has_filled_the_disk(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_build, "SECONDS_A_CHUNK", 0.0)
    usage = shutil.disk_usage(images)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20_000))
    with pytest.raises(UserError, match=r"disk full.* kB needed .* 20\.0 kB free"):
        list(build(spec_of(images), read))
    assert (spec_of(images).folder / PIXELS).stat().st_size < 20_000


def test_an_unwritable_cache_folder_is_a_users_error(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="cannot write to the cache folder") as raised:
        list(build(spec_of(images), read))
    assert "KAGGLEKIT_CACHE" in raised.value.hint


def test_trouble_of_the_system_stops_the_build_and_marks_no_image_as_bad(images: Path) -> None:
    spec = spec_of(images)

    def failing(path: Path, size: int) -> np.ndarray:
        if path.name == "030.jpg":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path, size)

    with pytest.raises(UserError, match=r"cannot read .*030\.jpg: Input/output error"):
        list(build(spec, failing, threads=2))
    resumed(spec)
    assert not open_store(spec).bad


def test_a_file_that_went_missing_stops_the_build_with_its_name(images: Path) -> None:
    spec = spec_of(images)
    (images / "004.jpg").unlink()
    with pytest.raises(UserError, match=r"cannot read .*004\.jpg: No such file"):
        list(build(spec, read))


@pytest.mark.parametrize("wrong", [np.zeros(9, np.uint8), np.zeros((0, 9, 3), np.float32), np.zeros((9, 9), bool)])
def test_a_reader_that_returns_no_picture_is_refused(images: Path, wrong: np.ndarray) -> None:
    with pytest.raises(PluginError, match=r"test 1 returned .*000\.jpg"):
        list(build(spec_of(images), lambda path, size: wrong))


def test_whatever_else_a_reader_raises_makes_the_image_bad(images: Path) -> None:
    def failing(path: Path, size: int) -> np.ndarray | None:
        return {"000.jpg": None}[path.name]

    spec = spec_of(images)
    list(build(spec, failing))
    bad = open_store(spec).bad
    assert len(bad) == N
    assert bad[0] == "no plugin can read it"
    assert bad[1] == "decoding failed (KeyError: '001.jpg')"


LIBRARIES = {
    "OpenCV": (
        lambda path: cv2.cvtColor(np.zeros((0, 0), np.uint8), cv2.COLOR_BGR2RGB),
        "damaged: OpenCV cannot decode it",
    ),
    "Pillow, unknown": (lambda path: Image.open(io.BytesIO(b"no image")), "not a known image format"),
    "Pillow, a damaged TIFF": (
        lambda path: Image.open(io.BytesIO(b"II*\0")).load(),
        "not a known image format",
    ),
    "zlib": (
        lambda path: zlib.decompress(b"no"),
        "decoding failed (error: Error -3 while decompressing data: incorrect header",
    ),
    "struct": (lambda path: struct.unpack("<I", b"no"), "decoding failed (error: unpack requires a buffer of 4 bytes)"),
    "numpy": (lambda path: np.zeros(3).reshape(2, 2), "cannot reshape array of size 3 into shape (2,2)"),
}


@pytest.mark.parametrize(("decode", "said"), LIBRARIES.values(), ids=LIBRARIES)
def test_what_a_library_raises_in_a_plugin_is_said_in_plain_words(
    images: Path, decode: Callable[[Path], object], said: str
) -> None:
    spec = spec_of(images)
    list(build(spec, lambda path, size: decode(path)))
    assert open_store(spec).bad[0].startswith(said)


def test_a_truncated_jpeg_read_through_the_plugins_is_bad_and_no_plugins_failure(images: Path) -> None:
    path = images / "001.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    spec = spec_of(images)
    list(build(spec, Hooks(load_shared()).read_image))
    bad = open_store(spec).bad
    assert list(bad) == [1]
    assert bad[1].startswith("image file is truncated")
