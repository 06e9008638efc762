"""The line of an epoch fits the terminal."""

from __future__ import annotations

import pytest

from kagglekit.training.log import _fitting, told_scores

LINE = f"all-layers epoch 12/12  train loss 0.1234  {told_scores({'valid_loss': 0.2345, 'valid_accuracy': 0.9})}"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, f"{LINE}1,234 images/s  12.3 s"),
        (100, f"{LINE}12.3 s"),
        (80, "all-layers epoch 12/12  train 0.1234  valid 0.2345  accuracy 0.9000  12.3 s"),
    ],
)
def test_speed_then_words_are_left_out_where_a_terminal_is_narrow(width: int, shown: str) -> None:
    assert _fitting(LINE, "1,234 images/s  ", "12.3 s", width) == shown
    assert len(shown) <= width
