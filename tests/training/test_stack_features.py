"""Features that a stack of heads reads are computed once: by folds, by later runs, and never used where they differ."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from layouts import write_pets
from numpy.typing import NDArray
from scored_runs import table, tiny_run
from torch import Tensor

from kagglekit import Run
from kagglekit.compute.frozen_features import FrozenFeatures
from kagglekit.images.cache import cached_stores, remove
from kagglekit.images.feature_file import FeatureFile
from kagglekit.images.store import FEATURES
from kagglekit.training.stack_features import CHECKED, StackFeatures

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

    def counting(self: StackFeatures, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        numbers.append(len(rows))
        return passed(self, rows)

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
    assert "by an earlier training" not in first.said


def test_a_later_run_computes_a_few_to_compare_them_and_has_the_same_bytes(first, cache, tmp_path, monkeypatch):
    computed = counted(monkeypatch)
    later, said = tiny_run(first.data, tmp_path, {**STACK, "drop_rate": 0.3})  # nothing that features depend on
    assert f"{N} images at 32 px, {N} of them by an earlier training" in said
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
    assert "by an earlier training" not in said
    assert len(files(cache)) == 2 * n


def test_a_network_whose_code_has_changed_computes_all_anew(first, cache, tmp_path, monkeypatch):
    forward = FrozenFeatures.forward
    monkeypatch.setattr(FrozenFeatures, "forward", lambda self, x: forward(self, x).square())
    computed = counted(monkeypatch)
    changed, said = tiny_run(first.data, tmp_path, STACK)
    assert "those of an earlier run differ, so all are computed anew" in said
    assert computed == [CHECKED, N, N_VALID, N_VALID, N_VALID, CHECKED, N, CHECKED, N]
    assert not same(first.run, changed)


def test_rows_that_were_damaged_and_files_that_were_torn_are_computed_again(first, cache, tmp_path):
    whole, *others = sorted(files(cache), key=lambda file: -file.stat().st_size)
    content = bytearray(whole.read_bytes())
    content[-5] ^= 255
    whole.write_bytes(content)
    for number, file in enumerate(others):
        torn = file if number % 2 else file.with_suffix(".npz")
        torn.write_bytes(torn.read_bytes()[:50])
    assert same(first.run, tiny_run(first.data, tmp_path, STACK)[0])


def test_a_disk_that_is_full_costs_time_and_nothing_else(first, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "full"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FeatureFile, "writing", full)
    assert same(first.run, tiny_run(first.data, tmp_path, STACK)[0])
    assert not files(tmp_path / "full")


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
    assert again.missing(np.arange(5), np.array([0, 8, 0, 7, 0], np.uint64)).tolist() == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert again.missing(rows, seen + np.uint64(1)).all()  # seen in another way
    assert np.array_equal(again.read(rows), features)
