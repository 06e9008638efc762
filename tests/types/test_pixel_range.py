from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import PixelRange, range_of, to_8_bits

WHOLE = {
    "8 bits, full": (0, 255, 0, 255),
    "10 bits, just": (0, 256, 0, 1023),
    "10 bits, full": (5, 1023, 0, 1023),
    "12 bits": (900, 1024, 0, 4095),
    "14 bits": (0, 4096, 0, 16383),
    "16 bits": (0, 16384, 0, 65535),
    "signed 8 bits": (-128, 127, -128, 127),
    "signed 10 bits": (-1, 128, -512, 511),
    "Hounsfield units": (-1024, 2000, -2048, 2047),
    "signed 16 bits": (-20000, 0, -32768, 32767),
}


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("low", "high", "black", "white"), WHOLE.values(), ids=WHOLE)
def test_the_smallest_usual_range_holds_the_numbers(
    low: int, high: int, black: int, white: int, dtype: type[np.number]
) -> None:
    values = np.array([[low, high, max(low, min(high, 3))]], dtype)
    assert range_of(values) == (black, white)


@pytest.mark.parametrize(("low", "expected"), [(0.0, (0, 1)), (0.2, (0, 1)), (-0.01, (-1, 1)), (-1.0, (-1, 1))])
def test_floating_point_numbers_up_to_1_are_shares(low: float, expected: tuple[int, int]) -> None:
    assert range_of(np.array([[low, 0.9]], np.float32)) == expected
    assert range_of(np.array([[low, 1.0]], np.float64)) == expected


@pytest.mark.parametrize("values", [[0, 65536], [-40000, 3], [-1, 40000]])
def test_no_usual_range_holds_other_numbers(values: list[int]) -> None:
    with pytest.raises(ValueError, match=r"numbers of unknown range \("):
        range_of(np.array([values], np.int64))


def test_what_is_no_number_is_black() -> None:
    assert to_8_bits(np.array([[np.nan, 0.5, 1.0, np.inf]])).tolist() == [[0, 128, 255, 255]]
    with pytest.raises(ValueError, match="no numbers"):
        to_8_bits(np.full((2, 2), np.nan))


def test_8_bits_stay_as_they_are() -> None:
    values = np.arange(256).reshape(16, 16)
    for dtype in (np.uint8, np.uint16, np.int32, np.float32):
        assert (to_8_bits(values.astype(dtype)) == values).all()


def test_a_range_may_be_given_for_all_images_of_a_set() -> None:
    assert to_8_bits(np.array([[0, 60]], np.uint16), PixelRange(0, 4095)).tolist() == [[0, 4]]


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_the_order_of_grey_values_is_kept(values: list[int]) -> None:
    seen = to_8_bits(np.array([sorted(values)], np.uint16)).astype(int)
    assert (np.diff(seen) >= 0).all()
    white = range_of(np.array(values)).white
    assert np.abs(seen - np.array(sorted(values)) * 255 / white).max() <= 0.51
