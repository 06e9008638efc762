"""The memory of a training step, estimated; gradients in parts where it would take more than half of the machine's."""

from __future__ import annotations

import copy

import pytest
import torch
from fits import FP32, network
from torch import nn

from kagglekit.compute import step_memory
from kagglekit.compute.device import Compute, Format
from kagglekit.compute.step_memory import parts_for, step_bytes

CONTIGUOUS = Format("fp32", channels_last=False)


def test_what_a_step_keeps_is_counted_once_and_grows_with_the_batch():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(512, 2))
    kept = 4 * (3 * 64 + 8 * 64)  # float32 of an image of 8 x 8: the input, and the maps, which ReLU overwrites
    weights = sum(p.nbytes for p in model.parameters())
    for batch in (4, 64):
        expected = 1.1 * (batch * (kept + 2 * 4 * 8 * 64) + 4 * weights)
        assert step_bytes(model, 8, batch, CONTIGUOUS) == pytest.approx(expected)
    model.requires_grad_(False)
    model[3].requires_grad_(True)  # a head on a frozen body keeps its input alone
    assert step_bytes(model, 8, 4, FP32) < 0.8 * step_bytes(model.requires_grad_(True), 8, 4, FP32)


def test_the_network_and_the_random_numbers_stay_as_they_were():
    model = network().train()
    before, draws = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    assert step_bytes(model, 8, 8, FP32)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), draws)


@pytest.mark.parametrize(
    ("needed", "allowed", "batch", "parts"),
    [(10, 10, 64, 1), (10, 9, 64, 2), (10, 2.4, 64, 8), (10, 0.1, 8, 4), (10, 1, 3, 1)],
)
def test_parts_halve_a_step_until_it_fits_and_keep_two_images(needed, allowed, batch, parts):
    assert parts_for(needed, allowed, batch) == parts


def test_a_network_that_fits_no_image_has_no_estimate():
    class Full(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("full")

    assert step_memory.step_bytes(Full(), 8, 8, FP32) is None


@pytest.mark.parametrize(("size", "batch"), [(0, 64), (128, 64), (224, 64), (225, 32), (288, 32), (448, 16), (900, 16)])
def test_a_cpu_predicts_large_images_in_small_batches(size, batch):
    assert Compute(torch.device("cpu"), FP32, FP32, "test").batch_at(size) == batch
    assert Compute(torch.device("cpu"), FP32, FP32, "test", batch=8).batch_at(size) == 8
    assert Compute(torch.device("cuda"), FP32, FP32, "test", batch=512).batch_at(size) == 512
