from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Recipe, Stage, View
from kagglekit.images.picture import reduced_size
from kagglekit.images.warp import copy_side, pixel_maps, warp
from kagglekit.types.randomness import image_keys
from kagglekit_views import kagglekit_provides, kagglekit_views

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kagglekit.hooks.specs import ViewMode

KEYS = image_keys([str(i) for i in range(400)], "views")
CORNERS = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]).T
DRAWN = ("side_on", "top_down", "random-resized-crop")
PLAIN = ("centre", "squash", "pad")
ASPECTS = st.floats(1 / 3, 3)


def view_of(mode: ViewMode, tta_views: str = "", **stage: Any) -> View | None:
    recipe = Recipe(arch="resnet18", stages=(Stage(name="all", size=128, **stage),), tta_views=tta_views)
    return kagglekit_views(recipe=recipe, stage=recipe.stages[0], mode=mode)


def maps_of(
    view: View | None, aspect: float, pass_number: int = 0, keys: NDArray[np.uint64] = KEYS
) -> NDArray[np.float64]:
    assert view is not None
    maps = view.maps(keys, np.full(len(keys), aspect, np.float32), pass_number)
    assert maps.dtype == np.float32
    assert maps.shape == (len(keys), 2, 3)
    return maps.astype(np.float64)


def reach_of(aspect: float) -> NDArray[np.float64]:
    return np.array([max(aspect, 1.0), max(1.0 / aspect, 1.0)])


def overshoot(maps: NDArray[np.float64], aspect: float) -> float:
    """How far any corner of any output lies outside of the picture, in halves of its short side."""
    return float((np.abs(maps @ CORNERS) - reach_of(aspect)[:, None]).max())


def every_view() -> list[tuple[str, View, tuple[int, ...]]]:
    """All built-in views with the turns to look at, at the recipe's own settings."""
    provided = kagglekit_provides()
    found: list[tuple[str, View | None, tuple[int, ...]]] = []
    for plain in provided.plain:
        found += [(f"plain {plain}", view_of("plain", plain=plain), (0,))]
        found += [
            (f"train {name} {plain}", view_of("train", views=name, plain=plain), (0, 1)) for name in provided.views
        ]
        found += [
            (f"tta {name} {plain}", view_of("tta", name, plain=plain), tuple(range(1, 8))) for name in provided.tta
        ]
    return [(name, view, turns) for name, view, turns in found if view is not None]


def test_every_name_it_provides_is_answered_and_no_other():
    provided = kagglekit_provides()
    assert len(every_view()) == len(provided.plain) * (1 + len(provided.views) + len(provided.tta))
    assert view_of("train", views="satellite") is None
    assert view_of("train", views="flip") is None
    assert view_of("plain", plain="satellite") is None
    assert view_of("tta", "satellite") is None


def test_the_border_and_the_copy_are_those_of_the_stage():
    fits = {"centre": "short", "squash": "both", "pad": "long"}
    for plain, fit in fits.items():
        for view in (
            view_of("plain", plain=plain, border="edge"),
            view_of("train", plain=plain, border="edge"),
        ):
            assert view is not None
            assert (view.fit, view.border) == (fit, "edge")


@given(aspect=ASPECTS)
@settings(deadline=None)
def test_plain_views_show_the_square_or_the_whole_picture(aspect: float):
    reach = reach_of(aspect)
    shown = {plain: (maps_of(view_of("plain", plain=plain), aspect, keys=KEYS[:1])[0] @ CORNERS) for plain in PLAIN}
    signs = CORNERS[:2]
    assert shown["centre"] == pytest.approx(signs)
    assert shown["squash"] == pytest.approx(signs * reach[:, None], rel=1e-6)
    assert shown["pad"] == pytest.approx(signs * reach.max(), rel=1e-6)


@given(aspect=ASPECTS, max_rotate=st.floats(0, 180), max_zoom=st.floats(1, 4), name=st.sampled_from(DRAWN[:2]))
@settings(max_examples=40, deadline=None)
def test_nothing_outside_is_shown_but_what_the_corners_of_a_turned_crop_need(
    aspect: float, max_rotate: float, max_zoom: float, name: str
):
    maps = maps_of(view_of("train", views=name, max_rotate=max_rotate, max_zoom=max_zoom), aspect)
    half = np.sqrt(np.abs(np.linalg.det(maps[:, :, :2])))
    covered = np.abs(maps[:, :, :2]).sum(axis=2)  # half of the turned crop's extent in x and y
    needed = np.minimum(covered - half[:, None], np.maximum(covered - reach_of(aspect) + 1 - half[:, None], 0))
    outside = np.abs(maps[:, :, 2]) + covered - reach_of(aspect)
    assert (outside <= needed + 1e-5).all()


