"""Stacks of heads: what is pooled, on what, and that valid images stay unseen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from kagglekit import MultiLabel, Regression, SingleLabel, SourceClassifier, Tap
from kagglekit.compute.heads.source_classes import source_chances, source_means
from kagglekit.compute.heads.stacked_head import StackForm, unit_length
from kagglekit.tasks.discriminant import fit_discriminant
from kagglekit.tasks.task import Task
from kagglekit.training.heads.stack import MOST_CELLS, FittedStack, Labelled, fit_stack, form_for
from kagglekit.training.heads.votes import MOST_BANK

TAPS = (Tap("a", 6, "earlier"), Tap("b", 8, "max"))
CLASSES = 4


def clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features of two sizes and classes; the centre decides the class where features are long, too."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(CLASSES, 44))
    labels = draw.integers(0, CLASSES, n)
    features = (centres[labels] + 1.8 * draw.normal(size=(n, 44))) * draw.uniform(0.5, 2, (n, 1))
    return features.astype(np.float32), labels.astype(np.int64)


def fitted(n: int = 240, valid: int = 60) -> FittedStack:
    features, labels = clouds(n + valid, 0)
    form = StackForm((16, 24), TAPS, 8, CLASSES)
    task = SingleLabel(tuple("abcd"))
    train = Labelled(features[:n], labels[:n], None)
    return fit_stack(form, task, cross_entropy, 0, train, Labelled(features, labels, None))


def loss_of(head: torch.nn.Module, features: np.ndarray, labels: np.ndarray) -> float:
    return float(cross_entropy(head(torch.from_numpy(features)), torch.from_numpy(labels)))


def test_the_pool_is_no_worse_than_its_best_head_and_about_as_good_on_new_images() -> None:
    found = fitted()
    assert [head.name for head in found.heads] == [
        "last", "unit length", "last of all sizes", "last + earlier", "last + max", "discriminant", "neighbours",
    ]  # fmt: skip
    assert found.loss <= min(head.loss for head in found.heads) + 1e-3
    assert found.loss < 0.6 * np.log(CLASSES)
    assert loss_of(found.stack.valid_head, *clouds(2000, 1)) == pytest.approx(found.loss, rel=0.25)
    assert "pooled" in found.describe()


def test_the_head_of_valid_images_has_not_seen_them() -> None:
    features, labels = clouds(300, 0)
    form, task = StackForm((16, 24), TAPS, 8, CLASSES), SingleLabel(tuple("abcd"))
    train = Labelled(features[:240], labels[:240], None)
    turned = np.concatenate([labels[:240], (labels[240:] + 1) % CLASSES])
    one = fit_stack(form, task, cross_entropy, 0, train, Labelled(features, labels, None))
    other = fit_stack(form, task, cross_entropy, 0, train, Labelled(features, turned, None))
    for name, value in one.stack.valid_head.state_dict().items():
        assert torch.equal(value, other.stack.valid_head.state_dict()[name]), name
    assert not torch.equal(one.stack.head.weight, other.stack.head.weight)
    assert loss_of(one.stack.head, features[240:], labels[240:]) < loss_of(
        one.stack.valid_head, features[240:], labels[240:]
    )


def test_one_image_a_class_leaves_the_regression_alone() -> None:
    features, _ = clouds(CLASSES, 0)
    labels = np.arange(CLASSES)
    images = Labelled(features, labels, None)
    found = fit_stack(
        StackForm((16, 24), TAPS, 8, CLASSES), SingleLabel(tuple("abcd")), cross_entropy, 0, images, images
    )
    assert [head.name for head in found.heads] == ["last"]
    np.testing.assert_allclose(found.stack.head.weight[:, :8].numpy(), found.own.weight, rtol=1e-6)


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_other_targets_have_regressions_and_neighbours(kind: str) -> None:
    features, labels = clouds(300, 0)
    hot = np.eye(CLASSES, dtype=np.float32)[labels]
    hot[::7, 1] = np.nan
    task: Task = (
        MultiLabel(tuple("abcd"))
        if kind == "labels"
        else Regression(tuple("abcd"), mean=(0.25,) * CLASSES, std=(0.4,) * CLASSES)
    )

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        known = ~targets.isnan()
        own = outputs.sigmoid() if kind == "labels" else outputs
        return ((own - targets.nan_to_num()) ** 2 * known).sum() / known.sum()

    images = Labelled(features, hot, None)
    found = fit_stack(StackForm((16, 24), TAPS, 8, CLASSES), task, loss, 0, images, images)
    assert [head.name for head in found.heads][-1] == "neighbours"
    assert "discriminant" not in [head.name for head in found.heads]
    new, classes = clouds(500, 1)
    with torch.no_grad():
        right = task.activate(found.stack.head(torch.from_numpy(new))).argmax(1).numpy() == classes
    assert right.mean() > 0.6


def of_known_classes(n: int, seed: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw features whose classes lie in the few directions that vary least: too few images to find them."""
    draw, width = np.random.default_rng(seed), len(turn)
    labels = draw.integers(0, CLASSES, n)
    features = draw.normal(size=(n, 2 * (width + 14)))
    for start in (0, width + 14):  # both sizes
        of_size = 3 * draw.normal(size=(n, width))
        of_size[:, :CLASSES] = 0.1 * draw.normal(size=(n, CLASSES)) + 0.5 * np.eye(CLASSES)[labels]
        features[:, start : start + width] = of_size @ turn
    return features.astype(np.float32), labels.astype(np.int64)


