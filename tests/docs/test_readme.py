"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import layouts
from command_line import kagglekit
from doc_blocks import blocks as pages_of
from doc_blocks import pattern_of, plain
from places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TINY = ["--arch", "test_efficientnet.r160_in1k", "--set", "pretrained=false", "--size", 32, "--set", "tta=1"]
TINY += ["--set", "stage.1.solver=regression"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_plugin_in_the_readme_makes_a_submission(tmp_path):
    (tmp_path / "leaves.py").write_text(next(block for block in blocks("python") if "hookimpl" in block))
    data = tmp_path / "data"
    rows = [("image", "species")]
    for i in range(30):
        layouts.write_picture(data / "images" / f"leaf{i}.jpg", i % 3, f"leaf{i}")
        rows.append((f"leaf{i}", f"species{i % 3}"))
    layouts.write_csv(data / "train.csv", rows)
    for i in range(4):
        layouts.write_picture(data / "test" / f"{i}.jpg", i % 3, f"test{i}")
    sample = [("image", "species0", "species1", "species2"), *((str(i), "0.3", "0.3", "0.4") for i in range(4))]
    layouts.write_csv(data / "sample_submission.csv", sample)
    done = kagglekit(
        "run", "./leaves.py", "--data", "data", "--preset", "quick", "--precision", "fp32", *TINY, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (submission,) = tmp_path.glob("submissions/leaves/*/submission.csv")
    assert submission.read_text().startswith("image,species0,species1,species2\n0,")


def test_it_is_short_and_its_pictures_are_small() -> None:
    assert len(README.splitlines()) <= 120
    pictures = re.findall(r'src="([^"]+)"', README)
    assert pictures == ["docs/pictures/terminal.svg", "docs/pictures/report.png"]
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 200_000, picture
    drawn = ElementTree.parse(ROOT / pictures[0])
    assert "http" not in "".join(drawn.getroot().itertext()), "a browser would fetch it"


def test_the_snippet_for_notebooks_uses_names_that_exist():
    import kagglekit as package

    (snippet,) = [block for block in blocks("python") if "kagglekit.run(" in block]
    for name in re.findall(r"kagglekit\.(\w+)\(", snippet):
        assert callable(getattr(package, name))


def test_its_kaggle_commands_and_what_they_print_are_those_of_the_page_that_is_run():
    """tests/docs/test_pages.py runs that page against a local server; README's figures are of real images."""
    page = "".join(block.text for block in pages_of("how-to/kaggle.md") if block.language == "console")
    section = README[README.index("## Use") : README.index("## Your own competition")]
    commands, printed = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    known = [pattern_of(line) for line in page.splitlines() if line.strip() != "..."]
    for command in commands.splitlines():
        assert f"$ {command.partition('  #')[0].strip()}" in page
    for line in printed.splitlines():
        assert line == "..." or any(pattern.fullmatch(plain(line)) for pattern in known), line
