"""The sizes of the recipe in a plugin that is written for a data folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import USUAL, plugin_text


@pytest.mark.parametrize(
    ("side", "stages"),
    [
        (0, 'progressive_stages((160, 224), head_size=224, cycles=1, batch_norm="keep")'),
        (160, 'progressive_stages((160, 224), head_size=224, cycles=1, batch_norm="keep")'),
        (1200, 'progressive_stages((160, 224), head_size=224, cycles=1, batch_norm="keep")'),
        (100, 'progressive_stages((96, 128), batch_norm="keep")'),
        (28, 'progressive_stages((64,), batch_norm="keep")'),
    ],
)
def test_photographs_end_at_the_size_of_the_pretraining_and_tiny_images_at_their_own(side: int, stages: str) -> None:
    assert f"stages={stages}" in plugin_text(Facts("leaves"), replace(USUAL, side=side))
