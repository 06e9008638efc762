"""Heads of labels and numbers, fitted to activations by regression."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from kagglekit.tasks.ridge_regression import fit_ridge_head
from kagglekit.tasks.sigmoid_regression import FAR, Regressions, fit_sigmoid_head


def drawn(n: int = 300, width: int = 20, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Draw features (N, F) and labels (N, C) that depend on them, with noise."""
    draw = np.random.default_rng(0)
    features = draw.normal(2, 3, (n, width)).astype(np.float32)
    logits = (features - 2) @ draw.normal(0, 0.3, (width, labels)) + draw.normal(0, 1, (n, labels))
    return features, (logits > 0.5).astype(np.float32)


def test_the_regressions_of_all_labels_are_those_of_each_alone():
    features, truth = drawn()
    truth[::7, 1] = np.nan
    weight, bias = Regressions(features, truth).fitted(0.01)
    for label in range(truth.shape[1]):
        known = ~np.isnan(truth[:, label])
        alone = LogisticRegression(C=0.01, tol=1e-8, max_iter=1000).fit(features[known], truth[known, label])
        assert weight[label] == pytest.approx(alone.coef_[0], abs=2e-3)
        assert bias[label] == pytest.approx(alone.intercept_[0], abs=1e-2)


def test_a_label_without_both_values_gets_its_share_and_disturbs_no_other():
    features, truth = drawn()
    with_constant = np.concatenate([truth, np.zeros((len(truth), 1)), np.full((len(truth), 1), np.nan)], axis=1)
    alone, both = fit_sigmoid_head(features, truth, 0), fit_sigmoid_head(features, with_constant.astype(np.float32), 0)
    assert both.weight[:4] == pytest.approx(alone.weight)
    assert not both.weight[4:].any()
    assert 1 / (1 + np.exp(-both.bias[4:].astype(float))) == pytest.approx([FAR, 0.5], rel=1e-3)


def test_the_head_of_labels_predicts_raw_features_and_keeps_groups_whole():
    features, truth = drawn(600)
    head = fit_sigmoid_head(features[:400], truth[:400], 0, np.arange(400) // 2)
    right = ((features[400:] @ head.weight.T + head.bias > 0) == truth[400:]).mean()
    assert right > 0.8
    assert "logistic regression of 4 labels, C " in head.text


def test_the_head_of_numbers_is_a_ridge_of_raw_features_and_unknown_numbers_count_for_nothing():
    draw = np.random.default_rng(0)
    features = draw.normal(5, [1] * 19 + [4], (400, 20)).astype(np.float32)
    truth = np.stack([features @ draw.normal(0, 0.2, 20), features[:, 0]], axis=1).astype(np.float32)
    truth = (truth - truth.mean(0)) / truth.std(0) + draw.normal(0, 0.3, truth.shape).astype(np.float32)
    head = fit_ridge_head(features[:300], truth[:300], 0)
    found = features[300:] @ head.weight.T + head.bias
    assert 1 - ((found - truth[300:]) ** 2).mean(0) / truth[300:].var(0) == pytest.approx([0.9, 0.9], abs=0.05)
    some = truth[:300].copy()
    some[::3, 1] = np.nan
    masked, known = fit_ridge_head(features[:300], some, 0), ~np.isnan(some[:, 1])
    strength = float(masked.text.split("alpha ")[1].split(",")[0])
    std, mean = features[:300].std(0), features[:300].mean(0)
    alone = Ridge(alpha=strength).fit((features[:300][known] - mean) / std, some[known, 1])
    assert masked.weight[1] == pytest.approx(alone.coef_ / std, abs=0.02)


def test_a_feature_that_hardly_varies_gets_no_huge_weight():
    features, truth = drawn()
    features[:, 0] = 1e-6 * np.arange(len(features)) * (2 * truth[:, 0] - 1)
    head = fit_sigmoid_head(features, truth, 0)
    assert np.abs(head.weight[:, 0]).max() < 10 * np.abs(head.weight[:, 1:]).max()


def test_with_two_images_a_head_is_not_validated():
    head = fit_ridge_head(np.eye(2, dtype=np.float32), np.array([[1.0], [-1.0]], np.float32), 0)
    assert head.text.endswith("not validated")
