"""What the report draws of predictions whose answers are known: nothing transposed, swapped, or of another image."""

from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from judged import CLASSES, TABLE, judged
from PIL import Image

from kagglekit import Run
from kagglekit.report import panels
from kagglekit.report.page import write_report
from kagglekit.report.pages.rendering import _figure
from kagglekit.report.panels import Bin
from kagglekit.report.predictions import cards, prediction_panels
from kagglekit.report.scores import found_by_member, found_else
from kagglekit.report.svg import calibration_chart, matrix
from kagglekit.report.thumbnails import Thumbnails
from kagglekit.runs.info import Record, RunInfo
from kagglekit.types.predictions import make_predictions, save_predictions
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

GREYS = {f"i{row}": 30 * row for row in range(len(TABLE))}  # the picture of each image is of one shade
COUNTS = np.array([[5, 3, 0], [1, 9, 2], [0, 0, 7]])  # actual in rows


def drawing(svg: object) -> ET.Element:
    return ET.fromstring(str(svg))


def cells(svg: object) -> dict[tuple[str, str], dict[str, Any]]:
    """Read a drawn matrix as people do: by the names beside a row and above a column.

    Returns:
        By (row's name, column's name): the cell's title, colour, strength and number.
    """
    root = drawing(svg)
    texts = root.findall("text")
    rows = {float(text.attrib["y"]): text.text for text in texts if text.attrib.get("class") == "end"}
    columns = {
        float(re.findall(r"[\d.]+", text.attrib["transform"])[0]): text.text
        for text in texts
        if "transform" in text.attrib
    }
    numbers = {(float(t.attrib["x"]), float(t.attrib["y"])): t.text for t in texts if t.attrib.get("class") == "mid"}
    found = {}
    for rect in root.findall("rect"):
        if (title := rect.find("title")) is None:
            continue
        x, y, side = (float(rect.attrib[key]) for key in ("x", "y", "width"))
        middle = x + side / 2, y + side / 2
        row = rows[min(rows, key=lambda at: abs(at - middle[1]))]
        column = columns[min(columns, key=lambda at: abs(at - middle[0]))]
        inside = [n for (at, up), n in numbers.items() if x < at < x + side and y < up < y + side]
        found[row, column] = {
            "title": title.text,
            "kind": rect.attrib["class"],
            "strength": float(rect.attrib["fill-opacity"]),
            "numbers": inside,
        }
    return found


def test_a_drawn_matrix_has_actual_classes_beside_its_rows_and_predicted_ones_above_its_columns():
    found = cells(matrix(COUNTS, CLASSES, 30, "confusion"))
    assert {place: cell["numbers"] for place, cell in found.items()} == {
        ("ant", "ant"): ["5"],
        ("ant", "bee"): ["3"],
        ("bee", "ant"): ["1"],
        ("bee", "bee"): ["9"],
        ("bee", "cat"): ["2"],
        ("cat", "cat"): ["7"],
    }
    assert found["ant", "bee"]["title"] == "ant predicted as bee: 3 of 8"
    assert found["bee", "cat"]["title"] == "bee predicted as cat: 2 of 12"
    assert {place for place, cell in found.items() if cell["kind"] == "right"} == {(name, name) for name in CLASSES}
    for (row, column), cell in found.items():  # the share of its row
        i, j = CLASSES.index(row), CLASSES.index(column)
        assert cell["strength"] == pytest.approx(0.15 + 0.6 * COUNTS[i, j] / COUNTS[i].sum(), abs=0.006)


def points(svg: object) -> dict[tuple[float, float], tuple[str, float]]:
    """Read a calibration chart by its diagonal: title and radius of each dot, by (confidence, accuracy)."""
    root = drawing(svg)
    (diagonal,) = (line for line in root.findall("line") if line.attrib["class"] == "stage")
    x1, y1, x2, y2 = (float(diagonal.attrib[key]) for key in ("x1", "y1", "x2", "y2"))
    assert x1 < x2
    assert y1 > y2  # upwards
    found = {}
    for circle in root.iter("circle"):
        x = (float(circle.attrib["cx"]) - x1) / (x2 - x1)
        y = (float(circle.attrib["cy"]) - y1) / (y2 - y1)
        title = circle.find("title")
        assert title is not None
        found[round(x, 2), round(y, 2)] = str(title.text), float(circle.attrib["r"])
    return found


def test_a_calibration_dot_is_at_its_confidence_and_accuracy_and_as_large_as_it_has_images():
    found = points(calibration_chart([Bin(1, 0.3, 0.8), Bin(16, 0.9, 0.25), Bin(4, 0.6, 0.5)]))
    assert set(found) == {(0.3, 0.8), (0.9, 0.25), (0.6, 0.5)}
    assert found[0.9, 0.25] == ("16 images: confidence 0.900, accuracy 0.250", 10.0)
    assert found[0.6, 0.5][1] == pytest.approx(3 + 7 * math.sqrt(4 / 16), abs=0.06)
    assert found[0.3, 0.8][1] < found[0.6, 0.5][1]


