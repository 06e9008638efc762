"""The page of a run: from a real one, and from a made-up one with 120 classes; opened in Chromium where that is."""

from __future__ import annotations

import io
import json
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import browser
import layouts
import numpy as np
import pytest
from command_line import kagglekit as command
from PIL import Image
from rich.console import Console

from kagglekit import Run, UserError
from kagglekit.report.page import leave_report, write_report
from kagglekit.report.thumbnails import Thumbnails
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display
from kagglekit.types.predictions import load_predictions, make_predictions, save_predictions
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture
def data(dogs) -> Path:
    return dogs.data


@pytest.fixture
def finished(dogs) -> Run:
    return dogs.run


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Make up a run with 120 classes of long names, three images each, a third of them predicted as the next class."""
    folder = tmp_path_factory.mktemp("many")
    run, names = Run(folder / "20260101-000000-net"), [f"a_breed_of_dogs_with_a_long_name_{i}" for i in range(120)]
    truth = np.repeat(np.arange(120), 3)
    ids = [f"train/{names[number]}/{i:032x}.jpg" for i, number in enumerate(truth)]
    for number in range(0, 360, 5):
        layouts.write_picture(folder / "data" / ids[number], number % 7, ids[number])
    table = np.random.default_rng(0).uniform(0, 0.01, (360, 120))
    table[np.arange(360), (truth + (np.arange(360) % 3 == 0)) % 120] += 1
    save_predictions(
        make_predictions(ids, names, table / table.sum(1, keepdims=True)), run.predictions("ensemble", "valid")
    )
    labels = [names[number] for number in truth]
    run.write_valid([{"id": i, "file": i, "label": label} for i, label in zip(ids, labels, strict=True)])
    run.write_recipe(Recipe(arch="net", stages=(Stage(name="head", size=32), Stage(name="a-very-long-stage", size=64))))
    row = {"cycle": 1, "train_loss": 1.5, "valid_loss": 2.0, "seconds": 2.0, "images_per_s": 9.0, "waited_s": 0.1}
    places = [("head", 1, 10), ("a-very-long-stage", 1, 2000), ("a-very-long-stage", 2, 4000)]
    run.write_log([{"stage": stage, "epoch": epoch, "step": step, **row} for stage, epoch, step in places])
    step = {"lr": 0.1, "momentum": 0.9, "loss": 1.0}
    run.add_steps([{"stage": "a-very-long-stage", "step": i, **step} for i in range(1, 4001)])
    keys = ("valid_log_loss", "valid_accuracy", "valid_balanced_accuracy", "test_log_loss", "test_accuracy")
    scores = [{"member": "ensemble", "views": "mean", **{key: [0.5, 0.1] for key in keys}}]
    Record.of(run.info_file).update(
        competition="dog-breed",
        plugin="dog-breed",
        title="<Dogs> & dogs",
        metric="log_loss",
        device="a device",
        status="finished",
    )
    Record.of(run.info_file).update(scores=scores, classes=names, data=str(folder / "data"))
    write_report(run)
    return run


def test_a_run_says_where_its_report_is(dogs):
    assert f"report: {dogs.run.report}" in dogs.said


def test_the_report_has_every_panel(finished):
    text = finished.report.read_text(encoding="utf-8")
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert titles == [
        *("Scores", "Stages", "Curves", "Top losses", "Most uncertain", "Random correct"),
        *("Random incorrect", "Confusion", "Calibration", "Classes", "Most sure test images", "Least sure test images"),
        *("Where it looks", "Augmented images", "How it was made"),
    ]
    for words in ("TTA", "Time", "Learning rate of the head", "Momentum", "Most confused pairs", "Most incorrect"):
        assert words.lower() in text.lower()
    assert "±" in text
    assert text.count("data:image/webp;base64,") >= 8


def test_every_step_is_recorded_with_rate_momentum_and_loss(finished):
    steps, log = finished.steps(), finished.log_rows()
    last = {row["stage"]: int(row["step"]) for row in log}
    for stage in finished.recipe().stages:
        rows = [row for row in steps if row["stage"] == stage.name]
        assert [int(row["step"]) for row in rows] == list(range(1, last[stage.name] + 1))
    epochs = [row for row in log if row["stage"] == "all-2"]
    of_first = [float(row["loss"]) for row in steps if row["stage"] == "all-2"][: int(epochs[0]["step"])]
    assert np.mean(of_first) == pytest.approx(float(epochs[0]["train_loss"]), rel=1e-4)
    ends = {int(row["step"]): float(row["lr"]) for row in epochs}
    assert {int(r["step"]): float(r["lr"]) for r in steps if r["stage"] == "all-2" and int(r["step"]) in ends} == ends


def test_the_same_run_gives_the_same_bytes_and_names_no_place(finished, data):
    before = finished.report.read_bytes()
    write_report(finished)
    assert finished.report.read_bytes() == before
    for place in (finished.folder.parent, data, Path.cwd()):
        assert str(place).encode() not in before


def test_without_its_images_the_report_shows_names(finished, data, tmp_path):
    copy = tmp_path / "moved"
    data.rename(copy)
    try:
        write_report(finished)
        text = finished.report.read_text(encoding="utf-8")
        assert "No thumbnails: the images have moved" in text
        left = list(finished.pictures.glob("*.webp"))  # what the run has drawn is still there
        assert text.count("data:image") == len(left) > 0
        assert "Top losses" in text
        write_report(finished, copy)
        assert "data:image" in finished.report.read_text(encoding="utf-8")
    finally:
        copy.rename(data)
    write_report(finished)


def test_an_image_that_cannot_be_read_any_more_is_left_blank(many):
    folder = Path(many.info().data)
    broken = next(folder.rglob("*.jpg"))
    content = broken.read_bytes()
    broken.write_bytes(b"no picture")
    write_report(many)
    blank = many.report.read_text(encoding="utf-8").count('class="none"')
    broken.write_bytes(content)
    write_report(many)
    assert many.report.read_text(encoding="utf-8").count('class="none"') < blank


def test_names_are_escaped(many):
    text = many.report.read_text(encoding="utf-8")
    assert "<Dogs>" not in text
    assert "&lt;Dogs&gt; &amp; dogs" in text


def test_120_classes_make_a_page_of_less_than_two_megabytes(many):
    assert many.report.stat().st_size < 2e6


def test_a_run_that_stopped_early_has_a_report_of_what_there_is(finished, tmp_path):
    run = Run(tmp_path / "stopped")
    run.write_recipe(finished.recipe())
    Record.of(run.info_file).update(competition="dog-breed", plugin="dog-breed", status="interrupted", title="Dogs")
    write_report(run)
    assert "No epoch is finished" in run.report.read_text(encoding="utf-8")
    (run.folder / "log.csv").write_bytes(finished.log_file.read_bytes())
    (run.folder / "steps.csv").write_bytes(finished.steps_file.read_bytes())
    write_report(run)
    text = run.report.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "No final valid predictions" in text
    assert "Top losses" not in text


def test_a_head_found_by_regression_alone_is_not_judged(finished, tmp_path):
    run = Run(tmp_path / "features")
    run.write_recipe(finished.recipe())
    Record.of(run.info_file).update(competition="dog-breed", plugin="dog-breed", status="interrupted", title="Dogs")
    row = {"epoch": 1, "cycle": 1, "train_loss": 1.5, "valid_loss": 2.0, "seconds": 2.0, "images_per_s": 9.0}
    run.write_log([{"stage": finished.recipe().stages[0].name, "step": 0, "waited_s": 0.1, **row}])
    write_report(run)
    text = run.report.read_text(encoding="utf-8")
    assert "2.0000" in text
    assert "verdict" not in text
    assert "too short" not in text


def test_a_report_that_fails_loses_no_run(finished, tmp_path):
    run = Run(tmp_path / "damaged")
    run.write_recipe(finished.recipe())
    Record.of(run.info_file).update(competition="dog-breed", plugin="dog-breed", status="finished")
    (run.folder / "log.csv").write_text("stage\nhead\n")
    said = io.StringIO()
    leave_report(run, Display(Console(file=said, width=200)))
    assert "warning: cannot write the report" in said.getvalue()
    assert not run.report.exists()


DAMAGES = {
    "a column is gone": ("log.csv", "train_loss", "loss", "in line 2 train_loss is missing"),
    "a stage of another recipe": ("log.csv", "\nhead,", "\nfoot,", "in line 2 stage is 'foot'"),
    "a row ends early": ("log.csv", r"(\nhead,\d+).*", r"\1", "in line 2 cycle is missing"),
    "a loss is no number": ("steps.csv", r"[^,\n]*$", "low", "loss is 'low'"),
    "a byte is no text": ("log.csv", "head", "h\udc92ad", "is damaged: 'utf-8' codec"),
    "labels are gone": ("valid.csv", "label", "breed", "in line 2 label is missing"),
}


@pytest.mark.parametrize(("name", "old", "new", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named(finished, tmp_path, name, old, new, said):
    folder = Path(shutil.copytree(finished.folder, tmp_path / finished.name))
    text = (folder / name).read_text(encoding="utf-8").rstrip()
    (folder / name).write_text(re.sub(old, new, text, count=1), encoding="utf-8", errors="surrogateescape")
    done = command("report", folder, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder / name} is damaged: ")
    assert said in done.stderr
    assert (folder / "report.html").read_bytes() == finished.report.read_bytes()


def test_a_folder_that_is_no_run_has_no_report(tmp_path):
    with pytest.raises(UserError, match="is not a run"):
        write_report(Run(tmp_path))


def test_the_command_makes_the_report_again(finished, tmp_path):
    before = finished.report.read_bytes()
    finished.report.unlink()
    done = command("report", finished.folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(finished.report) in done.stdout
    assert finished.report.read_bytes() == before
    missing = command("report", "nothing", cwd=tmp_path)
    assert missing.returncode == 1
    assert "no runs in" in missing.stderr


def test_a_card_has_both_probabilities_and_leads_to_its_file(many):
    text = many.report.read_text(encoding="utf-8").replace("<wbr>", "")
    table, folder = load_predictions(many.predictions("ensemble", "valid")), Path(many.info().data)
    wrong = [row for row in many.valid() if table.loc[row["id"]].idxmax() != row["label"]]
    row = next(row for row in wrong if (folder / row["file"]).exists())
    guess = table.loc[row["id"]]
    card = next(part for part in text.split("<figure") if f">{row['id']}</a>" in part)
    assert f"{guess.idxmax()} {guess.max():.3f}</span><br>actual: {row['label']} {guess[row['label']]:.3f}<br>" in card
    address = re.search(r'<a href="([^"]+)"><img', card)
    assert address
    assert (many.folder / unquote(address[1])).resolve() == (folder / row["file"]).resolve()


def test_links_are_left_out_where_page_and_images_share_no_folder(tmp_path):
    (tmp_path / "a b.jpg").write_bytes(b"")
    files = {"a": tmp_path / "a b.jpg", "gone": tmp_path / "gone.jpg"}
    near = Thumbnails(files, lambda path, size: None, page=tmp_path / "runs" / "1")
    assert near.link("a") == "../../a%20b.jpg"
    assert near.link("gone") == near.link("unknown") == ""
    assert Thumbnails(files, near.read, page=Path("/somewhere/else")).link("a") == ""


def test_the_page_says_how_to_repeat_the_run_and_what_to_try(finished, many, tmp_path):
    text = unescape(finished.report.read_text(encoding="utf-8"))
    (repeats,) = re.findall("<pre>(kagglekit run dog-breed .*)</pre>", text)  # it was started from Python
    for words in ("--preset quick", "--precision fp32", "--set stage.4.size=48", "--set tta=2", "--data data"):
        assert f" {words} " in f"{repeats} "
    assert finished.recipe().to_json() in text
    assert f"torch {finished.info().versions['torch']}" in text
    assert "Train folds: --folds 5." in text
    command = ("/usr/bin/kagglekit", "run", "pets", "--data", "/home/ada/pets", "--out=/tmp/x", "--set", "tta=2")
    Record.of(many.info_file).update(command=command)
    write_report(many)
    text = unescape(many.report.read_text(encoding="utf-8"))
    assert "<pre>kagglekit run pets --data pets --out=x --set tta=2</pre>" in text
    assert "/home/ada" not in text
    n = len(many.report.with_name("label-errors.csv").read_text().splitlines()) - 1
    assert n > 1
    assert f"Look at the {n} labels in label-errors.csv" in text


def test_the_test_images_are_those_of_the_surest_and_least_sure_predictions(finished):
    table = load_predictions(finished.predictions("ensemble", "test")).max(axis=1)
    rows = {which: [row["id"] for row in finished.test_images() if row["sure"] == which] for which in ("most", "least")}
    assert [table[image] for image in rows["most"]] == sorted(table, reverse=True)[:5]
    assert [table[image] for image in rows["least"]] == sorted(table)[:5]


def test_test_labels_are_only_unknown_where_they_score_nothing(finished, tmp_path):
    run = Run(Path(shutil.copytree(finished.folder, tmp_path / finished.name)))
    assert "images whose labels are unknown" in run.report.read_text(encoding="utf-8")
    *others, last = run.info().scores
    Record.of(run.info_file).update(scores=[*others, {**last, "test_log_loss": (0.5, 0.1)}])
    write_report(run)
    text = run.report.read_text(encoding="utf-8")
    assert "images whose labels training never sees" in text
    assert "unknown" not in text


def test_the_pictures_are_of_augmented_images_and_of_the_worst_ones(finished):
    facts = json.loads((finished.pictures / "pictures.json").read_text())
    assert [each["stage"] for each in facts["augmented"]] == [
        s.name for s in finished.recipe().stages if not s.precompute
    ]
    with Image.open(finished.pictures / facts["augmented"][0]["file"]) as strip:
        assert strip.size == (6 * 96, 3 * 96)
    table, labels = load_predictions(finished.predictions("ensemble", "valid")), finished.valid()
    p = {row["id"]: table.loc[row["id"], row["label"]] for row in labels}
    shown = [each["id"] for each in facts["attention"]]
    assert shown == sorted(p, key=p.__getitem__)[: len(shown)]
    assert {each["member"] for each in facts["attention"]} <= {entry.name for entry in finished.info().members}


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", browser.WIDTHS)
@pytest.mark.parametrize("which", ["finished", "many"])
def test_in_a_browser_nothing_overflows_or_overlaps_and_nothing_is_asked_for(which, width, dark, tmp_path, request):
    answer = browser.ask(request.getfixturevalue(which).report, tmp_path, dark, width)
    assert answer["width"] == width
    assert answer["dark"] == dark
    assert answer["back"] == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert answer["scroll"] == answer["beyond"] == answer["broken"] == 0
    assert width < browser.WIDTH or answer["scrolled"] == 0
    assert answer["pictures"] > 0
    assert answer["requests"] == []
    assert answer["cut"] == answer["overlaps"] == []


@needs_chromium
def test_in_a_browser_curves_have_values_and_one_class_can_be_shown(finished):
    page = browser.browser()
    page.open(finished.report)  # with its ban on other scripts
    at = page.evaluate(
        "(() => { const c = document.querySelector('svg[data-chart]'); c.scrollIntoView({block: 'center'});"
        "const r = c.getBoundingClientRect(); return [r.left + r.width * 0.99 - 30, r.top + r.height / 2]; })()"
    )
    page.do("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
    said = page.evaluate("document.getElementById('values').innerText").splitlines()
    log = finished.log_rows()
    last = max(float(row["valid_loss"]) for row in log if row["stage"] == log[-1]["stage"])
    values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in said)}
    assert said[0].startswith("step ")
    assert values["valid"] == pytest.approx(float(log[-1]["valid_loss"]), abs=0.02 * max(last, 1))
    name = finished.info().classes[1]
    shown = page.evaluate(
        "(() => { const select = document.querySelector('p.filter select');"
        f"select.value = [...select.options].find((each) => each.text === '{name}').value;"
        "select.dispatchEvent(new Event('change')); const cards = [...document.querySelectorAll('figure[data-of]')];"
        "return cards.filter((each) => each.checkVisibility()).map((each) => each.innerText); })()"
    )
    assert shown
    assert all(name in text for text in shown)


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_in_a_browser_what_scrolls_sideways_has_a_shadow_where_it_is_cut(finished, dark, tmp_path):
    page = browser.browser()
    page.open(finished.report, width=390, dark=dark)
    box = page.evaluate(
        "(() => { const cut = [...document.querySelectorAll('.wide')].find((e) => e.scrollWidth > e.clientWidth + 50);"
        "const r = cut.getBoundingClientRect(); return [r.left, r.right, r.top + scrollY, r.bottom + scrollY]; })()"
    )
    page.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as shot:
        grey = np.asarray(shot.convert("L"), dtype=float)
    left, right, top, bottom = (round(each) for each in box)
    edges = [np.median(grey[top + 2 : bottom - 2, x]) for x in (left + 1, right - 2)]
    back = np.median(grey)
    assert abs(edges[0] - back) < 3  # nothing is hidden there yet
    assert abs(edges[1] - back) > 25


@needs_chromium
def test_runs_are_compared_on_one_page(finished, many, tmp_path):
    other = Path(shutil.copytree(finished.folder, tmp_path / "20260101-000000-other"))
    run = Run(other)
    table = load_predictions(run.predictions("ensemble", "valid"))
    row = run.valid()[0]
    table.loc[row["id"]] = [float(name == row["label"]) for name in table.columns]
    save_predictions(table, run.predictions("ensemble", "valid"))
    run.write_recipe(run.recipe().model_copy(update={"seed": 7}))
    done = command("report", finished.folder, other, "--file", tmp_path / "both.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = unescape((tmp_path / "both.html").read_text(encoding="utf-8")).replace("<wbr>", "")
    assert re.search(r"<td[^>]*>seed</td>\s*<td[^>]*>\d+</td>\s*<td[^>]*>7</td>", text)
    assert "Loss fell most" in text
    assert "Loss rose most" not in text
    card = next(part for part in text.split("<figure>") if f">{row['id']}<" in part)
    assert f'<span class="good">B: {row["label"]} 1.000</span>' in card
    for width in browser.WIDTHS:
        answer = browser.ask(tmp_path / "both.html", tmp_path, dark=width == 800, width=width)
        assert answer["scroll"] == answer["beyond"] == answer["broken"] == 0
        assert answer["cut"] == answer["overlaps"] == answer["requests"] == []
    Record.of(run.info_file).update(competition="cats")
    done = command("report", finished.folder, other, cwd=tmp_path)
    assert done.returncode == 1
    assert "the runs are of different competitions: cats, dog-breed" in done.stderr


@needs_chromium
def test_on_paper_the_page_is_white_also_for_those_who_like_it_dark(many, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(many.report.read_text(encoding="utf-8").replace("@media print", "@media all"), encoding="utf-8")
    answer = browser.ask(page, tmp_path, dark=True)
    assert answer["back"] == "rgb(255, 255, 255)"
    assert answer["scroll"] == answer["beyond"] == 0
    assert answer["nav"] == "none"


@needs_chromium
def test_the_browser_test_would_see_an_overflow_and_a_request(many, tmp_path):
    page = tmp_path / "page.html"
    wrong = '<div style="width:2000px">.</div><img src="http://localhost:9/x.png">'
    page.write_text(many.report.read_text(encoding="utf-8").replace("</body>", wrong + "</body>"), encoding="utf-8")
    answer = browser.ask(page, tmp_path, dark=False)
    assert answer["scroll"] > 0
    assert answer["requests"] == ["http://localhost:9/x.png"]
    assert answer["broken"] == 1
