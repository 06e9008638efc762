"""The line of an epoch fits the terminal."""

from __future__ import annotations

import pytest

from kagglekit.training.log import epoch_line

ACCURACY = {"valid_loss": 0.2345, "valid_accuracy": 0.9}
BALANCED = {"valid_loss": 0.2345, "valid_balanced_accuracy": 0.9}
WHOLE = "all-layers epoch 12/12  train loss 0.1234  valid loss 0.2345  valid accuracy 0.9000"


@pytest.mark.parametrize(
    ("scores", "width", "shown"),
    [
        (ACCURACY, 120, f"{WHOLE}  1,234 images/s  12.3 s"),
        (ACCURACY, 100, f"{WHOLE}  12.3 s"),
        (ACCURACY, 80, "all-layers epoch 12/12  train 0.1234  valid 0.2345  accuracy 0.9000  12.3 s"),
        (BALANCED, 80, "all-layers epoch 12/12  valid 0.2345  balanced accuracy 0.9000  12.3 s"),
    ],
)
def test_speed_then_words_then_the_train_loss_are_left_out_where_a_terminal_is_narrow(
    scores: dict[str, float], width: int, shown: str
) -> None:
    assert epoch_line("all-layers epoch 12/12", 0.1234, scores, "1,234 images/s", "12.3 s", width) == shown
    assert len(shown) <= width
