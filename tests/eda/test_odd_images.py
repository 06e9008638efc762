"""`kagglekit look` on images and names that libraries stumble over: nothing fails, and what shows nothing is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest
from click.testing import CliRunner, Result
from command_line import kagglekit
from PIL import Image
from plugin_site import Site

from kagglekit.cli import cli
from kagglekit.eda.canvas import CELL, GAP, MOST_LETTERS, draw_grid
from kagglekit.eda.plots import draw_counts
from kagglekit.images.contrast import is_nearly_constant

PLUGIN = """
@hookimpl
def kagglekit_competition():
    return Competition(title="Odd", metric="accuracy")

@hookimpl
def kagglekit_labels(data):
    return labels_from_folders(data / "train")
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def data_with(folder: Path, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
    for kind, name in enumerate(classes):
        for i in range(4):
            layouts.write_picture(folder / "data" / "train" / name / f"{kind}{i}.jpg", kind, f"{kind}{i}")
    return folder / "data" / "train"


def look(folder: Path, *options: str) -> Result:
    plugin = Site(folder).write("odd.py", PLUGIN)
    drawn = ["--pictures", str(folder / "drawn"), "--preset", "quick"]
    return CliRunner().invoke(cli, ["look", plugin, "--data", str(folder / "data"), *drawn, *options])


THIN = {
    "a PNG one pixel high": ("bee/line.png", (30000, 1), "RGB"),
    "a PNG one pixel wide": ("bee/line.png", (1, 30000), "RGB"),
    "a TIFF longer than OpenCV's short integers": ("bee/line.tif", (1, 70000), "L"),
    "a BMP of two columns": ("ant/0line.bmp", (2, 40000), "L"),
    "a WebP of a single pixel, which is the first image": ("ant/0.webp", (1, 1), "RGB"),
    "a JPEG of three rows": ("bee/line.jpg", (40000, 3), "L"),
    "a GIF of one row": ("bee/line.gif", (300, 1), "P"),
}


@pytest.mark.parametrize(("name", "size", "mode"), THIN.values(), ids=THIN)
def test_an_image_that_is_too_thin_to_show_anything_is_named(
    tmp_path: Path, name: str, size: tuple[int, int], mode: str
) -> None:
    train = data_with(tmp_path)
    Image.new(mode, size).save(train / name)
    out = look(tmp_path)
    assert out.exit_code == 0, out.output
    where = f"{train / name} ({size[0]} x {size[1]})"
    assert f"1 images have a side below 8 px or above 20 times the other: {where}" in out.output
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir() if file.suffix == ".png") >= [
        "classes.png",
        "samples.png",
    ]


@pytest.mark.parametrize("option", ["--preset=quick", "--no-pictures"])
def test_images_of_nearly_one_value_are_counted_and_named(tmp_path: Path, option: str) -> None:
    train = data_with(tmp_path)
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 4, (40, 40, 3), dtype=np.uint8)).save(train / "ant" / "dark.png")
    Image.new("RGB", (40, 40), (200, 9, 9)).save(train / "bee" / "red.png")
    out = look(tmp_path, option)
    assert out.exit_code == 0, out.output
    names = f"{train}/ant/dark.png, {train}/bee/red.png"
    assert f"2 of 10 images are nearly uniform (for example black): {names}" in out.output


def test_of_many_images_some_are_checked_for_being_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagglekit.eda.anomalies.MOST_CHECKED", 4)
    train = data_with(tmp_path)
    for name in ("-.png", "0x.png"):  # every third one is looked at, from the first one on
        Image.new("RGB", (40, 40)).save(train / "ant" / name)
    out = look(tmp_path, "--no-pictures")
    assert "1 of 4 images checked (there are 10) are nearly uniform" in out.output


def test_an_image_is_nearly_constant_if_all_its_channels_are() -> None:
    black = np.zeros((50, 60, 3), np.uint8)
    assert is_nearly_constant(black + np.uint8(7))
    marked = black.copy()
    marked[0, 0] = 255  # a hot pixel
    assert is_nearly_constant(marked)
    digit = black.copy()
    digit[10:40, 30:33, 1] = 200
    assert not is_nearly_constant(digit)
    gradient = black + np.linspace(0, 40, 60).astype(np.uint8)[None, :, None]
    assert not is_nearly_constant(gradient)


