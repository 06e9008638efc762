"""Features that a stack of heads reads are computed once: by folds, by later runs, and never used where they differ."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from layouts import write_pets
from numpy.typing import NDArray
from scored_runs import TINY, quiet, table, tiny_run
from torch import Tensor

import kagglekit
from kagglekit import Run
from kagglekit.compute.heads.frozen_features import FrozenFeatures
from kagglekit.images.cache import cached_stores, remove
from kagglekit.images.feature_file import MOST_FILES, FeatureFile, Write
from kagglekit.images.store import FEATURES
from kagglekit.training.heads.features import CHECKED, Asked, StackFeatures, keeps
from kagglekit.training.lr_range_test import NoClearFall
from kagglekit.types.stage import Stage

STACK = {"stage.1.solver": "stack", "stage.1.stack_sizes": "[32]"}
N, N_VALID = 24, 5  # labelled and test images; valid ones


@dataclass(frozen=True)
class First:
    """A run in an empty cache, and how many images' features were computed for each request."""

    run: Run
    said: str
    data: Path
    cache: Path
    computed: list[int]


def counted(patch: pytest.MonkeyPatch) -> list[int]:
    numbers: list[int] = []
    passed = StackFeatures._passed

    def counting(self: StackFeatures, asked: Asked, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        numbers.append(len(rows))
        return passed(self, asked, rows)

    patch.setattr(StackFeatures, "_passed", counting)
    return numbers


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    folder = tmp_path_factory.mktemp("first")
    write_pets(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLEKIT_CACHE", str(folder / "cache"))
        computed = counted(patch)
        run, said = tiny_run(folder / "data", folder / "out", STACK)
    return First(run, said, folder / "data", folder / "cache", computed)


@pytest.fixture
def cache(first: First, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the first run's cache, which is used."""
    copy = tmp_path / "cache"
    shutil.copytree(first.cache, copy)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(copy))
    return copy


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob(f"stores/*/{FEATURES}*.f32"))


def same(one: Run, other: Run) -> bool:
    return one.submission.read_bytes() == other.submission.read_bytes() and table(one).equals(table(other))


def test_valid_images_are_predicted_with_the_features_that_heads_were_fitted_beside(first):
    few = N_VALID  # again, to compare them
    assert first.computed == [N, few, N_VALID, N, N]  # labelled; valid ones plain and mirrored; so the test images
    assert f"1 head: computed the features of {N} images at 32 px in" in first.said


def test_a_later_run_computes_a_few_to_compare_them_and_has_the_same_bytes(first, cache, tmp_path, monkeypatch):
    computed = counted(monkeypatch)
    later, said = tiny_run(first.data, tmp_path, {**STACK, "drop_rate": 0.3})  # nothing that features depend on
    assert f"1 head: took the features of {N} images at 32 px from the cache in" in said
    assert computed == [CHECKED, N_VALID, N_VALID, CHECKED, CHECKED]
    assert same(first.run, later)


def test_each_image_is_computed_once_for_all_folds(first, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "empty"))
    computed = counted(monkeypatch)
    run, _ = tiny_run(first.data, tmp_path, {**STACK, "tta": 0}, folds=3)
    n_valid = N // 3
    assert computed == [N, n_valid, N, *2 * [CHECKED, n_valid, CHECKED]]
    assert len(table(run)) == N


def test_other_weights_have_features_of_their_own(first, cache, tmp_path):
    n = len(files(cache))
    said = tiny_run(first.data, tmp_path, STACK, seed=1)[1]  # without pretrained weights, a seed draws them
    assert "from the cache" not in said
    assert len(files(cache)) == 2 * n


def test_features_are_kept_of_weights_that_the_run_has_not_trained_and_on_one_cpu():
    head, later = (
        Stage(name=name, size=32, freeze_to=-1, precompute=True, solver="stack") for name in ("head", "again")
    )
    stages = {1: head, 2: later}

    def kept(stage: Stage, numbers: tuple[int, ...] = (1, 2), device: str = "cpu", processes: int = 1) -> bool:
        compute, ranks = SimpleNamespace(device=torch.device(device)), SimpleNamespace(several=processes > 1)
        return keeps(SimpleNamespace(stages=numbers, stage=stages.get, compute=compute, ranks=ranks), stage)

    assert kept(head)
    assert kept(later, (2,))
    assert not kept(later)
    assert not kept(head, device="cuda")
    assert not kept(head, processes=2)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_network_whose_code_has_changed_computes_all_anew(first, cache, tmp_path, monkeypatch, interrupted):
    forward, write = FrozenFeatures.forward, FeatureFile.writing
    monkeypatch.setattr(FrozenFeatures, "forward", lambda self, x: forward(self, x).square())
    if interrupted:  # after the first rows have been written

        @contextmanager
        def stopping(self: FeatureFile) -> Iterator[Write]:
            with write(self) as own:
                yield lambda rows, seen, features: raise_(own(rows[:CHECKED], seen[:CHECKED], features[:CHECKED]))

        monkeypatch.setattr(FeatureFile, "writing", stopping)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(first.data, tmp_path / "interrupted", STACK)
        monkeypatch.setattr(FeatureFile, "writing", write)
    changed, said = tiny_run(first.data, tmp_path, STACK)
    assert "those of an earlier run differ: all are computed anew" in said
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "empty"))
    assert same(changed, tiny_run(first.data, tmp_path / "anew", STACK)[0])


