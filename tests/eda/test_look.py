from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import layouts
import numpy as np
import pytest
from click.testing import CliRunner, Result
from plugin_site import Site

from kagglekit.cli import cli
from kagglekit.eda import plots
from kagglekit.eda.plots import draw_counts
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def look(competition: str, data: Path) -> Result:
    return CliRunner().invoke(cli, ["look", competition, "--data", str(data), "--no-pictures"])


def test_it_shows_splits_classes_balance_and_sizes(tmp_path: Path) -> None:
    layouts.write_pets(tmp_path)
    layouts.write_picture(tmp_path / "images" / "pug_2.jpg", 3, "wide", width=200, height=50)
    out = look("pets", tmp_path)
    assert out.exit_code == 0, out.output
    lines = [line.split() for line in out.output.splitlines()]
    assert "Oxford-IIIT Pet: 48 images of 4 classes" in out.output
    assert ["train", "24", "24", "4", "6", "6"] in lines
    assert ["test", "24", "24", "4", "6", "6"] in lines
    assert "Abyssinian 6, Russian_Blue 6, great_pyrenees 6, pug 6" in out.output
    assert ["short", "side,", "px", "48", "48", "48", "48", "50"] in lines
    assert ["width", "/", "height", "1.25", "1.25", "1.25", "1.25", "4"] in lines
    assert "formats: JPEG 48" in out.output
    assert "test labels are known" in out.output
    warnings = [line for line in out.output.splitlines() if line.startswith("warning")]
    assert warnings == ["warning: not used, in the folders of the images: 1 other file (.mat 1)"]


def test_an_image_without_a_readable_header_is_a_warning(tmp_path: Path) -> None:
    layouts.write_dogs_vs_cats(tmp_path)
    (tmp_path / "test" / "3.jpg").write_bytes(b"no image")
    out = look("dogs-vs-cats", tmp_path)
    assert out.exit_code == 0
    assert f"warning: cannot read {tmp_path}/test/3.jpg: not a known image format" in out.output


def test_ids_that_differ_from_the_sample_submissions_are_warnings(tmp_path: Path) -> None:
    layouts.write_dogs_vs_cats(tmp_path)
    (tmp_path / "test" / "12.jpg").rename(tmp_path / "test" / "99.jpg")
    out = look("dogs-vs-cats", tmp_path)
    assert "ids in sample_submission.csv without a test image: 12" in out.output
    assert "test images missing from sample_submission.csv: 99" in out.output


def test_problems_of_the_data_exit_with_1_and_no_traceback(tmp_path: Path) -> None:
    layouts.write_dog_breed(tmp_path)
    missing = sorted((tmp_path / "train").iterdir())[0]
    missing.unlink()
    out = look("dog-breed", tmp_path)
    assert out.exit_code == 1
    assert f"missing files: {missing}" in out.output
    assert "Traceback" not in out.output


def test_many_classes_are_shortened_to_the_rarest_and_the_most_frequent(tmp_path: Path) -> None:
    layouts.write_dog_breed(tmp_path, classes=6, per_class=3, test=2)
    rows = [("id", "breed")]
    for number in range(12):
        layouts.write_picture(tmp_path / "train" / f"extra{number}.jpg", 0, str(number))
        rows += [(f"extra{number}", f"breed{number:02}")]
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("\n".join(",".join(row) for row in rows[1:]) + "\n")
    out = look("dog-breed", tmp_path)
    assert "breed00 1, breed01 1, breed02 1, breed03 1, breed04 1, ..., beagle 3" in out.output
    assert "warning: classes with a single image, too few to train and to validate: breed00" in out.output


