"""The page of each kind of target has a short plugin that goes through check, run and submission."""

from __future__ import annotations

import pytest
from doc_blocks import blocks

KINDS = ("several-labels", "numbers", "grades", "several-targets", "several-images", "decisions", "submission-forms")


@pytest.mark.parametrize("kind", KINDS)
def test_its_plugin_is_short_and_run(kind: str) -> None:
    """tests/docs/test_pages.py runs the blocks and compares what they print."""
    found = blocks(f"how-to/{kind}.md")
    (plugin,) = (block for block in found if block.title)
    assert len(plugin.text.splitlines()) <= 40
    shown = "".join(block.text for block in found if block.language == "console")
    for line in (f"$ kagglekit check ./{plugin.title} ", f"$ kagglekit run ./{plugin.title} ", "no problems"):
        assert line in shown
    assert "checked against sample_submission.csv" in shown