@given(aspect=ASPECTS, max_zoom=st.floats(1, 4), name=st.sampled_from(DRAWN))
@settings(max_examples=40, deadline=None)
def test_without_rotation_nothing_outside_is_shown(aspect: float, max_zoom: float, name: str):
    assert overshoot(maps_of(view_of("train", views=name, max_rotate=0, max_zoom=max_zoom), aspect), aspect) < 1e-5


@pytest.mark.parametrize("name", DRAWN)
def test_crops_reach_both_ends_of_a_long_picture(name: str):
    for aspect, axis in ((3.0, 0), (1 / 3, 1)):
        seen = maps_of(view_of("train", views=name), aspect) @ CORNERS
        assert seen[:, axis].min() == pytest.approx(-3, abs=0.05)
        assert seen[:, axis].max() == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("plain", ["squash", "pad"])
@pytest.mark.parametrize("name", DRAWN)
def test_training_shows_pictures_in_the_way_prediction_does(plain: str, name: str):
    calm = view_of("train", views=name, plain=plain, max_rotate=0, max_zoom=1, min_scale=1)
    shown = np.abs(maps_of(calm, 2.5) @ CORNERS).max(axis=(0, 2))
    assert shown == pytest.approx(np.abs(maps_of(view_of("plain", plain=plain), 2.5) @ CORNERS).max(axis=(0, 2)))


def test_side_on_mirrors_half_of_the_pictures_and_turns_three_quarters():
    maps = maps_of(view_of("train", max_rotate=10, max_zoom=1.25), 1.5)
    assert np.mean(np.linalg.det(maps[:, :, :2]) < 0) == pytest.approx(0.5, abs=0.08)
    angle = np.degrees(np.arctan2(maps[:, 1, 1], maps[:, 0, 1])) - 90
    assert np.mean(np.abs(angle) > 1e-4) == pytest.approx(0.75, abs=0.08)
    assert np.abs(angle).max() == pytest.approx(10, abs=0.3)
    zoom = 1 / np.sqrt(np.abs(np.linalg.det(maps[:, :, :2])))
    assert (zoom.min(), zoom.max()) == (pytest.approx(1, abs=0.01), pytest.approx(1.25, abs=0.01))
    assert np.mean(zoom) == pytest.approx(1.125, abs=0.01)


def test_top_down_draws_all_eight_symmetries():
    maps = maps_of(view_of("train", views="top_down", max_rotate=0, max_zoom=1), 1.0)
    drawn, counts = np.unique(maps, axis=0, return_counts=True)
    assert len(drawn) == 8
    assert counts.min() > 25  # of 50 expected


def test_the_passes_of_top_down_are_the_other_seven_symmetries():
    view = view_of("tta", views="top_down")
    assert view is not None
    assert view.passes == 7
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    seen = [
        warp([picture], view.maps(KEYS[:1], np.ones(1, np.float32), pass_number), np.ones(1, np.float32), 48, "zero")[0]
        for pass_number in range(1, 8)
    ]
    symmetries = [np.rot90(side, n) for side in (picture, picture[:, ::-1]) for n in range(4)]
    found = [[np.array_equal(one, symmetry) for symmetry in symmetries] for one in seen]
    assert np.array_equal(np.sum(found, axis=0), [0, 1, 1, 1, 1, 1, 1, 1])


def test_the_pass_of_flip_is_the_plain_view_mirrored():
    flipped, plain = view_of("tta", "flip"), view_of("plain")
    assert flipped is not None
    assert plain is not None
    assert flipped.passes == 1
    picture = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    aspects = np.array([70 / 40], np.float32)
    mirrored = warp([picture], flipped.maps(KEYS[:1], aspects, 1), aspects, 40, "reflect")[0]
    assert np.array_equal(
        mirrored[:, ::-1], warp([picture], plain.maps(KEYS[:1], aspects, 0), aspects, 40, "reflect")[0]
    )