def test_pictures_show_counts_sizes_samples_and_views(tmp_path: Path) -> None:
    layouts.write_dog_breed(tmp_path / "data")
    folder = tmp_path / "pictures"
    arguments = ["look", "dog-breed", "--data", str(tmp_path / "data"), "--pictures", str(folder), "--preset", "quick"]
    out = CliRunner().invoke(cli, arguments)
    assert out.exit_code == 0, out.output
    assert f"plots: {folder}" in out.output
    assert "pairs of near-duplicates: 0 among labelled images" in out.output
    drawn = {file.name: cv2.imread(str(file)) for file in folder.glob("*.png")}
    assert sorted(drawn) == ["classes.png", "samples.png", "sizes.png", "views.png"]
    cell, gap = 136 + 8, 8
    stages = Hooks(load("dog-breed")).recipe("quick").stages
    height, width = drawn["views.png"].shape[:2]
    assert (height, width) == (len(stages) * (136 + 28 + 8) + gap, 8 * cell + gap)
    first = drawn["views.png"][gap : gap + 136]
    assert (first[:, gap + cell : gap + 2 * cell] == 255).all()  # the head on cached activations has one view
    second = drawn["views.png"][gap + 172 : gap + 172 + 136]
    squares = [second[:, gap + i * cell : gap + i * cell + 136].astype(int) for i in range(8)]
    assert all(abs(squares[0] - other).mean() > 3 for other in squares[1:])  # each epoch shows another view
    erasing = "stage.2.augment=random-erasing(p=1.0,min_area=0.4,fill=0.0)"
    more = CliRunner().invoke(cli, [*arguments, "--set", erasing, "--set", "stage.2.max_light=0"])
    assert more.exit_code == 0, more.output
    erased = cv2.imread(str(folder / "views.png"))[gap + 172 : gap + 172 + 136]
    black = [(erased[:, gap + i * cell : gap + i * cell + 136].max(axis=2) == 0).mean() for i in range(8)]
    assert black[0] < 0.1  # the plain view
    assert max(black[1:]) > 0.2  # of 0.4: a thumbnail may be smaller than its cell, and is resampled
    samples = drawn["samples.png"]
    assert samples.shape[0] == 4 * (136 + 28 + 8) + gap  # four classes, eight each
    assert len({tuple(samples[gap + row * 172 + 60, gap + 60]) for row in range(4)}) == 4


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Axes]]:
    """Remember the axes of each plot that is saved."""
    real, found = plots.save_figure, {}

    def save(figure: Figure, file: Path) -> None:
        found[file.name] = figure.axes
        real(figure, file)

    monkeypatch.setattr(plots, "save_figure", save)
    return found


def counted(axes: Axes, value: float) -> float:
    """Return the height of a histogram's bar around a value."""
    ends = [(bar.get_x() - 1e-9, bar.get_x() + bar.get_width() + 1e-9, bar.get_height()) for bar in axes.patches]
    (height,) = (height for start, end, height in ends if height and start <= value <= end)
    return float(height)


def test_the_plots_hold_the_counts_of_classes_and_the_columns_and_rows_of_images(
    tmp_path: Path, drawn: dict[str, list[Axes]]
) -> None:
    data = tmp_path / "data"
    layouts.write_dog_breed(data, classes=3, per_class=3, test=4)
    extra = [("wide", 2, 200, 50), ("tall", 0, 40, 300), ("more", 2, 60, 48)]
    for image, kind, width, height in extra:
        layouts.write_picture(data / "train" / f"{image}.jpg", kind, image, width, height)
    with (data / "labels.csv").open("a") as file:
        file.writelines(f"{image},{layouts.BREEDS[kind]}\n" for image, kind, _, _ in extra)
    folder = tmp_path / "pictures"
    arguments = ["look", "dog-breed", "--data", str(data), "--pictures", str(folder), "--preset", "quick"]
    out = CliRunner().invoke(cli, arguments)
    assert out.exit_code == 0, out.output

    (classes,) = drawn["classes.png"]
    bars = sorted(classes.patches, key=lambda bar: bar.get_y())
    names = [label.get_text() for label in classes.get_yticklabels()]
    assert dict(zip(names, [bar.get_width() for bar in bars], strict=True)) == {
        layouts.BREEDS[0]: 4, layouts.BREEDS[1]: 3, layouts.BREEDS[2]: 5,
    }  # fmt: skip
    assert classes.yaxis_inverted()  # the first name, that of most images, is on top
    assert names[0] == layouts.BREEDS[2]

    columns, rows, aspects, forms = drawn["sizes.png"]
    assert [axes.get_xlabel() for axes in drawn["sizes.png"]] == ["columns, px", "rows, px", "width / height", "format"]
    n = 3 * 3 + 4 + 1  # of 60 columns and 48 rows
    assert [counted(columns, value) for value in (40, 60, 200)] == [1, n, 1]
    assert counted(rows, 300) == 1
    assert counted(rows, 48) == n + 1  # 50 rows are in the same bar
    assert [counted(aspects, value) for value in (40 / 300, 1.25, 4)] == [1, n, 1]
    assert [bar.get_height() for bar in forms.patches] == [n + 2]
    assert [label.get_text() for label in forms.get_xticklabels()] == ["JPEG"]


