from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from fits import THREE, fit
from torch import nn

from kagglekit import SingleLabel, Stage
from kagglekit.compute.device import Format
from kagglekit.system.errors import UserError
from kagglekit.training.loop import begin, epoch_order, mix, train_stage
from kagglekit.training.state import MovingAverage, StageFit


def losses(one: StageFit) -> list[float]:
    return [at.loss for at in train_stage(one) if at.loss is not None]


def test_one_batch_is_learnt_by_heart():
    found = losses(fit(n=8, cycles=1, cycle_len=150, body_factor=1))
    assert found[0] > 0.9
    assert found[-1] < 0.02


def test_the_same_seed_gives_the_same_weights():
    mixed = {"mixup": 0.4, "cutmix": 1.0, "ema": 0.5, "oversample": 1.0, "cycle_len": 3, "clip_norm": 1.0}
    first, second = fit(**mixed), fit(**mixed)
    assert losses(first) == losses(second)
    other = dataclasses.replace(fit(**mixed), seed=1)
    losses(other)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
    assert not torch.equal(first.model[2].weight, other.model[2].weight)


def test_progress_names_epochs_and_cycles():
    seen = list(train_stage(fit(cycles=2, cycle_len=1, cycle_mult=2)))
    assert [at.step for at in seen] == list(range(1, 10))
    assert [at.epoch for at in seen if at.epoch_ends] == [1, 2, 3]
    assert {at.step: at.cycle_ends for at in seen if at.cycle_ends} == {3: 1, 9: 2}


def test_every_epoch_has_full_batches_in_another_order():
    one = fit(n=21)
    first, second = epoch_order(one, 0), epoch_order(one, 1)
    assert [len(batch) for batch in first] == [8, 8]
    assert len(set(np.concatenate(first))) == 16
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def test_fewer_images_than_a_batch_make_one_batch():
    assert [len(batch) for batch in epoch_order(fit(n=5), 0)] == [5]


def test_oversampling_evens_out_the_classes():
    one = dataclasses.replace(fit(n=240, oversample=1.0), truth=np.array([0] * 200 + [1] * 30 + [2] * 10))
    drawn = np.bincount(one.truth[np.concatenate(epoch_order(one, 0))], minlength=3)
    assert drawn.min() > 50


def test_a_loss_that_is_not_finite_stops_with_its_place():
    images = torch.randn(24, 3, 8, 8)
    one = fit(images=images, lr=0.02)
    images[epoch_order(one, 0)[1][0]] = float("nan")
    with pytest.raises(UserError, match=r"stage 1 \(s\), epoch 1, step 2, learning rate 0.02"):
        losses(one)


def test_a_moving_average_follows_each_tensor_of_the_state_dict_even_if_a_module_replaces_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4, bias=False), nn.Linear(4, 4))
    model[3].weight = model[2].weight  # two names of one tensor
    model[1].register_buffer("aside", torch.zeros(2), persistent=False)
    average, expected = MovingAverage(model, 0.75), {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(2):
        with torch.no_grad():
            model[1].running_mean = torch.randn(4)  # a new tensor
            model[1].num_batches_tracked += 3
            for parameter in model.parameters():
                parameter.add_(1.0)
        average.update()
        for name, now in model.state_dict().items():
            mean = expected[name].lerp(now, 0.25) if now.is_floating_point() else now
            expected[name] = mean.clone()
    torch.testing.assert_close(dict(average.weights.state_dict()), expected, rtol=0, atol=0)


def test_a_moving_average_becomes_the_weights_at_the_end():
    one = fit(ema=0.9, cycle_len=2)
    last = None
    for at in train_stage(one):
        last = {name: value.clone() for name, value in at.weights.state_dict().items()}
        raw = one.model[2].weight.clone()
    assert last is not None
    assert torch.equal(one.model[2].weight, last["2.weight"])
    assert not torch.equal(one.model[2].weight, raw)
    assert torch.equal(one.model[0][1].running_mean, last["0.1.running_mean"])


def test_smoothing_spreads_a_share_over_all_classes():
    targets = SingleLabel(("a", "b", "c", "d")).train_targets(torch.tensor([1]), 0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))


@pytest.mark.parametrize("fields", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixing_keeps_targets_in_step_with_pixels(fields):
    labels = torch.arange(6) % 3
    images = labels.float()[:, None, None, None].expand(6, 3, 16, 16).clone()
    stage = Stage(name="s", size=16, **fields)
    mixed, targets = mix(images, THREE.train_targets(labels, 0.0), stage, np.random.default_rng(3))
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    expected = (targets * torch.arange(3.0)).sum(1)  # the mean pixel says how much of which class is in it
    torch.testing.assert_close(mixed.mean((1, 2, 3)), expected, atol=1e-5, rtol=0)
    assert not torch.equal(mixed, images)


def test_groups_keep_the_ratio_of_their_rates():
    one = fit(schedule="sgdr", lr=0.1, body_factor=10, cycle_len=2)
    ratios = set()
    for _ in train_stage(one):
        rates = sorted({group["lr"] for group in one.optimizer.param_groups})
        ratios.add(round(rates[-1] / rates[0], 6))
    assert ratios == {10.0}


def without_batch_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.parametrize("parts", [2, 4])
def test_gradients_added_up_from_parts_are_those_of_the_whole_batch(parts):
    whole, split = fit(model=without_batch_norm(), cycle_len=2), fit(model=without_batch_norm(), cycle_len=2)
    held = begin(split)
    held.parts = parts
    one = [at.loss for at in train_stage(whole)]
    other = [at.loss for at in train_stage(split, held)]
    assert other == pytest.approx(one, rel=1e-5)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(value, split.model.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_a_device_that_is_full_gets_smaller_parts_and_no_image_is_lost():
    one = fit(model=without_batch_norm())
    seen = []

    def check(module, inputs):
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError("full")
        seen.append(len(inputs[0]))

    one.model.register_forward_pre_hook(check)
    held = begin(one)
    assert [at.step for at in train_stage(one, held)] == [1, 2, 3]
    assert (held.parts, seen) == (4, [2] * 12)


def test_a_step_that_a_gradient_scaler_skips_is_no_bad_loss():
    half = dataclasses.replace(fit(model=without_batch_norm(), cycle_len=2), format=Format("fp16", channels_last=True))
    held = begin(half)
    held.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    before = half.model[1].weight.clone()
    steps = train_stage(half, held)
    assert next(steps).loss is not None
    assert torch.equal(half.model[1].weight, before)
    assert held.scaler.get_scale() < 2.0**100
    assert all(at.loss == at.loss for at in steps)
