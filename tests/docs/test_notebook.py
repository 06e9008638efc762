"""The notebook of the documentation runs from its first cell to its last, in a real kernel."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest
from command_line import surroundings
from few_shapes import draw_few
from places import DOCS


def module(name: str) -> ModuleType:
    """Return a module of the documentation."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def errors(cells: list[nbformat.NotebookNode]) -> list[str]:
    return [output.evalue for cell in cells for output in cell.get("outputs", []) if output.output_type == "error"]


def test_its_cells_run_in_order_and_show_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = module("_notebook")
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
    committed = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    assert errors(cells) == errors(committed.cells), "execute it again: python docs/_notebook.py"


def test_it_is_a_page_of_the_site_with_all_that_its_cells_show() -> None:
    made, cells = module("_notebook_page"), nbformat.read(DOCS / "notebook.ipynb", as_version=4).cells
    text = made.page(cells)
    places = [cell.source for cell in cells] + [place for place, _ in made._shown_as_html(cells)]
    positions = [text.index(place) for place in places]
    assert positions[: len(cells)] == sorted(positions[: len(cells)])
    page = SimpleNamespace(file=SimpleNamespace(src_uri="notebook.md"))
    html = made.on_page_content("".join(f"<p>{line}</p>" for line in text.splitlines()), page)
    for cell in cells:
        for output in cell.get("outputs", []):
            for kind in ("text/html", "image/png"):
                assert output.get("data", {}).get(kind, "").strip() in html
    assert errors(cells)[0].splitlines()[0] in html
    assert "-of-the-notebook" not in html
    assert "\x1b" not in html
    assert made.on_page_markdown("[it](../notebook.ipynb)") == "[it](../notebook.md)"
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert "hooks: [docs/_notebook_page.py]" in site
    assert ": notebook.md" in site


def test_its_committed_output_is_small_and_names_no_place_of_this_machine() -> None:
    text = (DOCS / "notebook.ipynb").read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert "/tmp" not in text
    assert "/home" not in text
    nbformat.validate(nbformat.reads(text, as_version=4))
