"""Dog Breed Identification: 120 breeds, with images of Stanford Dogs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kagglekit import Competition, Recipe, Stage, hookimpl, labels_from_csv, progressive_stages, quick_stages

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@hookimpl
def kagglekit_competition() -> Competition:
    """Return the competition's facts."""
    return Competition(
        title="Dog Breed Identification",
        slug="dog-breed-identification",
        url="https://www.kaggle.com/competitions/dog-breed-identification",
        metric="log_loss",
        licence="the competition's rules",
    )


@hookimpl
def kagglekit_labels(data: Path) -> pd.DataFrame:
    """Read labels.csv (id, breed); the images are ID.jpg in train and test."""
    return labels_from_csv(data / "labels.csv", images=data / "train", suffix=".jpg", test=data / "test")


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return the recipe of a preset."""
    return RECIPES.get(preset)


EXPOSURE = (
    "The images are part of ImageNet (through Stanford Dogs): all weights trained on ImageNet with labels have seen "
    "them, test images included, with their breeds. DINOv2 has seen ImageNet without labels."
)
with_apache = partial(Recipe, exposure=EXPOSURE, licence="Apache-2.0")
with_sgd = partial(Stage, freeze_to=-1, schedule="sgdr", lr=1e-2, optimizer="sgd")
RECIPES = {
    # A convnet for small devices, which ends at the 224 px that it was trained at. The breeds are classes of its
    # pretraining: the earliest layers stay, the others change little, hence the low rate and the factor of 10.
    "quick": with_apache(
        arch="mobilenetv4_conv_medium.e500_r224_in1k",
        stages=quick_stages(lr=5e-5, body_factor=10, cycle_len=2),
        tta=1,
        tta_views="flip",
    ),
    # A convnet, as 299 px is not a multiple of a transformer's patch. 32 images of that size a step fit in 16 GB.
    "standard": with_apache(
        arch="convnext_small.in12k_ft_in1k",
        stages=progressive_stages((64, 224, 299), lr=1e-4, body_factor=10, batch_size=32, weight_decay=0.05),
        drop_path=0.1,
    ),
    # Pretrained without labels, so it knows these images but not their breeds. Sizes are multiples of its 14 px patch.
    "best": with_apache(
        arch="vit_large_patch14_reg4_dinov2.lvd142m",
        stages=progressive_stages((224, 336, 448), lr=5e-5, batch_size=32, weight_decay=0.05),
        drop_path=0.2,
    ),
    # The lesson trains only the head. `all` is ours: all layers, at low rates.
    "lesson": Recipe(
        arch="resnext101_64x4d.tv_in1k",
        stages=(
            with_sgd(name="head", size=224, precompute=True, solver="gradient", cycle_len=2, schedule="constant"),
            with_sgd(name="head-augmented", size=224, cycles=5),
            with_sgd(name="head-larger", size=299, cycles=3),
            with_sgd(name="head-longer", size=299, cycles=3, cycle_mult=2),
            with_sgd(name="all", size=299, cycles=2, cycle_mult=2, freeze_to=0, lr=1e-3, body_factor=10,
                     batch_norm="keep", snapshots=True),
        ),
        head="concat-pool",
        drop_rate=0.5,
        exposure=EXPOSURE,
        licence="BSD-3-Clause",
        source="fast.ai 2018, lessons 1 and 2: resnext101_64x4d, 224 then 299 px, 92 % of a random fifth with only the "
        "head trained. Not measured here.",
    ),
}  # fmt: skip
