"""Competitions of tiny images with other targets than one label: labels, numbers, grades, and several side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

KINDS = ("labels", "numbers", "grade", "several")
FACTS = {
    "labels": "task='multi-label', targets=('red', 'green', 'blue'), metric='sets_f1'",
    "numbers": "task='regression', targets=('light', 'warmth'), metric='rmse'",
    "grade": "task='ordinal', targets=('grade',), metric='quadratic_kappa'",
    "several": "task='several', targets=('hue', 'light'), kinds={'hue': 'single-label', 'light': 'regression'}, "
    "metric='blocks_loss'",
}
TARGETS = {
    "labels": ("red", "green", "blue"),
    "numbers": ("light", "warmth"),
    "grade": ("grade",),
    "several": ("hue", "light"),
}
METRICS = {"labels": "sets_f1", "numbers": "rmse", "grade": "quadratic_kappa", "several": "blocks_loss"}
PLUGIN = """
import pandas as pd
from kagglekit import Competition, Recipe, hookimpl, progressive_stages

@hookimpl
def kagglekit_competition():
    return Competition(title="Tints", slug="tints", {facts})

@hookimpl
def kagglekit_labels(data):
    return pd.read_csv(data / "images.csv", dtype={{"id": str, "hue": str}})

@hookimpl
def kagglekit_recipe(preset):
    stages = progressive_stages((32,), batch_size=8, solver="regression")
    return Recipe(arch="test_resnet", pretrained=False, stages=stages)
"""


def write_tints(data: Path, kind: str, n: int = 48, test: int = 12) -> pd.DataFrame:
    """Write images with tints and their table, images.csv; return the test images' answers, which it lacks."""
    draw, rows = np.random.default_rng(0), []
    for number in range(n + test):
        split = "train" if number < n else "test"
        has, light = draw.random(3) < 0.5, float(draw.uniform(20, 120))
        pixels = draw.integers(0, 30, (36, 40, 3)) + light + 100 * has
        file = data / split / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
        tints = dict(zip(("red", "green", "blue"), has.astype(int), strict=True))
        hue = "warm" if has[0] else "cold"
        more = {"light": light, "warmth": float(has[0]) - float(has[2]), "grade": int(has.sum()), "hue": hue}
        rows.append({"id": f"{number:03}", "path": f"{split}/{number:03}.png", "split": split, **tints, **more})
    table = pd.DataFrame(rows)[["id", "path", "split", *TARGETS[kind]]].astype(object)
    answers = table[table["split"] == "test"].set_index("id")[list(TARGETS[kind])]
    table.loc[table["split"] == "test", list(TARGETS[kind])] = None
    table.to_csv(data / "images.csv", index=False)
    return answers


def write_plugin(folder: Path, kind: str, change: Callable[[str], str] = str) -> str:
    """Write the plugin of a kind, its facts changed; return its path."""
    (folder / f"{kind}.py").write_text(PLUGIN.format(facts=change(FACTS[kind])))
    return str(folder / f"{kind}.py")