def test_images_are_in_the_tenth_of_their_confidence():
    table = [(0, (p, 1 - p)) for p in (0.55, 0.59, 0.72, 0.81, 0.89)] + [(1, (0.85, 0.15)), (1, (1.0, 0.0))]
    found = points(prediction_panels(judged(table, ("a", "b")), blank(), 0)["calibration"])
    assert {place: words for place, (words, _) in found.items()} == {
        (0.57, 1.0): "2 images: confidence 0.570, accuracy 1.000",
        (0.72, 1.0): "1 images: confidence 0.720, accuracy 1.000",
        (0.85, 0.67): "3 images: confidence 0.850, accuracy 0.667",
        (1.0, 0.0): "1 images: confidence 1.000, accuracy 0.000",
    }


def blank() -> Thumbnails:
    return Thumbnails({}, lambda path, size: np.zeros((size, size, 3), np.uint8))


def grey() -> Thumbnails:
    """Thumbnails whose shade says of which image they are."""
    files = {image: Path(image) for image in GREYS}
    return Thumbnails(files, lambda path, size: np.full((size, size, 3), GREYS[path.name], np.uint8))


def shade(picture: str) -> float:
    return float(np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))).mean())


def test_a_card_has_its_own_images_picture_classes_loss_and_probability():
    made = cards(judged(), np.array([4, 1, 7, 6]), grey())
    assert [card.image for card in made] == ["i4", "i1", "i7", "i6"]
    for card in made:
        assert shade(card.picture) == pytest.approx(GREYS[card.image], abs=3)
    assert [(card.actual, card.predicted) for card in made] == [
        ("bee", "cat"), ("ant", "bee"), ("cat", "ant"), ("cat", "cat"),
    ]  # fmt: skip
    assert [card.right for card in made] == [False, False, False, True]
    assert [card.probability for card in made] == pytest.approx([0.3, 0.2, 0.0, 1.0])
    assert [card.loss for card in made[:2]] == pytest.approx([-math.log(0.3), -math.log(0.2)])


def test_each_picture_is_read_once_and_one_that_fails_is_left_blank():
    read: list[str] = []

    def reader(path: Path, size: int) -> np.ndarray:
        read.append(path.name)
        if path.name == "i4":
            raise RuntimeError("a plugin's reader may raise anything")
        return np.full((size, size, 3), GREYS[path.name], np.uint8)

    pictures = Thumbnails({image: Path(image) for image in GREYS}, reader)
    made = [card.picture for rows in ([4, 1, 7], [1, 4, 6]) for card in cards(judged(), np.array(rows), pictures)]
    assert sorted(read) == ["i1", "i4", "i6", "i7"]
    assert [bool(picture) for picture in made] == [False, True, True, True, False, True]


def images(made: list) -> list[str]:
    return [card.image for card in made]


def test_each_class_shows_its_most_correct_images_first_and_then_its_most_incorrect_ones():
    per_class = prediction_panels(judged(), grey(), 0)["per_class"]
    assert [(name, images(right), images(wrong)) for name, right, wrong in per_class] == [
        ("ant", ["i0", "i2"], ["i1"]),
        ("bee", ["i3"], ["i4", "i5"]),
        ("cat", ["i6"], ["i7"]),
    ]
    assert all(card.right for _, right, _ in per_class for card in right)
    assert not any(card.right for _, _, wrong in per_class for card in wrong)


def test_each_panel_shows_what_its_title_says():
    found = {panel.title: panel.cards for panel in prediction_panels(judged(), grey(), 0)["panels"]}
    assert images(found["Top losses"])[:3] == ["i7", "i1", "i4"]
    assert images(found["Most uncertain"])[:3] == ["i4", "i2", "i5"]
    assert images(found["Random correct"]) == ["i0", "i2", "i3", "i6"]
    assert images(found["Random incorrect"]) == ["i1", "i4", "i5", "i7"]


