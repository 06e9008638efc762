"""Training steps on a GPU: in each format, compiled, recorded, without waiting, and with too little memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fits import THREE, Memory, fit, network
from random_stores import loader_of, store_of
from torch import nn

from kagglekit.compute.compile import check_compile
from kagglekit.compute.device import Compute
from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded, refolded
from kagglekit.compute.precision import candidates, choose_formats
from kagglekit.images.loader import placed
from kagglekit.training.loop import begin, train_stage
from kagglekit.training.state import StageFit
from kagglekit.training.tuning import compiled, recorded, records

pytestmark = pytest.mark.cuda


def on(compute: Compute, model: nn.Module | None = None, n: int = 24, **fields: object) -> StageFit:
    """Return what a tiny stage trains with, on a device."""
    images = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(compute.device)
    model = (model or network()).to(compute.device)
    made = fit(n, model, images, **fields)
    return replace(made, compute=compute, format=compute.train, inputs=OnDevice(images))


class OnDevice(Memory):
    def batches(self, rows, pass_number):
        for picked in rows:
            yield self.images[torch.from_numpy(picked).to(self.images.device)]


def losses(made: StageFit, state=None) -> list[float]:
    return [float(x) for at in train_stage(made, state) if at.epoch_ends for x in at.losses]


def without_dropout() -> nn.Module:
    model = network()
    model[1] = nn.Identity()
    return model


def test_each_format_learns_what_fp32_learns(device, compute):
    exact = losses(on(compute("fp32"), without_dropout(), cycle_len=4))
    for chosen in candidates(device):
        both = compute(chosen.precision)
        other = losses(on(replace_format(both, chosen), without_dropout(), cycle_len=4))
        assert other == pytest.approx(exact, rel=0.05, abs=0.05), chosen
    assert exact[-1] < exact[0]


def replace_format(compute: Compute, chosen) -> Compute:
    return Compute(compute.device, chosen, chosen, "test")


def test_formats_are_chosen_and_remembered(device, tmp_path):
    given = network().to(device), device, "auto", 32, 16, "test", tmp_path / "formats.json"
    first, again = choose_formats(*given), choose_formats(*given)
    assert first.train in candidates(device)
    assert (again.train, again.infer, again.why) == (first.train, first.infer, "remembered probe")


def test_fp16_gradients_are_scaled_and_the_scale_survives_a_checkpoint(gpu, compute):
    made = on(compute("fp16"), without_dropout(), cycle_len=2)
    state = begin(made)
    found = losses(made, state)
    assert np.isfinite(found).all()
    assert state.scaler.is_enabled()
    facts, tensors = state.to_checkpoint()
    other = begin(on(compute("fp16"), without_dropout(), cycle_len=2))
    other.restore(facts, tensors)
    assert other.scaler.state_dict() == state.scaler.state_dict()


def test_a_gpu_that_is_too_small_halves_predictions_and_accumulates_gradients(gpu, compute):
    class Wide(nn.Module):
        """Takes 64 MB for each image, and a share of it for the gradient."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = self.head(x.mean((2, 3)))[:, :, None].expand(-1, -1, 1 << 22)
            return (wide * 1.0).sin().mean(2)

    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(gpu).total_memory
    share = (torch.cuda.memory_reserved(gpu) + (1 << 31)) / total  # 2 GB
    both = compute()
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), gpu)
    try:
        images = torch.rand(64, 3, 4, 4, device=gpu)
        passed = list(predict_pass(Wide().to(gpu), OnDevice(images), np.arange(64), 0, both, THREE.activate))
        assert sum(map(len, passed)) == 64
        assert both.batch < 64
        made = on(compute(), Wide(), n=32, batch_size=32)
        state = begin(made)
        assert np.isfinite(losses(made, state)).all()
        assert state.parts > 1
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
        torch.cuda.empty_cache()


def test_recorded_steps_are_the_plain_ones(gpu, compute, deterministic):
    plain, other = (on(compute(), cycle_len=3) for _ in range(2))
    assert records(other)
    state, before = begin(other), {name: value.clone() for name, value in other.model.state_dict().items()}
    state.forward, seconds = recorded(other, 8)
    assert seconds > 0
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, before[name]), name  # BatchNorm's statistics, too
    assert losses(other, state) == pytest.approx(losses(plain), rel=1e-5)  # with dropout
    assert state.forward is not other.model


def test_compiled_steps_give_the_losses_of_plain_ones(gpu, compute):
    check_compile("on", gpu)
    plain, other = (on(compute(), without_dropout(), cycle_len=2) for _ in range(2))
    state = begin(other)
    state.forward, _ = compiled(other, 8)
    assert losses(other, state) == pytest.approx(losses(plain), rel=1e-3)
    torch.compiler.reset()


def test_a_network_folded_again_is_the_network_folded(device):
    model = network().to(device).eval()
    images = torch.randn(4, 3, 8, 8, device=device)
    refolded(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
        torch.testing.assert_close(refolded(model)(images), folded(model)(images), rtol=0, atol=0)


def test_steps_20_to_40_wait_for_nothing(gpu, compute):
    store = store_of(400)
    made = on(compute("bf16" if torch.cuda.is_bf16_supported() else "fp32"), Pooled(), n=400, ema=0.9)
    loader = replace(loader_of(store, "reflect", gpu, 24), resident=placed(store, gpu))
    made = replace(made, inputs=loader)
    try:
        for at in train_stage(made):
            if at.step == 20:
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error")
            if at.step == 40:
                torch.cuda.set_sync_debug_mode("default")
    finally:
        torch.cuda.set_sync_debug_mode("default")


class Pooled(nn.Sequential):
    """A network for any size."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *pool, nn.Dropout(0.1), nn.Linear(8, 3))