def test_the_plot_of_classes_leaves_out_test_images_also_where_their_labels_are_known(
    tmp_path: Path, drawn: dict[str, list[Axes]]
) -> None:
    layouts.write_pets(tmp_path / "data")
    arguments = ["look", "pets", "--data", str(tmp_path / "data"), "--pictures", str(tmp_path), "--preset", "quick"]
    out = CliRunner().invoke(cli, arguments)
    assert out.exit_code == 0, out.output
    assert [bar.get_width() for bar in drawn["classes.png"][0].patches] == [6] * 4  # of 12 each


def test_near_duplicates_are_counted_listed_and_drawn(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "pictures"
    layouts.write_dog_breed(data)
    rows = [line.split(",") for line in (data / "labels.csv").read_text().splitlines()[1:]]
    original = cv2.imread(str(data / "train" / f"{rows[0][0]}.jpg"))
    twin = next(image for image, breed in rows if breed != rows[0][1])
    test = sorted((data / "test").iterdir())[0]
    cv2.imwrite(str(data / "train" / f"{twin}.jpg"), original, [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(test), cv2.resize(original, None, fx=2, fy=2))
    arguments = ["look", "dog-breed", "--data", str(data), "--pictures", str(folder), "--preset", "quick"]
    out = CliRunner().invoke(cli, arguments)
    assert out.exit_code == 0, out.output
    assert "1 among labelled images (1 with different classes), 2 between labelled and test images, 0" in out.output
    lines = (folder / "near-duplicates.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(f"{rows[0][0]},train,{rows[0][1]},{twin},train,")
    assert (folder / "near-duplicates.png").exists()


ARRAYS = """
@hookimpl
def kagglekit_competition():
    return Competition(title="Arrays", metric="accuracy")

@hookimpl
def kagglekit_labels(data):
    import pandas as pd
    files = sorted(data.glob("*.npy"))
    rows = [(file.stem, str(file), file.stem[0], "train") for file in files]
    return pd.DataFrame(rows, columns=["id", "path", "label", "split"])

@hookimpl
def kagglekit_read_image(path, size):
    import numpy as np
    return np.load(path) if path.suffix == ".npy" else None
"""


def test_images_that_only_the_competitions_reader_reads_are_compared(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a1", "a2", "b1", "b2"):
        layouts.write_picture(tmp_path / f"{name}.png", "ab".index(name[0]), name)
        np.save(data / f"{name}.npy", cv2.imread(str(tmp_path / f"{name}.png")))
    np.save(data / "b3.npy", np.load(data / "a1.npy"))
    (data / "b4.npy").write_bytes(b"no array")
    plugin = Site(tmp_path).write("arrays.py", ARRAYS)
    arguments = ["look", plugin, "--data", str(data), "--pictures", str(tmp_path / "drawn"), "--preset", "quick"]
    out = CliRunner().invoke(cli, arguments)
    assert out.exit_code == 0, out.output
    said = " ".join(out.output.split())
    assert "pairs of near-duplicates: 1 among labelled images (1 with different classes)" in said
    assert f"1 of 6 images cannot be read and are not compared, for example {data}/b4.npy" in said
    assert "6 files are read by plugins" in said
    assert "cannot read" not in said


def test_a_plot_has_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_counts({"cat": 3, "dog": 5}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
