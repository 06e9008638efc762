"""Test-time augmentation that makes the score worse is reported beside the CSV that has it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kagglekit import Competition, SingleLabel
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.prediction.results import _warn_of_views


@pytest.mark.parametrize(
    ("metric", "plain", "augmented", "warned"),
    [
        ("log_loss", (0.01, 0.005), (0.24, 0.02), True),
        ("log_loss", (0.24, 0.02), (0.01, 0.005), False),
        ("log_loss", (0.24, 0.02), (0.25, 0.02), False),
        ("accuracy", (0.9, 0.01), (0.8, 0.01), True),
    ],
)
def test_a_score_that_is_worse_by_more_than_its_error_is_reported(metric, plain, augmented, warned):
    hooks, lines = Hooks(load("shapes")), []
    recipe = hooks.recipe("quick")
    facts, task = Competition(title="t", metric=metric), SingleLabel(("a", "b"))
    plan = SimpleNamespace(competition=facts, recipe=recipe, task=task, hooks=hooks)
    rows = [
        {"member": "m", "views": "TTA", f"valid_{metric}": [9.0, 0.0]},
        {"member": "ensemble", "views": "auto, plain", f"valid_{metric}": list(plain)},
        {"member": "ensemble", "views": "auto", f"valid_{metric}": list(augmented)},
    ]
    _warn_of_views(SimpleNamespace(plan=plan, display=SimpleNamespace(warn=lines.append)), rows)  # type: ignore[arg-type]
    assert bool(lines) == warned
    assert all(f"{plain[0]:.4f} -> {augmented[0]:.4f}; the CSV has it: try --set tta=0" in line for line in lines)
