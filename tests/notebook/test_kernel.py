"""Runs in a real kernel: progress in the cell, runs that show themselves, errors and interrupts without tracebacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from few_shapes import draw_few
from notebook_kernel import Cell, Kernel, kernel

from kagglekit.runs.lookup import find_run

SHORT = 'epochs=3, stages="4", device="cpu", precision="fp32", settings={"tta": 1}'
WATCH = """
import sys
heavy, loaded = {"torch", "timm", "pandas", "pydantic"}, []
get_ipython().display_pub.register_hook(lambda message: loaded.append(sorted(heavy & set(sys.modules))) or message)
"""  # at each output of a cell: is anything loaded that takes long?
LONG = 'epochs=400, stages="4", device="cpu", precision="fp32", settings={"tta": 0}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    draw_few(folder / "data" / "shapes")
    return folder


@pytest.fixture(scope="module")
def notebook(folder: Path) -> Iterator[Kernel]:
    with kernel(folder) as started:
        yield started


@pytest.fixture(scope="module")
def trained(notebook: Kernel) -> Cell:
    """The first cell of a notebook that trains."""
    assert notebook.run(WATCH).error == ""
    return notebook.run(f'import kagglekit\nrun = kagglekit.run("shapes", {SHORT})')


def test_a_run_shows_its_progress_in_one_place_from_the_first_second_on(trained: Cell) -> None:
    assert trained.error == ""
    first = trained.all("display_data")[0]["data"]["text/plain"]
    assert first == "shapes: loading its plugin and recipe ..."
    assert len(trained.all("update_display_data")) > 10
    assert len(trained.all("display_data")) <= 2
    assert trained.all("stream") == []
    assert "finished in" in trained.text
    assert "█" not in trained.text  # the bars are gone at the end
    for content in trained.all("display_data", "update_display_data"):
        assert all(len(line) <= 80 or " " not in line.strip() for line in content["data"]["text/plain"].splitlines())
        assert content["data"]["text/html"].startswith("<pre")


def test_the_first_line_is_shown_before_anything_heavy_is_loaded(notebook: Kernel, trained: Cell) -> None:
    assert notebook.run("loaded[0], 'torch' in loaded[-1]").value["text/plain"] == "([], True)"


def test_the_first_line_is_shown_long_before_torch_is_loaded(trained: Cell) -> None:
    shown = [(content["data"]["text/plain"], at) for kind, content, at in trained.messages if "display_data" in kind]
    loaded = next(at for text, at in shown if "Shapes (not on Kaggle)" in text)
    assert shown[0][1] < loaded / 4  # 0.2 of 5 s on two busy cores


def test_predictions_in_a_new_kernel_say_what_is_done_before_torch_is_loaded(trained: Cell, folder: Path) -> None:
    image = next((folder / "data" / "shapes" / "images").glob("*.png"))
    with kernel(folder) as other:
        assert other.run(WATCH).error == ""
        shown = other.run(f'import kagglekit\nkagglekit.predict("latest", {str(image)!r})')
        first = shown.all("display_data")[0]["data"]["text/plain"]
        assert re.fullmatch(r"predicting with \S+ \.\.\.", first)
        assert "data:image" in shown.value["text/html"]
        assert "torch" not in other.run("loaded[0]").value["text/plain"]


def test_a_run_shows_scores_curves_and_worst_images(notebook: Kernel, trained: Cell) -> None:
    shown = notebook.run("run").value["text/html"]
    for part in ("valid accuracy", "<svg", "Highest loss", "data:image/webp", "report.html"):
        assert part in shown
    assert "http" not in shown.replace("http://www.w3.org", "")
    log = notebook.run("print(*run.log().dtypes[['epoch', 'lr', 'valid_loss']])").text
    assert log.strip() == "int64 float64 float64"


def test_the_other_functions_show_tables_and_plots(notebook: Kernel, trained: Cell) -> None:
    found = notebook.run('rates = kagglekit.lr_find("shapes", stage=4, device="cpu")\nrates["valley"]')
    assert (found.error, float(found.value["text/plain"]) > 0) == ("", True)
    assert [content for content in found.all("display_data") if "image/png" in content["data"]]
    looked = notebook.run('kagglekit.look("shapes")')
    assert sum("image/png" in content["data"] for content in looked.all("display_data")) >= 3
    listed = notebook.run("kagglekit.history()").value
    assert "shapes" in listed["text/html"]
    assert "report.html" in notebook.run("kagglekit.report(run)").value["text/html"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('kagglekit.run("shaeps")', "unknown competition 'shaeps': did you mean 'shapes'"),
        ('kagglekit.run("shapes", learning_rate=1e-3)', 'write settings={"stage.*.lr": 0.001}'),
        ('kagglekit.run("shapes", model="resnet18")', "write arch='resnet18'"),
        ('kagglekit.run("shapes", data="nowhere")', "the data folder nowhere does not exist"),
        ('kagglekit.resume("nothing")', "unknown run 'nothing'"),
    ],
)
def test_a_mistake_is_a_message_without_a_traceback(notebook: Kernel, trained: Cell, code: str, message: str) -> None:
    shown = re.sub(r"\x1b\[\d+m", "", notebook.run(code).error)
    assert shown.startswith("error: ")
    assert message in shown
    assert "File " not in shown


def test_an_interrupt_ends_the_cell_and_the_next_one_resumes(notebook: Kernel, trained: Cell, folder: Path) -> None:
    stopped = notebook.run(f'kagglekit.run("shapes", {LONG})', interrupt_at="4 all-2  █")
    assert stopped.seconds < 4  # 0.1 s on a busy machine
    assert stopped.error == "interrupted"
    assert 'kagglekit.resume("submissions/shapes/' in stopped.text
    resumed = notebook.run('kagglekit.resume("latest")', interrupt_at="resuming from the last checkpoint: stage 4")
    assert resumed.error == "interrupted"
    assert find_run("latest", folder / "submissions").info().status == "interrupted"
    assert notebook.run("1 + 1").value["text/plain"] == "2"


def test_a_kernel_interrupted_while_torch_is_loaded_runs_the_next_cell(folder: Path) -> None:
    with kernel(folder) as fresh:
        run = f'kagglekit.run("shapes", {SHORT})'
        stopped = fresh.run(f"import kagglekit\n{run}", interrupt_at="loading torch and timm", after=0.7)
        assert stopped.error == "interrupted"
        assert fresh.run(run).error == ""
