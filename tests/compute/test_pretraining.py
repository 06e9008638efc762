from __future__ import annotations

import pytest

from kagglekit.compute.pretraining import exposure


@pytest.mark.parametrize(
    ("name", "trained_on", "labels"),
    [
        ("resnet34.a1_in1k", "ImageNet-1k (labels)", "yes"),
        ("convnext_tiny.in12k_ft_in1k", "ImageNet-12k (labels), then ImageNet-1k (labels)", "yes"),
        ("convnext_tiny.fb_in22k_ft_in1k_384", "ImageNet-22k (labels), then ImageNet-1k (labels)", "yes"),
        ("vit_small_patch14_dinov2.lvd142m", "LVD-142M (no labels)", "none named"),
        ("vit_base_patch16_dinov3.lvd1689m", "LVD-1689M (no labels)", "none named"),
        ("vit_base_patch16_224.mae", "ImageNet-1k (no labels)", "none named"),
        ("convnextv2_atto.fcmae_ft_in1k", "ImageNet-1k (no labels), then ImageNet-1k (labels)", "yes"),
        ("vit_huge_patch14_gap_224.in22k_ijepa", "ImageNet-22k (no labels)", "none named"),
        (
            "beit_base_patch16_224.in22k_ft_in22k_in1k",
            "ImageNet-22k (no labels), then ImageNet-22k (labels), then ImageNet-1k (labels)",
            "yes",
        ),
        ("vit_base_patch16_clip_224.openai", "OpenAI's CLIP data (captions)", "none named"),
        (
            "convnext_base.clip_laion2b_augreg_ft_in12k_in1k",
            "LAION-2B (captions), then ImageNet-12k (labels), then ImageNet-1k (labels)",
            "yes",
        ),
        ("convnext_large_mlp.clip_laion2b_ft_soup_320", "LAION-2B (captions)", "none named"),
        ("vit_base_patch16_siglip_224.v2_webli", "WebLI (captions)", "none named"),
        ("eva_giant_patch14_224.clip_ft_in1k", "unknown, then ImageNet-1k (labels)", "yes"),
        ("aimv2_1b_patch14_224.apple_pt", "unknown", "unknown"),
        ("resnet34", "unknown", "unknown"),
    ],
)
def test_a_tag_tells_what_its_weights_have_seen(name: str, trained_on: str, labels: str):
    seen = exposure(name)
    assert (seen.trained_on, seen.imagenet_labels) == (trained_on, labels)


def test_no_tag_of_timms_breaks_it_and_those_that_name_imagenet_are_counted():
    import timm

    for name in timm.list_pretrained():
        seen = exposure(name)
        assert seen.trained_on
        if name.endswith("_ft_in1k"):
            assert seen.imagenet_labels == "yes", name
