"""The default recipes, for competitions whose plugins have none."""

from __future__ import annotations

from kagglekit import Recipe, hookimpl, progressive_stages

UNKNOWN = "unknown: which weights have seen this competition's images has not been checked"


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return a recipe for photographs; ``lesson`` has no default."""
    return RECIPES.get(preset)


RECIPES = {
    # A convnet for small devices, trained at 224 px, so 160 px is close to its training size.
    "quick": Recipe(
        arch="mobilenetv4_conv_medium.e500_r224_in1k",
        stages=progressive_stages((128, 160), batch_norm="keep"),
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
    # Self-supervised, so its features depend on no set of classes; sizes are multiples of its 14 px patch.
    "best": Recipe(
        arch="vit_large_patch14_reg4_dinov2.lvd142m",
        stages=progressive_stages((224, 336, 448), lr=5e-5, batch_size=32, weight_decay=0.05),
        drop_path=0.2,
        exposure=UNKNOWN,
        licence="Apache-2.0",
    ),
}
