"""Oxford-IIIT Pet: 37 breeds of cats and dogs. It is not on Kaggle, and the test labels are public."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kagglekit import (
    Competition,
    Recipe,
    RemoteFile,
    Stage,
    hookimpl,
    labels_from_list,
    labels_from_names,
    progressive_stages,
    quick_stages,
    split_off,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

FILES = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
BREED = r"^(.+)_\d+"


@hookimpl
def kagglekit_competition() -> Competition:
    """Return the competition's facts."""
    return Competition(
        title="Oxford-IIIT Pet",
        url="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        metric="accuracy",
        files=(
            RemoteFile(url=f"{FILES}images.tar.gz", md5="5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            RemoteFile(url=f"{FILES}annotations.tar.gz", md5="95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
        licence="CC BY-SA 4.0; the copyright of the images remains with their owners",
        known_test_labels=True,
    )


@hookimpl
def kagglekit_labels(data: Path) -> pd.DataFrame:
    """Take the breed from the file name and the split from the official lists; without them, half is test."""
    images, lists = data / "images", data / "annotations"
    files = {"train": lists / "trainval.txt", "test": lists / "test.txt"}
    if all(file.is_file() for file in files.values()):
        return labels_from_list(files, images=images, suffix=".jpg", pattern=BREED)
    return split_off(labels_from_names(images, BREED), "test", share=0.5, seed=0)  # the lists halve it, too


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return the recipe of a preset."""
    return RECIPES.get(preset)


EXPOSURE = (
    "Not collected for ImageNet, but many of the 37 breeds are classes of ImageNet-1k. Whether weights trained on it "
    "have seen some of these images is unknown. DINOv2's training images were retrieved, without labels, by similarity "
    "to datasets that include this one."
)
with_apache = partial(Recipe, exposure=EXPOSURE, licence="Apache-2.0")
RECIPES = {
    # A convnet for small devices, which ends at the 224 px that it was trained at. The breeds are classes of its
    # pretraining: the earliest layers stay. A third size gains more than it costs, mirror images nothing
    # (docs/results.md).
    "quick": with_apache(
        arch="mobilenetv4_conv_medium.e500_r224_in1k",
        stages=quick_stages(stack_scales=(1, 9 / 7, 11 / 7)),
        tta=0,
    ),
    # About 100 images of each of many similar classes: features learned from very many images matter most.
    # Sizes are multiples of its 14 px patch. 32 images a step fit in 16 GB.
    "standard": with_apache(
        arch="vit_base_patch14_reg4_dinov2.lvd142m",
        stages=progressive_stages((154, 224), lr=1e-4, batch_size=32, weight_decay=0.05),
        drop_path=0.1,
    ),
    # The same family, larger, at larger sizes.
    "best": with_apache(
        arch="vit_large_patch14_reg4_dinov2.lvd142m",
        stages=progressive_stages((224, 336, 448), lr=5e-5, batch_size=32, weight_decay=0.05),
        drop_path=0.2,
    ),
    # The lesson is `frozen` and one cycle of `all`. The stages at 160 px are ours, so that sizes grow. The second
    # cycle is ours, too, so that there are two snapshots.
    "lesson": Recipe(
        arch="resnet34.tv_in1k",
        stages=(
            Stage(name="head", size=160, freeze_to=-1, precompute=True, solver="gradient", lr=3e-3),
            Stage(name="head-augmented", size=160, freeze_to=-1, lr=3e-3),
            Stage(name="frozen", size=224, freeze_to=-1, cycle_len=4, lr=3e-3),
            Stage(name="all", size=224, cycles=2, cycle_len=2, lr=1e-4, body_factor=10, snapshots=True),
        ),
        head="concat-pool",
        drop_rate=0.5,
        exposure=EXPOSURE,
        licence="BSD-3-Clause",
        source="fast.ai 2019, lesson 1: resnet34, 4 one-cycle epochs of the head (93.5 % on valid), then all layers at "
        "slice(1e-6, 1e-4). Not measured here.",
    ),
}  # fmt: skip
