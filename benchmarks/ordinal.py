"""Predict ordered grades as classes, as a number with cuts, or by cumulative logits: heads on frozen features.

    python benchmarks/ordinal.py --model mobilenetv2_100 --weights FILE --runs 5

Drawn images whose grade, 0 to 4, is the covered share of their area plus noise. Each way gets the same standardised
features, and its strength and cuts by cross-validation on the training images; the score is the quadratic weighted
kappa of the test images. ``classes`` is multinomial logistic regression, the likeliest class; with ``expected`` it
cuts the expected grade. ``number`` is ridge regression. ``cumulative`` has one weight and four thresholds, fitted to
all four "above grade k" at once (McCullagh 1980, "Regression models for ordinal data"; the all-threshold loss of Rennie
and Srebro 2005), and cuts the expected grade.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from network import network
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import StratifiedKFold
from timing import Report, options
from versus import with_deviation
from vs_fastai_targets import SIZES, drawn

GRADES, NOISE = 5, 0.35
Floats = np.ndarray
Fit = Callable[[Floats, Floats, float], Callable[[Floats], Floats]]


def main() -> None:
    """Score each way on several draws of the noise."""
    parser = options(__doc__)
    asked = parser.parse_args()
    data = drawn(asked.work.absolute() / "targets", dict.fromkeys(SIZES, 32) if asked.tiny else SIZES)
    table = pd.read_csv(data / "images.csv", dtype={"id": str})
    features = activations(asked, data, table)
    found: dict[str, list[float]] = {}
    for seed in range(asked.runs):
        noise = np.random.default_rng(seed).normal(0, NOISE, len(table))
        area = table["area"].to_numpy() + noise
        grades = np.searchsorted(np.quantile(area, [0.5, 0.7, 0.85, 0.95]), area)  # few of the highest
        test = (table["split"] == "test").to_numpy()
        for name, (fit, strengths) in WAYS.items():
            score = kappa_of(fit, strengths, features[~test], grades[~test], features[test], grades[test], seed)
            found.setdefault(name, []).append(score)
    report = Report("ordinal", asked)
    report.rows = [{"way": name, "quadratic weighted kappa": with_deviation(scores)} for name, scores in found.items()]
    best = np.array(found["number"])
    report.notes.append(
        "number less each, paired: "
        + ", ".join(
            f"{name} {with_deviation(list(best - scores))}" for name, scores in found.items() if name != "number"
        )
    )
    report.finish()


def activations(asked: argparse.Namespace, data: Path, table: pd.DataFrame) -> Floats:
    """Return the standardised inputs of the head (N, F)."""
    model, parts = network(asked, 2).eval(), []
    mean, std = (np.array(getattr(model.data_config, name), np.float32) for name in ("mean", "std"))
    caught: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    for start in range(0, len(table), asked.batch):
        images = [cv2.imread(str(data / path))[:, :, ::-1] for path in table["path"][start : start + asked.batch]]
        small = np.stack(
            [cv2.resize(image, (asked.size, asked.size), interpolation=cv2.INTER_AREA) for image in images]
        )
        inputs = (small.astype(np.float32) / 255 - mean) / std
        with torch.no_grad():
            model(torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous())
        parts.append(caught.pop().flatten(1).numpy())
    features = np.concatenate(parts)
    return (features - features.mean(0)) / (features.std(0) + 0.1 * features.std(0).mean())


def kappa_of(
    fit: Fit, strengths: Floats, train: Floats, grades: Floats, test: Floats, truth: Floats, seed: int
) -> float:
    """Choose the strength and the cuts out of fold; return the kappa of the test images."""
    best = (-1.0, strengths[0], np.arange(GRADES - 1) + 0.5)
    for strength in strengths:
        held = np.empty(len(train))
        for own, other in StratifiedKFold(3, shuffle=True, random_state=seed).split(train, grades):
            held[other] = fit(train[own], grades[own], strength)(train[other])
        cuts = best_cuts(held, grades)
        best = max(best, (kappa(grades, np.searchsorted(cuts, held)), strength, cuts), key=lambda each: each[0])
    return kappa(truth, np.searchsorted(best[2], fit(train, grades, best[1])(test)))


def kappa(truth: Floats, found: Floats) -> float:
    """Return the quadratic weighted kappa."""
    return float(cohen_kappa_score(truth, found, weights="quadratic"))


def best_cuts(values: Floats, grades: Floats) -> Floats:
    """Return the cuts with the best kappa, from the half steps on."""
    cuts = np.arange(GRADES - 1) + 0.5
    if np.array_equal(values, values.round()):  # classes already
        return cuts
    return np.sort(
        minimize(lambda c: -kappa(grades, np.searchsorted(np.sort(c), values)), cuts, method="Nelder-Mead").x
    )


def classes(expected: bool) -> Fit:
    """Return multinomial logistic regression: its likeliest class, or the expected grade."""

    def fit(features: Floats, grades: Floats, strength: float) -> Callable[[Floats], Floats]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=strength, max_iter=200, tol=2e-3).fit(features, grades)
        if expected:
            return lambda rows: model.predict_proba(rows) @ model.classes_
        return lambda rows: model.predict(rows).astype(float)

    return fit


def number(features: Floats, grades: Floats, strength: float) -> Callable[[Floats], Floats]:
    """Return ridge regression."""
    model = Ridge(alpha=1 / strength).fit(features, grades)
    return lambda rows: model.predict(rows)


def cumulative(features: Floats, grades: Floats, strength: float) -> Callable[[Floats], Floats]:
    """Return cumulative logits: the sum over k of the probability of a grade above k."""
    above = np.where(grades[:, None] > np.arange(GRADES - 1), 1.0, -1.0)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight, thresholds = flat[: -(GRADES - 1)], flat[-(GRADES - 1) :]
        margins = above * ((features @ weight)[:, None] - thresholds)
        slope = -above / (1 + np.exp(margins.clip(-30, 30)))
        value = np.logaddexp(0, -margins).sum() + weight @ weight / (2 * strength)
        return value, np.concatenate([features.T @ slope.sum(1) + weight / strength, -slope.sum(0)])

    start = np.concatenate([np.zeros(features.shape[1]), np.linspace(-1, 1, GRADES - 1)])
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    weight, thresholds = flat[: -(GRADES - 1)], flat[-(GRADES - 1) :]
    return lambda rows: (1 / (1 + np.exp(thresholds - (rows @ weight)[:, None]))).sum(1)


WEAK = np.logspace(-5, -1, 9)
WAYS: dict[str, tuple[Fit, Floats]] = {
    "classes": (classes(expected=False), WEAK),
    "classes, expected": (classes(expected=True), WEAK),
    "number": (number, WEAK),
    "cumulative": (cumulative, WEAK),
}


if __name__ == "__main__":
    main()
