"""The device of the tests marked `cuda`: a GPU, or, to see whether the tests themselves work, a CPU.

pytest -m cuda tests/cuda                                a CUDA GPU, else all are skipped
KAGGLEKIT_TEST_DEVICE=cpu pytest -m cuda tests/cuda      what a CPU can do of it
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kagglekit.compute.device import Compute, Format, choose_device, chosen_algorithms


@pytest.fixture(scope="session")
def device() -> torch.device:
    name = os.environ.get("KAGGLEKIT_TEST_DEVICE", "cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU")
    return choose_device(name)


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    if device.type != "cuda":
        pytest.skip("only a GPU has this")
    return device


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def deterministic(device: torch.device) -> object:
    with chosen_algorithms(deterministic=True):
        yield


@pytest.fixture
def compute(device: torch.device) -> Callable[..., Compute]:
    def made(precision: str = "fp32") -> Compute:
        chosen = Format(precision, channels_last=True)  # type: ignore[arg-type]
        return Compute(device, chosen, chosen, "test")

    return made
