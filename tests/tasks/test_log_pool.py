"""The logarithmic pool finds the weights with the least loss."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from kagglekit.tasks.log_pool import fit_log_pool


def _members(seed, n=2000, classes=5, noises=(0.5, 1.0, 2.0)):
    """Draw (K, N, C) log-probabilities of members that know each image's class up to noise, and the classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    signal = 2.0 * np.eye(classes)[truth]
    logits = np.stack([signal + rng.normal(0, noise, (n, classes)) for noise in noises])
    return torch.from_numpy(logits).log_softmax(-1).numpy().astype(np.float32), truth


def _log_loss(truth):
    return lambda pool: torch.nn.functional.cross_entropy(pool, torch.from_numpy(truth))


def _value(weights, outputs, loss):
    return float(loss(torch.from_numpy(np.tensordot(weights, outputs.astype(np.float64), 1))))


def test_planted_weights_are_found():
    """Classes drawn from a pool with known weights lead back to these."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(0, 1.5, (3, 60_000, 4)).astype(np.float32)
    planted = np.array([1.2, 0.5, 0.0])
    gumbel = rng.gumbel(size=outputs.shape[1:])
    truth = (np.tensordot(planted, outputs, 1) + gumbel).argmax(axis=1)
    assert fit_log_pool(outputs, _log_loss(truth), l1=0) == pytest.approx(planted, abs=0.03)


def test_the_sum_of_the_weights_is_an_inverse_temperature():
    """One member that is twice too confident gets the weight one half."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1, (40_000, 3))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert fit_log_pool(2 * logits[None], _log_loss(truth), l1=0) == pytest.approx([0.5], abs=0.02)


def test_a_member_of_noise_gets_weight_zero():
    """It is zero, not merely small: the bound holds it there."""
    outputs, truth = _members(2)
    noise = np.random.default_rng(3).normal(0, 1, outputs[:1].shape).astype(np.float32)
    weights = fit_log_pool(np.concatenate([outputs, noise]), _log_loss(truth), l1=1e-2)
    assert weights[3] == 0
    assert (weights[:2] > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_pool_is_never_worse_than_its_best_member(seed):
    """On the rows that it was fitted to, without a penalty."""
    outputs, truth = _members(seed)
    loss = _log_loss(truth)
    pooled = _value(fit_log_pool(outputs, loss, l1=0), outputs, loss)
    assert pooled <= min(_value(one, outputs, loss) for one in np.eye(3))


def _labels(rng, outputs):
    truth = (rng.random(outputs.shape[1:]) < 0.5).astype(np.float64)
    return lambda pool: torch.nn.functional.binary_cross_entropy_with_logits(pool, torch.from_numpy(truth))


def _numbers(rng, outputs):
    truth = outputs[0] - 0.4 * outputs[1] + rng.normal(0, 0.3, outputs.shape[1:])
    return lambda pool: ((pool - torch.from_numpy(truth)) ** 2).mean()


@pytest.mark.parametrize("of", [_labels, _numbers])
def test_other_losses_reach_the_minimum_that_a_numerical_gradient_reaches(of):
    """For labels and for numbers; the bound is active."""
    rng = np.random.default_rng(4)
    outputs = rng.normal(0, 1, (3, 300, 2)).astype(np.float32)
    loss = of(rng, outputs)
    numerical = minimize(
        lambda w: _value(w, outputs, loss) + 1e-3 * w.sum(), np.full(3, 0.5), bounds=[(0, None)] * 3, tol=1e-12
    )
    assert fit_log_pool(outputs, loss) == pytest.approx(numerical.x, abs=1e-4)


def test_the_same_outputs_give_the_same_bytes():
    """Given as an array or as a tensor."""
    outputs, truth = _members(5)
    once, again = fit_log_pool(outputs, _log_loss(truth)), fit_log_pool(torch.from_numpy(outputs), _log_loss(truth))
    assert once.tobytes() == again.tobytes()


def test_without_rows_the_weights_are_equal():
    """There is nothing to fit."""
    assert fit_log_pool(np.zeros((4, 0, 3), np.float32), _log_loss(np.zeros(0, np.int64))).tolist() == [0.25] * 4


def test_an_infinite_output_is_refused():
    """A probability of zero has no logarithm: callers clip."""
    with pytest.raises(ValueError, match="not finite"):
        fit_log_pool(np.full((2, 3, 2), -np.inf, np.float32), _log_loss(np.zeros(3, np.int64)))
