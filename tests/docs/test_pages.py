"""Every command and code block of the documentation works as it stands there, or says why it is not run."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layouts
import pytest
from doc_blocks import DOCS, blocks, pages, run_block
from kaggle_image import Machine
from kaggle_server import KaggleServer
from kaggle_session import become_customer

from kagglekit.cli.main import COMMANDS
from kagglekit.hooks.specs import HOOKS
from kagglekit.types.competition import Competition
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage
from kagglekit_shapes.drawing import draw_all

MOST_NOT_RUN = 10  # half of them need several machines or GPUs
SLOW = tuple(f"how-to/{name}.md" for name in ("cluster", "ensembles", "search", "several-gpus"))
# tests/workflows and tests/sweep have what these do, with smaller runs
COMMAND = re.compile(r"^(\$ |#!|(uv|pip|kagglekit|torchrun|ray|srun|sbatch|sky|python)\b)|kagglekit [a-z-]+ ", re.M)
REQUIREMENTS = "CPU Notebook <= 9 hours run-time, GPU Notebook <= 9 hours run-time, Internet access disabled"
EXAMPLES = re.compile(r"^### kagglekit_", re.M)  # in hooks.md: tests/docs/test_hooks_page.py runs each of them


def runnable(page: str) -> list:
    found = [block for block in blocks(page) if not block.reason and block.language != "text"]
    if page != "hooks.md":
        return found
    return [block for block in found if not block.text.startswith("@hookimpl")]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the demo's pictures and the cache, so that they are drawn and decoded once."""
    folder = tmp_path_factory.mktemp("docs")
    draw_all(folder / "shapes")
    return folder


@pytest.fixture(scope="module")
def kaggle(shared: Path) -> Iterator[KaggleServer]:
    """Kaggle, with dog breeds and what the tutorial draws, and a machine that runs what is pushed."""
    names: dict[str, Any] = {}
    with KaggleServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        patch.setattr("kagglekit.kaggle.kernels.calls.PAUSE", 0.1)
        run_block(next(block for block in blocks("tutorial.md") if block.language == "python"), names)
        leaves = {"title": "The Leaf Cup", "metric": "accuracy", "by_name": True, "polls": 0}
        data, answers = (shared / "data" / "leaves").absolute(), names["answers"]
        server.add_competition("leaf-cup", data, answers, **leaves)
        hidden = {"title": "Hidden Leaves", "code_only": True, "pages": {"Code Requirements": REQUIREMENTS}}
        server.add_competition("hidden-leaves", data, answers, **{**leaves, **hidden})
        breeds = layouts.write_dog_breed(shared / "dogs")
        dogs = {"title": "Dog Breed Identification", "teams": [("Ann", 0.21), ("Bob", 0.65), ("Cy", 1.9)], "polls": 0}
        server.add_competition("dog-breed-identification", shared / "dogs", breeds, **dogs)
        attached = {"hidden-leaves": data, "dog-breed-identification": shared / "dogs"}
        server.play.kernels.run = Machine.of_tests(shared / "kaggle", server.play.kernels, attached).run
        yield server


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in pages() if runnable(page)]
)
def test_its_blocks_work_in_order(
    page: str, shared: Path, kaggle: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do what a page says, in order, in a fresh folder: no plugin is installed, and the files are those it shows."""
    become_customer(monkeypatch, kaggle, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as for `python` in that folder
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(shared / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shapes").symlink_to(shared / "shapes")
    names: dict[str, object] = {}
    for block in runnable(page):
        run_block(block, names)
    assert kaggle.refused == []


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = [block for page in pages() for block in blocks(page) if block.reason]
    for block in left_out:
        print(f"{block.page}:{block.line} not run: {block.reason}")
        assert len(block.reason) > 10, block
    assert len(left_out) <= MOST_NOT_RUN


def test_what_is_shown_as_text_holds_no_command() -> None:
    """Text is not run; commands are in a block of the console, which is run or says why not."""
    found = [block for page in pages() for block in blocks(page) if block.language in ("", "text") and not block.reason]
    assert found
    for block in found:
        assert not COMMAND.search(block.text), f"{block.page}:{block.line}"


def test_every_fence_is_found_as_a_block() -> None:
    for page in pages():
        fences = re.findall(r"^```", (DOCS / page).read_text(encoding="utf-8"), re.M)
        assert len(fences) == 2 * len(blocks(page)), page


def test_every_picture_is_small_and_shown_with_a_text_for_those_who_do_not_see_it() -> None:
    pictures = sorted((DOCS / "pictures").resolve().iterdir())
    assert sum(file.stat().st_size for file in pictures) < 1_000_000
    shown = {}
    for page in pages():
        for text, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (DOCS / page).read_text(encoding="utf-8")):
            assert len(text) > 20, link
            shown[(DOCS / page).parent.joinpath(link).resolve()] = text
    assert sorted(shown) == pictures


def test_every_page_is_in_the_site() -> None:
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for page in pages():
        assert re.search(rf":\s+{re.escape(page)}$", site, re.M), page


def test_the_pages_blocks_that_are_toml_name_the_groups_that_kagglekit_looks_in() -> None:
    groups = [
        group
        for page in pages()
        for block in blocks(page)
        if block.language == "toml"
        for group in tomllib.loads(block.text).get("project", {}).get("entry-points", {})
    ]
    assert groups
    assert set(groups) <= {"kagglekit", "kagglekit.competitions"}


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """The pages of the reference, generated now."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "_generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return {name: page() for name, page in generate.PAGES.items()}


def test_the_reference_is_up_to_date(reference: dict[str, str]) -> None:
    for name, page in reference.items():
        kept = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")
        assert kept == page, "generate it again: python docs/_generate.py"


def test_the_reference_is_complete(reference: dict[str, str]) -> None:
    for name in COMMANDS:
        assert f"### kagglekit {name}\n" in reference["commands"]
    for name in HOOKS:
        assert f"## {name}\n" in reference["hooks-in-short"]
    meanings = re.findall(r"^\| `\w+` \| [^|]+ \| (.*) \|$", reference["recipe"], re.M)
    assert len(meanings) == sum(len(model.model_fields) for model in (Recipe, Stage, Competition))
    assert all(meanings), reference["recipe"]


MARKDOWN = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "submissions/README.md", *(f"docs/{p}" for p in pages()))


@pytest.mark.parametrize("page", MARKDOWN)
def test_its_links_lead_to_files_of_the_repository(page: str) -> None:
    file = DOCS.parent / page
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = file.parent / path if path else file
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {
                re.sub(r"[^\w\s-]", "", heading).strip().replace(" ", "-").lower() for heading in headings
            }, link