def raise_(_: None) -> None:
    raise KeyboardInterrupt


def test_rows_that_were_damaged_and_files_that_were_torn_are_computed_again(first, cache, tmp_path):
    whole, *others = sorted(files(cache), key=lambda file: -file.stat().st_size)
    content = bytearray(whole.read_bytes())
    content[-5] ^= 255
    whole.write_bytes(content)
    for file, torn in zip(others, (others[0], *(file.with_suffix(".npz") for file in others[1:])), strict=True):
        torn.write_bytes(torn.read_bytes()[: 50 if file != others[-1] else 0])
    assert same(first.run, tiny_run(first.data, tmp_path, STACK)[0])


def test_a_disk_that_fills_up_costs_time_and_nothing_else(first, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "full"))
    write = FeatureFile.writing

    @contextmanager
    def filling(self: FeatureFile) -> Iterator[Write]:
        with write(self) as own, resource_limit(self):
            yield own

    monkeypatch.setattr(FeatureFile, "writing", filling)
    assert same(first.run, tiny_run(first.data, tmp_path, STACK)[0])


@contextmanager
def resource_limit(file: FeatureFile) -> Iterator[None]:
    """Let no file grow, as a full disk does not: of the feature file half of the rows are there."""
    with file._path.open("r+b") as opened:
        opened.truncate(file._path.stat().st_size // 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file._path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_costs_nothing_else(first, tmp_path, monkeypatch, number):
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FeatureFile, "writing", refused)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "read-only"))
    assert same(first.run, tiny_run(first.data, tmp_path, STACK)[0])


def test_without_test_images_there_is_an_estimate_and_a_range_test(first, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "empty"))
    run, _ = tiny_run(first.data, tmp_path, STACK, no_submission=True)
    assert len(table(run)) == N_VALID
    settings = {**TINY, **STACK, "stage.3.size": 32}
    with suppress(NoClearFall):  # of 19 images, whose loss is noise
        kagglekit.lr_find(
            "pets", data=first.data, settings=settings, preset="quick", stage=3, pictures=tmp_path, display=quiet()
        )


def test_the_cache_command_removes_features_with_their_images(cache):
    stores = cached_stores()
    assert 0 < sum(file.stat().st_size for file in files(cache)) < sum(store.n_bytes for store in stores)
    assert all(map(remove, stores))
    assert not list(cache.glob("stores/*"))


def test_a_file_keeps_what_was_written_before_an_error(tmp_path):
    file, rows = FeatureFile(tmp_path, "key", 5, 3), np.array([3, 1])
    seen, features = np.array([7, 8], np.uint64), np.arange(6, dtype=np.float32).reshape(2, 3)
    with suppress(KeyboardInterrupt), file.writing() as write:
        write(rows, seen, features)
        raise KeyboardInterrupt
    again = FeatureFile(tmp_path, "key", 5, 3)
    assert again.missing(np.arange(5), np.array([7, 8, 7, 7, 7], np.uint64)).tolist() == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert again.missing(rows, seen + np.uint64(1)).all()  # seen in another way
    assert again.missing(rows, seen).tolist() == [False, False]
    assert np.array_equal(again.read(rows), features)
    assert again.read(np.array([3, 2])) is None


def test_files_that_were_used_least_recently_are_removed(tmp_path):
    for number in range(MOST_FILES + 3):
        file = FeatureFile(tmp_path, f"key-{number:02}", 1, 1)
        with file.writing() as write:
            write(np.zeros(1, np.int64), np.ones(1, np.uint64), np.zeros((1, 1), np.float32))
        os.utime(tmp_path / f"{FEATURES}key-{number:02}.npz", (number, number))
    FeatureFile(tmp_path, "key-03", 1, 1).missing(np.zeros(1, np.int64), np.ones(1, np.uint64))  # a use
    with FeatureFile(tmp_path, "one-more", 1, 1).writing():
        pass
    left = [file.stem.removeprefix(FEATURES) for file in sorted(tmp_path.glob("*.npz"))]
    assert left == ["key-03", *(f"key-{number:02}" for number in range(5, MOST_FILES + 3)), "one-more"]


@pytest.mark.slow
def test_another_process_that_computes_the_same_is_waited_for(first, cache, tmp_path, monkeypatch):
    held, ready = [FileLock(file.with_suffix(".lock"), thread_local=False) for file in files(cache)], threading.Event()

    def hold() -> None:
        for lock in held:
            lock.acquire()
        ready.set()
        time.sleep(3)
        for lock in held:
            lock.release()

    for file in files(cache):
        file.with_suffix(".npz").unlink()
    other = threading.Thread(target=hold)
    other.start()
    ready.wait()
    run, said = tiny_run(first.data, tmp_path, STACK)
    other.join()
    assert "another process computes them" in said
    assert same(first.run, run)