@pytest.mark.parametrize("aspect", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("plain", PLAIN)
def test_the_passes_of_crops_are_the_corners_of_what_the_plain_view_can_show(aspect: float, plain: str):
    view = view_of("tta", "crops", plain=plain)
    assert view is not None
    assert view.passes == 4
    end = reach_of(aspect).max() if plain == "pad" else reach_of(aspect)
    centres = []
    for pass_number in range(1, 5):
        corners = maps_of(view, aspect, pass_number, KEYS[:1])[0] @ CORNERS
        centres.append(corners.mean(axis=1))
        assert np.abs(corners).max(axis=1) == pytest.approx(end * np.ones(2), rel=1e-6)
    signs = {tuple(np.sign(centre)) for centre in centres}
    assert len(signs) == 4


@given(aspect=ASPECTS, min_scale=st.floats(0.05, 1))
@settings(max_examples=40, deadline=None)
def test_a_resized_crop_keeps_to_its_area_and_shape(aspect: float, min_scale: float):
    maps = maps_of(view_of("train", views="random-resized-crop", min_scale=min_scale), aspect)
    width, height = np.abs(maps[:, 0, 0]), maps[:, 1, 1]
    assert (maps[:, [0, 1], [1, 0]] == 0).all()
    ratio = width / height
    assert ratio.min() >= 3 / 4 - 1e-5
    assert ratio.max() <= 4 / 3 + 1e-5
    assert np.median(ratio) == pytest.approx(1, abs=0.08)
    largest = np.minimum(1, 1 / ratio)
    share = (height / largest) ** 2
    assert share.min() >= min_scale - 1e-5
    assert share.max() <= 1 + 1e-5
    assert np.mean(share) == pytest.approx((1 + min_scale) / 2, abs=0.06)


@pytest.mark.parametrize("name", DRAWN)
def test_a_draw_depends_on_image_and_turn_alone(name: str):
    view = view_of("train", views=name)
    assert view is not None
    assert view.colours is not None
    aspects = np.linspace(0.5, 2, len(KEYS), dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(KEYS))[:37]
    assert np.array_equal(view.maps(KEYS[order], aspects[order], 5), view.maps(KEYS, aspects, 5)[order])
    assert np.array_equal(view.colours(KEYS[order], 5), view.colours(KEYS, 5)[order])
    assert not np.array_equal(view.maps(KEYS, aspects, 5), view.maps(KEYS, aspects, 6))


def test_light_changes_grey_and_contrast_by_at_most_a_share():
    view = view_of("train", max_light=0.2)
    assert view is not None
    assert view.colours is not None
    gain, offset = view.colours(KEYS, 0).astype(np.float64).T
    assert (gain.min(), gain.max()) == (pytest.approx(0.8, abs=0.01), pytest.approx(1.25, abs=0.01))
    grey = gain * 0.5 + offset
    assert (grey.min(), grey.max()) == (pytest.approx(0.4, abs=0.005), pytest.approx(0.6, abs=0.005))
    assert abs(np.corrcoef(gain, grey)[0, 1]) < 0.15
    dark = view_of("train", max_light=0)
    assert dark is not None
    assert dark.colours is None


@pytest.mark.parametrize(("name", "view", "turns"), [pytest.param(*one, id=one[0]) for one in every_view()])
def test_no_view_reduces_the_copy_that_serves_it_by_more_than_one_and_a_half(
    name: str, view: View, turns: tuple[int, ...]
):
    for size in (8, 64, 100, 299):
        for width, height in ((1500, 500), (1000, 750), (800, 800), (751, 1000), (500, 1500)):
            copy = np.array(reduced_size(height, width, copy_side(size), view.fit), np.int32)
            for pass_number in turns:
                maps = view.maps(KEYS, np.full(len(KEYS), width / height, np.float32), pass_number)
                heights, widths = np.repeat(copy[:, None], len(KEYS), axis=1)
                aspects = np.full(len(KEYS), width / height, np.float32)
                pixels = pixel_maps(maps, heights, widths, aspects, size)
                reduction = np.linalg.svd(pixels[:, :, :2], compute_uv=False)  # stored pixels an output pixel
                assert reduction.max() <= 1.5 * (1 + 0.5 / copy.min())  # sides are whole numbers
                if "random" not in name:  # and none leaves sharpness unused
                    assert reduction.min() >= 1.3 * (1 - 0.5 / copy.min())
