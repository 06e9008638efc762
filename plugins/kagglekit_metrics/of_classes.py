"""Metrics of predicted classes that are no means over images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Score
from kagglekit_metrics.errors import linearised, need_two_classes

if TYPE_CHECKING:
    from kagglekit_metrics.errors import Numbers, Table, Truth


def balanced_accuracy(truth: Truth, probabilities: Table) -> Score:
    """Return the mean recall over the classes present: the share of each class's images that are right."""
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    images = np.bincount(truth)
    present, images = images > 0, np.maximum(images, 1)
    recall = np.bincount(truth, right) / images
    influence = (right - recall[truth]) * len(truth) / images[truth] / present.sum()
    return linearised(float(recall[present].mean()), influence)


def macro_f(beta: float, truth: Truth, probabilities: Table) -> Score:
    """Return the mean of each class's F = (1 + beta^2) hits / (predictions + beta^2 images).

    Classes that are neither present nor predicted do not count.
    """
    predicted, f, counted = _f_of_classes(beta, truth, probabilities)
    share = (counted > 0) / np.count_nonzero(counted)
    return linearised(
        float(share @ f), _influence(beta, truth, predicted, f, share / np.where(counted > 0, counted, 1))
    )


def weighted_f1(truth: Truth, probabilities: Table) -> Score:
    """Return the mean of each class's F1, weighted by its number of images."""
    predicted, f, counted = _f_of_classes(1, truth, probabilities)
    share = np.bincount(truth, minlength=len(f)) / len(truth)
    influence = _influence(1, truth, predicted, f, share / np.where(counted > 0, counted, 1))
    return linearised(float(share @ f), influence + f[truth])  # an image also adds to the weight of its class


def _f_of_classes(beta: float, truth: Truth, probabilities: Table) -> tuple[Truth, Numbers, Numbers]:
    """Return predicted classes (N,), each class's F (C,), and its denominator (C,): 0 for a class not seen."""
    predicted, n = probabilities.argmax(axis=1), probabilities.shape[1]
    hits = np.bincount(truth[truth == predicted], minlength=n)
    counted = np.bincount(predicted, minlength=n) + beta**2 * np.bincount(truth, minlength=n)
    return predicted, (1 + beta**2) * hits / np.where(counted > 0, counted, 1), counted


def _influence(beta: float, truth: Truth, predicted: Truth, f: Numbers, slope: Numbers) -> Numbers:
    """Return the influence (N,) of images on the weighted mean of `f`.

    Args:
        beta: Of F.
        truth: (N,) class numbers.
        predicted: (N,) class numbers.
        f: (C,) each class's F.
        slope: (C,) each class's weight in the mean, divided by the denominator of its F.
    """
    hit: Numbers = (truth == predicted) * (1 + beta**2) * slope[truth]
    return (hit - (f * slope)[predicted] - beta**2 * (f * slope)[truth]) * len(truth)


def quadratic_kappa(values: Numbers, truth: Truth, probabilities: Table) -> Score:
    """Return the agreement of predicted and true numbers, corrected for chance.

    It is 1 - mean((t - p)^2) / mean over all pairs of images i, j of (t_i - p_j)^2 (Cohen 1968, "Weighted kappa"):
    1 for equal numbers, about 0 for predictions that do not depend on the image.

    Args:
        values: (C,) the number that each class stands for.
        truth: (N,) class numbers.
        probabilities: (N, C).

    Raises:
        UserError: All images are of one class.
    """
    need_two_classes("quadratic_kappa", truth)
    middle = values[truth].mean()  # only differences count, and small numbers have exact squares
    t, p = values[truth] - middle, values[probabilities.argmax(axis=1)] - middle
    apart, by_chance = (t - p) ** 2, t**2 + p**2 - 2 * (t * p.mean() + p * t.mean())
    chance = float((t**2).mean() + (p**2).mean() - 2 * t.mean() * p.mean())
    ratio = float(apart.mean()) / chance
    return linearised(1 - ratio, (ratio * by_chance - apart) / chance)
