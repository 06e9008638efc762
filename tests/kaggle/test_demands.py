"""What code competitions demand is read from their pages, and said before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from kaggle_server import KaggleServer
from kaggle_session import succeed
from layouts import write_dog_breed

from kagglekit.kaggle.demands import Demands, demands_of

LIST = """Submissions to this competition must be made through Notebooks:
* CPU Notebook <= 9 hours run-time
* GPU Notebook <= 2.5 hours run-time
* Internet access disabled
"""
HTML = "<ul><li><strong>GPU Notebook</strong> &lt;= 12 hours run-time</li><li>No internet access</li></ul>"


@pytest.mark.parametrize(
    ("text", "demands", "shown"),
    [
        (LIST, Demands({"CPU": 9, "GPU": 2.5}, True), "at most 9 h on a CPU, at most 2.5 h on a GPU, without internet"),
        (HTML, Demands({"GPU": 12}, True), "at most 12 h on a GPU, without internet"),
        ("- **CPU Notebooks**: Max **9 hours** runtime.", Demands({"CPU": 9}), "at most 9 h on a CPU"),
        ("The GPU notebook of the host has 30 points. Training took 4 hours.", Demands(), ""),
        ("", Demands(), ""),
    ],
)
def test_limits_are_found_in_the_usual_words(text: str, demands: Demands, shown: str) -> None:
    found = demands_of({"rules": "Be nice.", "Code Requirements": text})
    assert found == demands
    assert str(found).startswith(shown)


def test_download_new_and_run_say_what_a_code_competition_demands(server: KaggleServer, tmp_path: Path) -> None:
    slug = "dog-breed-identification"
    solution = write_dog_breed(tmp_path / "source")
    contest = server.add_competition(slug, tmp_path / "source", solution, code_only=True, pages={"Code": LIST})
    (tmp_path / "home").mkdir()
    for command in (("download", "dog-breed"), ("new", "dogs", "--slug", slug)):
        said = succeed(server, tmp_path / "home", *command).stdout
        assert "it is a code competition: predict and submit with kagglekit kernel RUN --submit\n" in said
        assert "its notebooks may run at most 9 h on a CPU, at most 2.5 h on a GPU, without internet access\n" in said
    tiny = ("--preset", "quick", "--arch", "test_resnet.r160_in1k", "--set", "pretrained=false", "--size", "32")
    said = succeed(server, tmp_path / "home", "run", "dog-breed", *tiny, "--dry-run").stdout
    assert said.count("it is a code competition") == said.count("its notebooks may run at most 9 h") == 1
    contest.code_only = False
    assert "notebooks" not in succeed(server, tmp_path / "home", "new", "again", "--slug", slug).stdout
