"""The default recipes, for competitions whose plugins have none."""

from __future__ import annotations

from kagglekit import Recipe, hookimpl, progressive_stages

UNKNOWN = "unknown: which weights have seen this competition's images has not been checked"

# Of different families, since errors of different kinds average out. The licences of their weights are permissive.
ZOO = (
    "convnext_tiny.in12k_ft_in1k",
    "eva02_small_patch14_336.mim_in22k_ft_in1k",
    "tf_efficientnetv2_s.in21k_ft_in1k",
    "caformer_s18.sail_in22k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
)


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return a recipe for photographs; ``lesson`` has no default."""
    return RECIPES.get(preset)


RECIPES = {
    # A convnet for small devices, which ends at the 224 px that it was trained at.
    "quick": Recipe(
        arch="mobilenetv4_conv_medium.e500_r224_in1k",
        stages=progressive_stages((160, 224), head_size=224, cycles=1, batch_norm="keep"),
        exposure=UNKNOWN,
        licence="Apache-2.0",
    ),
    # A convnet accepts any size and border; this one was trained on more classes than ImageNet-1k has. 32 images per
    # step fit 16 GB.
    "standard": Recipe(
        arch="convnext_small.in12k_ft_in1k",
        stages=progressive_stages((128, 224), lr=1e-4, batch_size=32, weight_decay=0.05),
        drop_path=0.1,
        exposure=UNKNOWN,
        licence="Apache-2.0",
    ),
    # Networks of 22 to 29 million weights, at one size of `standard`'s; not measured.
    "zoo": Recipe(
        arch=ZOO[0],
        zoo=ZOO,
        stages=progressive_stages((128, 224), lr=1e-4, batch_size=32, weight_decay=0.05),
        exposure=UNKNOWN,
        licence="Apache-2.0",
    ),
    # Self-supervised, so its features depend on no set of classes; sizes are multiples of its 14 px patch.
    "best": Recipe(
        arch="vit_large_patch14_reg4_dinov2.lvd142m",
        stages=progressive_stages((224, 336, 448), lr=5e-5, batch_size=32, weight_decay=0.05),
        drop_path=0.2,
        exposure=UNKNOWN,
        licence="Apache-2.0",
    ),
}