def known_classes(n_train: int, n_valid: int) -> tuple[StackForm, SourceClassifier, Labelled, Labelled, np.ndarray]:
    """Return a form, a source classifier, training images, those and valid images, and the turn they are drawn with."""
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(60, 60)))[0]
    source = SourceClassifier(torch.from_numpy(10 * turn[:CLASSES]).float(), torch.zeros(CLASSES))
    form = StackForm((16, 24), TAPS, 60, CLASSES)
    features, labels = of_known_classes(n_train + n_valid, 0, turn)
    chances = source_chances(torch.from_numpy(features), form.columns, source.weight, source.bias)
    train = Labelled(features[:n_train], labels[:n_train], None, chances[:n_train])
    return form, source, train, Labelled(features, labels, None, chances), turn


@pytest.mark.parametrize("most", [MOST_BANK, 0])
def test_heads_on_the_classes_of_pretraining_know_what_few_images_cannot_teach(
    monkeypatch: pytest.MonkeyPatch, most: float
) -> None:
    monkeypatch.setattr("kagglekit.training.heads.votes.MOST_BANK", most)
    task = SingleLabel(tuple("abcd"))
    form, source, train, labelled, turn = known_classes(24, 12)
    plain = [replace(images, chances=None) for images in (train, labelled)]
    without = fit_stack(form, task, cross_entropy, 0, *plain)
    found = fit_stack(form, task, cross_entropy, 0, train, labelled, source)
    of_source = {head.name: head for head in found.heads if head.name.startswith("source")}
    assert list(of_source) == ["source neighbours"] * bool(most) + ["source classes"]
    assert max(head.weight for head in of_source.values()) > 0.1
    new = of_known_classes(500, 1, turn)
    for head, other in (
        (found.stack.valid_head, without.stack.valid_head),
        (found.stack.head, without.stack.head),
    ):
        assert loss_of(head, *new) < 0.7 * loss_of(other, *new)
        assert head.form.n_source == CLASSES
    for head, images in ((found.stack.valid_head, train), (found.stack.head, labelled)):
        assert images.chances is not None
        targets = torch.eye(CLASSES)[torch.from_numpy(images.truth)]
        torch.testing.assert_close(head.source.means, source_means(images.chances, targets))


@pytest.mark.parametrize("limit", ["MOST_NEIGHBOURS", "MOST_BANK"])
def test_votes_that_the_training_images_allow_have_all_labelled_images(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """More labelled images than the limit, but no more training images: the test head once had banks of zeros."""
    form, source, train, labelled, _ = known_classes(60, 30)
    monkeypatch.setattr(f"kagglekit.training.heads.votes.{limit}", 60 if limit == "MOST_NEIGHBOURS" else 60 * CLASSES)
    monkeypatch.setattr("kagglekit.training.heads.stack.LEAST", -1.0)  # whatever their weights
    found = fit_stack(form, SingleLabel(tuple("abcd")), cross_entropy, 0, train, labelled, source)
    head = found.stack.head
    assert labelled.chances is not None
    assert len(head.bank) == len(head.source.bank) == len(head.targets) == 90
    torch.testing.assert_close(head.source.bank, labelled.chances.sqrt().half())
    torch.testing.assert_close(head.bank, unit_length(torch.from_numpy(labelled.features), form.columns).half())
    assert (head.targets.sum(1) == 1).all()


def test_discriminant_analysis_is_bayes_rule_for_equal_covariances() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 4000)
    features = (draw.normal(size=(8000, 3)) + labels[:, None] * np.array([2.0, 0.0, 0.0])).astype(np.float32)
    found = fit_discriminant(features, labels, 2, [])
    side = found.weight[1] - found.weight[0]
    assert side[0] > 0
    assert np.abs(side[1:]).max() < 0.1 * side[0]
    edge = -(found.bias[1] - found.bias[0]) / side[0]
    assert edge == pytest.approx(1.0, abs=0.05)


def test_a_class_without_images_is_never_predicted_by_discriminant_analysis() -> None:
    features, labels = clouds(80, 0)
    found = fit_discriminant(features, labels, CLASSES + 1, [])
    assert (features @ found.weight.T + found.bias).argmax(1).max() < CLASSES


def test_one_image_a_class_leaves_discriminant_analysis_without_a_spread_but_with_an_answer() -> None:
    features, _ = clouds(CLASSES, 0)
    found = fit_discriminant(features, np.arange(CLASSES), CLASSES, [])
    assert np.isfinite(found.weight).all()
    assert ((features @ found.weight.T + found.bias).argmax(1) == np.arange(CLASSES)).all()


def test_features_that_would_not_fit_the_memory_are_left_out() -> None:
    full = StackForm((16, 24), TAPS, 8, CLASSES)
    assert form_for(300, full) == full
    n = int(MOST_CELLS / 20)
    assert form_for(n, full) == StackForm((16, 24), (), 8, CLASSES)
    assert form_for(2 * n, full) == StackForm((16,), (), 8, CLASSES)
