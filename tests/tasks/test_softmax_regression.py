from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kagglekit.compute.heads.linear_head import linear_layer
from kagglekit.system.errors import UserError
from kagglekit.tasks.softmax_regression import describe_regression, fit_linear_head


def clouds(n: int, classes: int, seed: int = 0):
    """Draw points around class centres, on features of very different scale."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(classes, 20))
    labels = draw.integers(0, classes, n)
    features = (centres[labels] + draw.normal(size=(n, 20))) * np.logspace(-3, 3, 20) + 5
    return features.astype(np.float32), labels


def losses_of(head, features, labels):
    logits = torch.from_numpy(features @ head.weight.T + head.bias)
    return float(nn.functional.cross_entropy(logits, torch.from_numpy(labels)))


@pytest.mark.parametrize("classes", [2, 5])
def test_the_folded_head_separates_classes_on_raw_features(classes):
    head = fit_linear_head(*clouds(300, classes), classes, seed=0)
    features, labels = clouds(300, classes, seed=1)
    assert losses_of(head, features, labels) < 0.35 * np.log(classes)
    assert head.weight.dtype == np.float32


def test_its_strength_is_near_the_best_on_new_images():
    head = fit_linear_head(*clouds(120, 5), 5, seed=0)
    assert losses_of(head, *clouds(2000, 5, seed=1)) == pytest.approx(head.validated.log_loss, abs=0.12)


def test_a_class_with_one_image_does_not_break_the_folds():
    features, labels = clouds(60, 3)
    features, labels = np.concatenate([features, features[:1] + 3]), np.append(labels, 3)
    head = fit_linear_head(features, labels, 4, seed=0)
    assert head.weight.shape == (4, 20)
    assert np.isfinite(head.validated.log_loss)


@pytest.mark.parametrize("groups", [None, np.arange(50)])
def test_few_images_of_many_classes_are_fitted_without_a_warning(groups):
    features, labels = clouds(50, 30)
    found = fit_linear_head(features, labels, 30, 0, groups)  # a warning is an error in tests
    assert found.weight.shape == (30, features.shape[1])


def test_a_head_of_several_layers_is_refused():
    assert linear_layer(nn.Sequential(nn.Dropout(0.1), nn.Linear(3, 2))).out_features == 2
    with pytest.raises(UserError, match="solver=gradient"):
        linear_layer(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)))


def test_copies_in_one_group_do_not_vouch_for_each_other():
    draw = np.random.default_rng(0)
    features = np.repeat(draw.normal(size=(60, 80)), 3, axis=0).astype(np.float32)  # noise, each thrice
    labels, groups = np.repeat(draw.integers(0, 2, 60), 3), np.repeat(np.arange(60), 3)
    torn, whole = fit_linear_head(features, labels, 2, 0), fit_linear_head(features, labels, 2, 0, groups)
    assert torn.validated.log_loss < 0.3  # what is learned by heart is asked for
    assert whole.validated.log_loss > 0.65  # there is nothing to learn
    assert whole.validated.strength < torn.validated.strength


def test_groups_of_one_image_each_leave_as_many_folds_as_images_do():
    features, labels = clouds(60, 3)
    alone, each = fit_linear_head(features, labels, 3, 0), fit_linear_head(features, labels, 3, 0, np.arange(60))
    assert each.validated.log_loss == pytest.approx(alone.validated.log_loss, abs=0.15)


def test_where_each_class_is_one_group_there_is_nothing_to_validate_on():
    features, labels = clouds(60, 3)
    head = fit_linear_head(features, labels, 3, 0, labels)
    assert np.isnan(head.validated.log_loss)
    assert np.isfinite(head.weight).all()


def test_a_class_in_one_group_of_several_does_not_break_the_folds():
    features, labels = clouds(60, 3)
    groups = np.where(labels == 2, 99, np.arange(60) // 2)
    assert np.isfinite(fit_linear_head(features, labels, 3, 0, groups).validated.log_loss)


def test_a_loss_worse_than_chance_says_why():
    features, labels = clouds(200, 4)
    found = fit_linear_head(features, labels, 4, 0)
    assert describe_regression(found, labels).endswith("in cross-validation on the training images")
    draw = np.random.default_rng(0)
    few = np.concatenate([np.repeat([0, 1], 3), np.arange(2, 12)])
    found = fit_linear_head(draw.normal(size=(16, 300)).astype(np.float32), few, 12, 0)
    said = describe_regression(found, few)
    assert found.validated.log_loss > np.log(12)
    assert "worse than chance (2.4849); 10 of 12 classes have 2 training images or fewer" in said
    single = np.arange(12)
    found = fit_linear_head(draw.normal(size=(12, 300)).astype(np.float32), single, 12, 0)
    assert "not validated: 12 of 12 classes have 2 training images or fewer" in describe_regression(found, single)
