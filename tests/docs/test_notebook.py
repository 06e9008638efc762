"""The notebook of the documentation runs from its first cell to its last, in a real kernel."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbformat
import pytest
from command_line import surroundings
from few_shapes import draw_few
from places import DOCS


def test_its_cells_run_in_order_and_show_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("notebook_page", DOCS / "_notebook.py")
    assert spec
    assert spec.loader
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    for name, value in surroundings(tmp_path).items():
        monkeypatch.setenv(name, value)
    draw_few(tmp_path / "data" / "shapes")  # the committed output is of all images
    few = {'kagglekit.run("shapes")': 'kagglekit.run("shapes", epochs=1, stages="4", settings={"tta": 1})'}
    few |= {'lr_find("shapes", stage=4': 'lr_find("shapes", stage=2'}  # the stages before it are run
    cells = [cell for cell in page.executed(tmp_path, few).cells if cell.cell_type == "code"]
    kinds = [{output.output_type for output in cell.outputs} for cell in cells]
    assert [kind for kind in kinds if "error" in kind] == [{"error"}]
    assert all(kind for kind in kinds)
    assert (tmp_path / "submissions" / "shapes").is_dir()


def test_its_committed_output_is_small_and_names_no_place_of_this_machine() -> None:
    text = (DOCS / "notebook.ipynb").read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert "/tmp" not in text
    assert "/home" not in text
    nbformat.validate(nbformat.reads(text, as_version=4))
