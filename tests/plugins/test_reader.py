from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from kagglekit import UnreadableImage
from kagglekit_reader import kagglekit_read_image

SMOOTH = 6  # JPEG's loss on the smooth picture below, of 255


def draw(height: int = 40, width: int = 60) -> np.ndarray:
    """A picture without symmetry: every way of turning it gives another one."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, (x + 2 * y) * 60 / height], axis=2).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def close(a: np.ndarray, b: np.ndarray) -> bool:
    assert a.shape == b.shape
    assert a.dtype == np.uint8
    return int(np.abs(a.astype(int) - b.astype(int)).max()) <= SMOOTH


def test_a_jpeg_has_the_pixels_pillow_sees(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", draw(), quality=95)
    seen = np.asarray(Image.open(path).convert("RGB"))
    assert np.abs(kagglekit_read_image(path).astype(int) - seen).max() <= 1
    assert close(kagglekit_read_image(path), draw())


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_jpegs_of_other_kinds_are_read(tmp_path: Path, options: dict[str, object]) -> None:
    path = saved(tmp_path / "a.jpg", draw(), **options)
    seen = np.asarray(Image.open(path).convert("RGB"))
    assert np.abs(kagglekit_read_image(path).astype(int) - seen).max() <= 1


def test_a_grey_jpeg_gets_three_equal_channels(tmp_path: Path) -> None:
    picture = kagglekit_read_image(saved(tmp_path / "a.jpg", draw()[..., 0], quality=95))
    assert close(picture, np.repeat(draw()[..., :1], 3, axis=2))
    assert (picture[..., 0] == picture[..., 2]).all()


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 24), (200, 40, 90)).convert("CMYK")
    picture = kagglekit_read_image(saved(tmp_path / "a.jpg", image, quality=95))
    assert close(picture, np.full((24, 32, 3), (200, 40, 90), dtype=np.uint8))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    # How the stored picture is made from the upright one, worked out from the standard's table by hand:
    # the value says where the stored row 0 and column 0 are to be seen.
    upright = draw()
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],  # row 0 at the right, column 0 at the top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],  # row 0 at the left, column 0 at the bottom
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"a.jpg": {"quality": 95}, "a.webp": {"lossless": True}}.get(name, {})
    path = saved(tmp_path / name, np.ascontiguousarray(turned), exif=exif, **options)
    assert close(kagglekit_read_image(path), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
def test_a_damaged_exif_block_does_not_cost_the_picture(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a.webp"):
        damaged = b"Exif\x00\x00II*\x00\xff\xff\xff\xff\xff"
        path = saved(tmp_path / name, draw(), exif=damaged, quality=95, lossless=True)
        assert close(kagglekit_read_image(path), draw())


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), dtype=np.uint8)
    pixels[..., 0] = 200  # red, hidden on the left, half seen in the middle, seen on the right
    pixels[:, 10:20, 3], pixels[:, 20:, 3] = 128, 255
    picture = kagglekit_read_image(saved(tmp_path / "a.png", pixels))
    assert picture[0, 5].tolist() == [255, 255, 255]
    assert np.abs(picture[0, 15].astype(int) - (227, 127, 127)).max() <= 1
    assert picture[0, 25].tolist() == [200, 0, 0]


def test_grey_with_alpha_is_composited_too(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 2), 100, dtype=np.uint8)
    pixels[:, :4, 1], pixels[:, 4:, 1] = 0, 255
    picture = kagglekit_read_image(saved(tmp_path / "a.png", Image.fromarray(pixels, "LA")))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 7].tolist() == [100, 100, 100]


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_becomes_colours(tmp_path: Path, transparent: bool) -> None:
    image = Image.new("P", (30, 20), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 15, 20))
    options = {"transparency": 0} if transparent else {}
    picture = kagglekit_read_image(saved(tmp_path / "a.png", image, **options))
    assert picture[5, 20].tolist() == [200, 100, 50]
    assert picture[5, 5].tolist() == ([255, 255, 255] if transparent else [10, 20, 30])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    picture = kagglekit_read_image(saved(tmp_path / name, values))
    assert np.abs(picture[..., 1] - values / 257).max() <= 0.5
    assert (picture[0, 0, 0], picture[-1, -1, 0]) == (0, 255)


def test_black_and_white_images_are_0_and_255(tmp_path: Path) -> None:
    picture = kagglekit_read_image(saved(tmp_path / "a.png", draw()[..., 0] > 128))
    assert (picture[..., 0] == np.where(draw()[..., 0] > 128, 255, 0)).all()


def test_webp_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.webp", draw(), quality=95, lossless=True)
    assert (kagglekit_read_image(path) == draw()).all()


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=True)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert (kagglekit_read_image(path) == (255, 0, 0)).all()


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(draw()).save(content, "PNG")
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    assert (kagglekit_read_image(tmp_path / "a.jpg") == draw()).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif"])
@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_a_truncated_file_is_an_error(tmp_path: Path, name: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    path = saved(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(UnreadableImage, match=rf"cannot read .*{name}: "):
        kagglekit_read_image(path)


def test_an_empty_file_a_folder_and_a_text_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    for name, reason in (("empty", "the file is empty"), ("folder", "a folder"), ("page", "not a known image format")):
        with pytest.raises(UnreadableImage, match=rf"cannot read .*{name}\.jpg: {reason}"):
            kagglekit_read_image(tmp_path / f"{name}.jpg")


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kagglekit_read_image(tmp_path / "missing.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / name, draw())
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", "2399")
    with pytest.raises(UnreadableImage, match=r"60 x 40 px are .* KAGGLEKIT_MAX_PIXELS=2400 to read it"):
        kagglekit_read_image(path)
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", "2400")
    assert kagglekit_read_image(path).shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_of_unknown_range_are_refused(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "a.tif", Image.new(mode, (10, 10), 100_000))
    with pytest.raises(UnreadableImage, match="numbers of unknown range"):
        kagglekit_read_image(path)


@pytest.mark.parametrize("tail", [b"\x00" * 100, b"\xff\xda and more", b"\xff\xd9"])
def test_bytes_after_the_end_of_a_jpeg_do_not_matter(tmp_path: Path, tail: bytes) -> None:
    path = saved(tmp_path / "a.jpg", draw(), quality=95)
    path.write_bytes(path.read_bytes() + tail)
    assert close(kagglekit_read_image(path), draw())


def test_a_thumbnail_does_not_hide_that_the_picture_ends_early(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.fromarray(draw(12, 16)).save(thumbnail, "JPEG")
    path = saved(tmp_path / "a.jpg", draw(), quality=95, exif=b"Exif\x00\x00" + thumbnail.getvalue())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UnreadableImage, match="truncated"):
        kagglekit_read_image(path)
