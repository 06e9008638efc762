from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kagglekit.data import duplicates
from kagglekit.data.duplicates import Fingerprint, describe_unread, fingerprint, near_duplicates
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_shared
from kagglekit.system.errors import PluginError

Picture = NDArray[np.uint8]
read = Hooks(load_shared()).read_image


def draw(number: int, width: int = 240, height: int = 180) -> Picture:
    """Draw soft spots of some sizes, other ones for each number."""
    rng = np.random.default_rng(number)
    layers = [
        cv2.resize(rng.uniform(0, 1, (cells, cells * 4 // 3, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        for cells in (3, 6, 12)
    ]
    return np.clip(255 * (0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2]), 0, 255).astype(np.uint8)


def toned(picture: Picture, gain: float, offset: float = 0, power: float = 1) -> Picture:
    return np.clip(gain * 255 * (picture / 255.0) ** power + offset, 0, 255).astype(np.uint8)


@pytest.fixture
def prints(tmp_path: Path):
    """Save pictures as JPEGs and return their fingerprints."""

    def make(*pictures: Picture, quality: int = 90) -> list[Fingerprint | None]:
        found = []
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            found.append(fingerprint(tmp_path / f"{number}.jpg", read, quick=True))
        return found

    return make


CHANGES = {
    "saved anew": lambda picture: cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1),
    "reduced": lambda picture: cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
    "enlarged": lambda picture: cv2.resize(picture, None, fx=2, fy=2),
    "squashed": lambda picture: cv2.resize(picture, (180, 180)),
    "brighter": lambda picture: toned(picture, 1.1, 25),
    "darker by half": lambda picture: toned(picture, 0.5),
    "of another gamma": lambda picture: toned(picture, 1, power=0.6),
    "grey": lambda picture: cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "cropped at the left and above": lambda picture: picture[9:, 12:],
    "cropped below": lambda picture: picture[:165],
    "cropped all round, reduced, brighter": lambda p: toned(cv2.resize(p[6:-6, 8:-8], None, fx=0.5, fy=0.5), 1.1, 10),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_is_found_again(prints, change):
    others = [draw(number) for number in range(1, 8)]
    for number in (0, 50, 51):
        original = draw(number)
        assert near_duplicates(prints(original, *others, CHANGES[change](original))) == [(0, 8)]


def test_a_mirrored_picture_is_another_one(prints):
    assert near_duplicates(prints(draw(0), draw(0)[:, ::-1])) == []


def test_a_half_of_a_picture_is_another_one(prints):
    assert near_duplicates(prints(draw(0), draw(0)[:, :120])) == []


def test_another_thing_in_the_same_place_is_another_picture(prints):
    scene = draw(0)
    one, other = scene.copy(), scene.copy()
    cv2.circle(one, (90, 90), 40, (255, 255, 255), -1)
    cv2.rectangle(other, (120, 40), (200, 150), (0, 0, 0), -1)
    assert near_duplicates(prints(one, other)) == []


def test_no_two_of_many_pictures_are_taken_for_one(prints):
    assert near_duplicates(prints(*(draw(number) for number in range(150)))) == []


def test_all_copies_of_a_picture_are_paired_also_where_they_are_many(prints, monkeypatch):
    monkeypatch.setattr(duplicates, "AT_ONCE", 7)  # several blocks of the table of correlations
    pictures = [draw(0)] * 20 + [draw(1)] + [draw(2)] * 2
    found = near_duplicates(prints(*pictures))
    assert found == [(i, j) for i in range(20) for j in range(i + 1, 20)] + [(21, 22)]


@pytest.mark.parametrize(("most", "least", "greatest"), [(100, 190, 190), (2, 10, 40)])
def test_where_all_pictures_look_alike_only_the_most_alike_are_looked_at(prints, monkeypatch, most, least, greatest):
    looked = []
    for name, value in {"MOST": most, "ALIKE": 0.0, "WORTH": -1.0, "SAME": 2.0}.items():
        monkeypatch.setattr(duplicates, name, value)
    monkeypatch.setattr(duplicates, "_aligned_correlation", lambda one, other: looked.append(1) or -1.0)
    scene = draw(0).astype(float)
    pictures = [np.clip(0.6 * scene + 0.4 * draw(number), 0, 255).astype(np.uint8) for number in range(1, 21)]
    assert near_duplicates(prints(*pictures)) == []
    assert least <= len(looked) <= greatest


def test_a_flat_picture_and_a_broken_file_are_nobodys_copy(prints, tmp_path):
    flat = np.full((60, 80, 3), 200, np.uint8)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert fingerprint(tmp_path / "broken.jpg", read, quick=True) is None
    assert near_duplicates([None, *prints(flat, flat, draw(0), draw(0))]) == [(3, 4)]
    assert near_duplicates([None]) == near_duplicates([]) == []


def test_a_reader_and_opencv_find_the_same_in_a_file(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), draw(0))
    both = [fingerprint(tmp_path / "a.jpg", read, quick=quick) for quick in (False, True)]
    assert near_duplicates(both) == [(0, 1)]


def test_copies_of_10_bits_are_found(tmp_path):
    for number, picture in enumerate((draw(0), draw(0)[:170], draw(1))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., 0].astype(np.uint16) * 4)
    found = [fingerprint(tmp_path / f"{number}.png", read, quick=True) for number in range(3)]
    assert near_duplicates(found) == [(0, 1)]


def test_what_opencv_cannot_decode_the_reader_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", draw(0))
    one = fingerprint(tmp_path / "a.npy", lambda path, size: np.load(path), quick=True)
    assert one is not None
    assert one.hash.any()


def test_a_reader_that_answers_no_picture_is_told_and_a_file_it_stumbles_over_is_not(tmp_path):
    def wrong(path, size):
        raise PluginError("it answered a list")

    with pytest.raises(PluginError, match="a list"):
        fingerprint(tmp_path / "a.npy", wrong)
    assert fingerprint(tmp_path / "a.npy", lambda path, size: {}[path]) is None


def test_images_that_could_not_be_read_are_counted(prints):
    (one,) = prints(draw(0))
    paths = ["a", "b", "c"]
    assert describe_unread(paths, [one, None, None]) == (
        "2 of 3 images cannot be read and are not compared, for example b"
    )
    assert describe_unread(paths, [one] * 3) == ""