def test_a_block_of_confused_classes_is_a_part_of_the_matrix_with_its_own_names():
    names = tuple(f"c{number}" for number in range(10))
    said = [(number, number) for number in range(10)] + [(2, 7), (2, 7), (7, 2), (4, 5)]  # actual, predicted
    table = [(actual, tuple(np.eye(10)[predicted])) for actual, predicted in said]
    blocks = prediction_panels(judged(table, names), blank(), 0)["blocks"]
    assert [sorted(cells(block)) for block in blocks] == [
        [("c2", "c2"), ("c2", "c7"), ("c7", "c2"), ("c7", "c7")],
        [("c4", "c4"), ("c4", "c5"), ("c5", "c5")],
    ]
    assert cells(blocks[0])["c2", "c7"]["title"] == "c2 predicted as c7: 2 of 3"
    assert cells(blocks[0])["c7", "c2"]["title"] == "c7 predicted as c2: 1 of 2"
    assert not prediction_panels(judged(), blank(), 0)["blocks"]  # few classes are seen at once anyway
    assert len(CLASSES) <= panels.LARGEST_BLOCK


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The whole page of a run with these predictions, its valid images in another order than its predictions."""
    folder = tmp_path_factory.mktemp("known")
    run, known = Run(folder / "20260101-000000-net"), judged()
    for image, value in GREYS.items():
        cv2.imwrite(str(folder / f"{image}.png"), np.full((40, 40, 3), value, np.uint8))
    save_predictions(make_predictions(known.ids, CLASSES, known.probabilities), run.predictions("ensemble", "valid"))
    labels = {image: CLASSES[number] for image, number in zip(known.ids, known.truth, strict=True)}
    run.write_valid([{"id": image, "file": f"{image}.png", "label": labels[image]} for image in reversed(known.ids)])
    run.write_recipe(Recipe(arch="net", stages=(Stage(name="head", size=32),)))
    Record.of(run.info_file).update(
        competition="dog-breed",
        plugin="dog-breed",
        metric="log_loss",
        status="finished",
        classes=CLASSES,
        data=str(folder),
    )
    write_report(run)
    return run.report.read_text(encoding="utf-8")


def test_the_page_shows_each_image_with_its_picture_and_says_what_was_predicted_and_what_is_actual(page):
    figures = re.findall(r"<figure[^>]*>(.*?)</figure>", page, re.DOTALL)
    assert figures
    truth = {f"i{row}": CLASSES[number] for row, (number, _) in enumerate(TABLE)}
    said = {f"i{row}": CLASSES[int(np.argmax(p))] for row, (_, p) in enumerate(TABLE)}
    for figure in figures:
        image = re.findall(r"<figcaption>(?:<a[^>]*>)?(\w+)", figure)[0]
        words = re.sub(r"<[^>]+>", " ", figure).split()
        p = np.array(TABLE[int(image[1:])][1])
        if truth[image] == said[image]:
            assert words[:2] == [truth[image], f"{p.max():.3f}"]
            assert 'class="good"' in figure
        else:
            actual = p[CLASSES.index(truth[image])]
            assert words[:5] == [said[image], f"{p.max():.3f}", "actual:", truth[image], f"{actual:.3f}"]
            assert 'class="bad"' in figure
        assert shade(re.findall(r'src="([^"]+)"', figure)[0]) == pytest.approx(GREYS[image], abs=3)


def test_the_page_lists_confused_pairs_as_actual_then_predicted(page):
    number = r'<td class="n">(\d+)</td>'
    rows = re.findall(rf"<tr[^>]*><td>(\w+)</td><td>(\w+)</td>{number}{number}</tr>", page)
    assert sorted(rows) == [
        ("ant", "bee", "1", "3"), ("bee", "ant", "1", "3"), ("bee", "cat", "1", "3"), ("cat", "ant", "1", "2"),
    ]  # fmt: skip
    assert "ant predicted as bee: 1 of 3" in unescape(page)
    assert "ant predicted as cat" not in page


def test_the_page_shows_each_class_with_its_most_correct_images_before_its_most_incorrect_ones(page):
    classes = page.partition("Most correct and most incorrect of each class")[2]
    assert re.findall(r"<h3>(\w+)</h3>|<figcaption>(?:<a[^>]*>)?(\w+)", classes) == [
        *(("ant", ""), ("", "i0"), ("", "i2"), ("", "i1")),
        *(("bee", ""), ("", "i3"), ("", "i4"), ("", "i5")),
        *(("cat", ""), ("", "i6"), ("", "i7")),
    ]


def test_panels_without_images_are_left_out_and_a_loss_of_zero_has_no_sign():
    right = judged([(number, tuple(np.eye(3)[number])) for number in (0, 1, 2)])
    panels = prediction_panels(right, grey(), 0)["panels"]
    assert [panel.title for panel in panels] == ["Top losses", "Most uncertain", "Random correct"]
    assert [_figure(value, ".2f") for value in (-0.0, -1e-9, -0.2, 0.0)] == ["0.00", "0.00", "-0.20", "0.00"]
    fitted = {"weights": {"a": 1.0}, "valid losses": {"a": 0.2, "mean": 0.3}, "gain": 0.0, "temperature": 1.5}
    info = RunInfo(fitted=fitted)
    assert found_by_member(info) == [("valid losses", [("a", 0.2), ("mean", 0.3)])]
    assert found_else(info) == ["temperature: 1.5"]