def cut(file: Path) -> bytes:
    return file.read_bytes()[: file.stat().st_size // 2]


def wrong_checksum(file: Path) -> bytes:
    content = bytearray(file.read_bytes())
    content[-20] ^= 255
    return bytes(content)


def huge_header(file: Path) -> bytes:
    content = bytearray(file.read_bytes())
    content[16:24] = b"\x7f" * 8
    return bytes(content)


DAMAGE: list[Callable[[Path], bytes]] = [
    cut, wrong_checksum, huge_header, lambda file: b"", lambda file: b"no image", lambda file: file.read_bytes()[:24],
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_damaged_images_do_not_stop_it(tmp_path: Path, suffix: str) -> None:
    train = data_with(tmp_path)
    for number, damage in enumerate(DAMAGE):
        file = train / "bee" / f"x{number}.{suffix}"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
        file.write_bytes(damage(file))
    out = look(tmp_path)
    assert out.exit_code == 0, out.output
    assert f"{train}/bee/x" in out.output
    assert "Traceback" not in out.output


def test_pillows_warnings_of_odd_metadata_do_not_reach_the_screen(tmp_path: Path) -> None:
    train = data_with(tmp_path)
    damaged = b"Exif\x00\x00II*\x00\xff\xff\xff\xff\xff"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(
        train / "ant" / "odd.png", exif=damaged
    )
    plugin = Site(tmp_path).write("odd.py", PLUGIN)
    done = kagglekit("look", plugin, "--data", tmp_path / "data", "--no-pictures", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


ODD_NAMES = (
    "a_{b$}$",
    "$5 note $_x",
    r"\frac{1}{0}",
    "two\nlines",
    "\x1b[31mred",
    "\u202eright to left",
    "猫",
    "x" * 200,
)


def test_classes_with_odd_names_are_counted_and_drawn(tmp_path: Path) -> None:
    data_with(tmp_path, ODD_NAMES)
    out = look(tmp_path)
    assert out.exit_code == 0, out.output
    assert r"two\nlines 4" in out.output
    assert r"\x1b[31mred 4" in out.output
    assert "\x1b" not in out.output
    assert {"classes.png", "samples.png", "views.png"} <= {file.name for file in (tmp_path / "drawn").iterdir()}


def test_file_names_that_are_not_unicode_are_refused_by_name(tmp_path: Path) -> None:
    train = data_with(tmp_path, ("ant", "bee"))
    for name in ("ant/00.jpg", "bee/10.jpg"):  # near-duplicates, whose names are listed in a CSV and drawn
        (train / name).rename(train / os.fsdecode(name.encode().replace(b"0.jpg", b"\xe9.jpg")))
    content = (train / os.fsdecode(b"ant/0\xe9.jpg")).read_bytes()
    (train / os.fsdecode(b"bee/1\xe9.jpg")).write_bytes(content)
    plugin = Site(tmp_path).write("odd.py", PLUGIN)
    done = kagglekit("look", plugin, "--data", tmp_path / "data", "--preset", "quick", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: names of files or folders that are not valid Unicode (UTF-8):" in done.stderr
    assert r"train/ant/0\udce9.jpg" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_in_plots_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr("kagglekit.eda.plots.save_figure", lambda figure, file: found.append(figure.axes[0]))
    counts = dict(zip(ODD_NAMES, range(20, 0, -1), strict=False))
    draw_counts({**counts, "caf\udce9": 1, r"two\nlines": 2}, tmp_path / "a.png")
    labels = found[0].get_yticklabels()
    texts = [label.get_text() for label in labels]
    assert texts[:5] == ["a_{b$}$", "$5 note $_x", r"\frac{1}{0}", r"two\nlines", r"\x1b[31mred"]
    assert texts[-1] == r"caf\udce9"
    assert not any(label.get_parse_math() for label in labels)
    assert texts.count(r"two\nlines") == 2  # a bar each
    assert len(found[0].patches) == len(counts) + 2
    assert max(map(len, texts)) == MOST_LETTERS


def test_of_very_many_classes_the_largest_and_the_smallest_are_drawn(tmp_path: Path) -> None:
    draw_counts({f"c{i}": i for i in range(5000)}, tmp_path / "a.png")
    assert 1_000 < cv2.imread(str(tmp_path / "a.png")).shape[0] < 6_000


def test_a_grid_draws_any_text(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nimport numpy as np\nfrom kagglekit.eda.canvas import draw_grid\n"
        "pixels = np.zeros((9, 9, 3), np.uint8)\n"
        r"draw_grid([((text, text), pixels) for text in ('caf\udce9', 'a\x00b', 'a\nb', 'x' * 9999)], Path('g.png'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)  # could crash
    assert done.returncode == 0, done.stderr
    draw_grid([((), np.zeros((0, 0, 3), np.uint8))], tmp_path / "empty.png")
    assert cv2.imread(str(tmp_path / "empty.png")).min() == 255


def test_small_images_are_enlarged(tmp_path: Path) -> None:
    draw_grid([((), np.zeros((28, 28, 3), np.uint8)), ((), np.zeros((400, 100, 3), np.uint8))], tmp_path / "grid.png")
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    small, large = pixels[:, : CELL + GAP].max(axis=2), pixels[:, CELL + GAP :].max(axis=2)
    assert (small == 0).sum() == 112 * 112
    assert (large == 0).sum() == CELL * CELL // 4
