"""The drawn images as a competition: a plugin file, so that the benchmarks run what users run.

The presets are the benchmarks' recipes: ``quick`` has the epochs and steps of fastai's fine_tune(1); ``standard`` finds
the head on cached activations instead of the frozen epoch; ``best`` has every kind of stage; ``lesson`` has
one epoch of all layers and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, Recipe, Stage, hookimpl, labels_from_folders

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

CACHED = Stage(name="cached", size=128, freeze_to=-1, precompute=True, batch_norm="keep")
GRADIENT = Stage(name="cached-epochs", size=128, freeze_to=-1, precompute=True, solver="gradient", cycle_len=3, lr=5e-3)
FROZEN = Stage(name="frozen", size=128, freeze_to=-1, lr=5e-3)
FULL = Stage(name="full", size=128, lr=1e-3, body_factor=3, snapshots=True)
STAGES = {
    "quick": (FROZEN, FULL),
    "standard": (CACHED, FULL),
    "best": (CACHED, GRADIENT, FROZEN, FULL.model_copy(update={"cycle_len": 2})),
    "lesson": (FULL,),
}


@hookimpl
def kagglekit_competition() -> Competition:
    return Competition(title="Drawn pictures", metric="log_loss", known_test_labels=True)


@hookimpl
def kagglekit_labels(data: Path) -> pd.DataFrame:
    return labels_from_folders(data / "train", valid=data / "valid", test=data / "test")


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe:
    return Recipe(arch="resnet18", stages=STAGES[preset])
