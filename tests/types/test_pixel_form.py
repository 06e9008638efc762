"""Stored images have the data set's channels, bits and range; people see three channels of 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kagglekit.types.image_path import all_files, channel_files, stacked
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.pixel_range import PixelRange

DEEP = np.array([[[100], [1100], [2100]]], np.uint16)


def test_eight_bits_of_rgb_are_not_copied() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    assert RGB.stored(image) is image
    assert RGB.for_people(image) is image
    assert RGB.key == []


def test_numbers_are_scaled_by_the_range_of_the_data_set_and_cut_off_beyond_it() -> None:
    form = PixelForm(ranges=(PixelRange(100, 1100),))
    assert form.stored(DEEP).tolist() == [[[0] * 3, [255] * 3, [255] * 3]]


def test_sixteen_bits_come_back_within_one_step() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (9, 9, 3), dtype=np.uint16)
    stored = PixelForm(depth=16, ranges=(PixelRange(0, 4095),)).stored(values)
    assert stored.dtype == np.uint16
    assert np.abs(stored / 65535 * 4095 - values).max() < 0.04  # 8 bits would be 8 off
    assert (PixelForm(depth=16).stored(np.full((1, 1, 3), 255, np.uint8)) == 65535).all()


def test_each_channel_may_have_its_own_range() -> None:
    form = PixelForm(2, ranges=(PixelRange(-30, 10), PixelRange(0, 1)))
    assert form.stored(np.array([[[-10.0, 0.5], [10.0, np.nan]]])).tolist() == [[[128, 128], [255, 0]]]


def test_other_channels_than_those_of_the_data_set_are_refused() -> None:
    with pytest.raises(ValueError, match="it has 4 channels, and other images have 3"):
        RGB.stored(np.zeros((2, 2, 4), np.uint8))


@pytest.mark.parametrize(
    ("shown", "seen"), [((0, 1, 2), [1, 2, 3]), ((3, 0, 1), [4, 1, 2]), ((3,), [4, 4, 4]), ((2, 3), [3, 4, 0])]
)
def test_people_see_the_chosen_channels(shown: tuple[int, ...], seen: list[int]) -> None:
    image = np.array([[[1, 2, 3, 4]]], np.uint8)
    assert PixelForm(4, shown=shown).for_people(image).tolist() == [[seen]]


def test_a_single_channel_is_grey() -> None:
    assert RGB.for_people(np.array([[7]], np.uint8)).tolist() == [[[7, 7, 7]]]


def test_braces_name_a_file_for_each_channel(tmp_path: Path) -> None:
    apart = tmp_path / "cell_{red, green}.png"
    assert channel_files(apart) == (tmp_path / "cell_red.png", tmp_path / "cell_green.png")
    assert channel_files(tmp_path / "a{1}.png") == (tmp_path / "a{1}.png",)
    apart.touch()  # a file of this very name
    assert channel_files(apart) == (apart,)
    assert all_files(["a.png", "b_{1,2}.png"]) == ["a.png", "b_1.png", "b_2.png"]


def test_channels_of_colour_and_of_grey_are_stacked() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 9  # coloured red
    assert stacked([red, np.full((2, 2), 5, np.uint8)], [Path("r"), Path("g")]).tolist() == [[[9, 5]] * 2] * 2
    with pytest.raises(ValueError, match=r"channels of different sizes: r 2 x 2, g 4 x 3"):
        stacked([red, np.zeros((3, 4), np.uint8)], [Path("r"), Path("g")])
