"""Run folders with a damaged or edited file: one message, from every command that meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from kagglekit.cli import cli

TORN = '{"status": "fini'
FILES = [
    ("run.json", TORN),
    ("run.json", "[]"),
    ("run.json", "\x00\x01"),
    ("run.json", '{"stages": "all", "classes": 3}'),
    ("run.json", '{"schema": 99}'),
    ("run.json", "[" * 50_000),
    ("recipe.json", TORN),
    ("recipe.json", '{"arch": "resnet18", "stages": []}'),
    ("recipe.json", '{"arch": "a", "stages": [{"name": "all", "size": 64, "cycles": 1000000000}]}'),
    ("recipe.json", "[" * 50_000),
]
COMMANDS = [
    ["predict", "RUN", "IMAGE"],
    ["report", "RUN"],
    ["blend", "RUN", "OTHER"],
    ["resume", "RUN"],
    ["submit", "RUN", "--yes"],
    ["run", "dog-breed", "--from", "RUN"],
    ["run", "--full", "RUN"],
    ["lr-find", "dog-breed", "--from", "RUN"],
    ["history", "RUN", "OTHER"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("name", "content"), FILES, ids=lambda value: value[:24])
def test_a_damaged_file_is_one_message(dogs, tmp_path: Path, name: str, content: str, command: list[str]) -> None:
    run = shutil.copytree(dogs.run.folder, tmp_path / "out" / "dog-breed" / "damaged")
    other = shutil.copytree(dogs.run.folder, tmp_path / "out" / "dog-breed" / "other")
    (run / name).write_text(content)
    image = next(dogs.data.rglob("*.jpg"))
    places = {"RUN": str(run), "OTHER": str(other), "IMAGE": str(image)}
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    done = CliRunner().invoke(cli, [places.get(word, word) for word in command])
    met = name == "run.json" or command[0] not in ("submit", "history", "resume")  # they need no recipe of this run
    assert done.exit_code != 0 or not met, done.output
    assert "Traceback" not in done.output
    if met:
        assert f"cannot read {run / name}" in done.output.replace("\n", " ")
        assert done.output.count("error:") == 1
    after = {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.name != "lock"}
    assert {file: before[file] for file in after if file in before} == {f: c for f, c in after.items() if f in before}


def test_history_lists_the_others_and_names_what_it_left_out(dogs, tmp_path: Path) -> None:
    for number, (name, content) in enumerate(FILES):
        run = shutil.copytree(dogs.run.folder, tmp_path / "dog-breed" / f"run-{number}")
        (run / name).write_text(content)
    shutil.copytree(dogs.run.folder, tmp_path / "dog-breed" / "good")
    done = CliRunner().invoke(cli, ["history", "--json", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert [row["run"] for row in json.loads(done.stdout)] == ["good"]
    assert done.stderr.count("skipped: cannot read") == len(FILES)
