"""Shapes, the demo: ten kinds of drawn shapes, learned from random weights by a small network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kagglekit import Competition, Recipe, Stage, UserError, hookimpl, labels_from_list

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from torch import nn

    from kagglekit import DownloadOptions

ARCH = "shapes-net"


@hookimpl
def kagglekit_competition() -> Competition:
    """Return the competition's facts."""
    return Competition(title="Shapes", metric="accuracy", licence="Apache-2.0", known_test_labels=True)


@hookimpl
def kagglekit_download(competition: Competition, folder: Path, options: DownloadOptions) -> Path:
    """Draw the images: 1,000 labelled ones and 500 test images."""
    from kagglekit_shapes.drawing import draw_all

    with options.display.status("drawing 1,500 images"):
        draw_all(folder)
    return folder


@hookimpl
def kagglekit_labels(data: Path) -> pd.DataFrame:
    """Read the two lists of the drawn images."""
    lists = {"train": data / "train.txt", "test": data / "test.txt"}
    return labels_from_list(lists, images=data / "images", suffix=".png")


@hookimpl
def kagglekit_check_model(recipe: Recipe) -> bool | None:
    """Refuse options of the small network that it does not have."""
    if recipe.arch != ARCH:
        return None
    if recipe.pretrained or recipe.weights or recipe.head != "linear":
        raise UserError(
            f"{ARCH} starts from random weights and has a linear head",
            "remove weights= and set pretrained=false head=linear, or choose another --arch",
        )
    return True


@hookimpl
def kagglekit_model(recipe: Recipe, n_classes: int) -> nn.Module | None:
    """Build the small network with random weights if the recipe names it."""
    if not kagglekit_check_model(recipe):
        return None
    from kagglekit_shapes.network import ShapesNet

    return ShapesNet(n_classes, recipe.drop_rate)


@hookimpl
def kagglekit_layer_groups(model: nn.Module, recipe: Recipe) -> list[list[str]] | None:
    """Return the small network's layer groups."""
    if recipe.arch != ARCH:
        return None
    from kagglekit_shapes.network import layer_groups

    return layer_groups(model, recipe.groups)


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return the same recipe for each preset: the demo needs no GPU."""
    return RECIPE if preset in ("quick", "standard", "best") else None


# Shapes have random orientations anyway, so random rotation is a valid augmentation. No layer is pretrained, so all
# learn at the same rate (body_factor 1). Batches of 16 reach a slightly lower log loss, but take longer and make
# threads on a busy machine wait for one another twice as often.
stage = partial(Stage, batch_size=32, lr=8e-3, body_factor=1, max_rotate=180)
RECIPE = Recipe(
    arch=ARCH,
    pretrained=False,
    stages=(
        stage(name="head", size=48, freeze_to=-1, precompute=True),
        stage(name="head-augmented", size=48, freeze_to=-1, lr=1e-3),
        stage(name="all-1", size=48, cycle_len=20),
        stage(name="all-2", size=64, schedule="sgdr", cycles=2, cycle_len=6, snapshots=True),
    ),
    exposure="none: the network starts from random weights",
    measured="99.2 to 99.8 % of the test images (seeds 0, 1, 2), 17 to 23 s in total, on two cores of an AMD EPYC",
)
