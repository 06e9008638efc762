"""Run folders with a damaged, edited or missing file: one message, from every command that meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kagglekit.cli import cli

TORN = '{"status": "fini'
FILES: list[tuple[str, str | None]] = [
    ("run.json", TORN),
    ("run.json", "[]"),
    ("run.json", "{}"),
    ("run.json", None),
    ("run.json", "\x00\x01"),
    ("run.json", '{"stages": "all", "classes": 3}'),
    ("run.json", '{"schema": 99}'),
    ("run.json", '{"schema": 0}'),
    ("run.json", '{"schema": null}'),
    ("run.json", "[" * 50_000),
    ("recipe.json", TORN),
    ("recipe.json", '{"arch": "resnet18", "stages": []}'),
    ("recipe.json", '{"arch": "a", "stages": [{"name": "all", "size": 64, "cycles": 1000000000}]}'),
    ("recipe.json", "[" * 50_000),
]
UPLOADS = [TORN, "[]", '{"submissions": 3}', '{"submissions": [{"token": "a"}]}']
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
NO_RECIPE = ("submit", "resume")  # commands that need no recipe of a finished run
LIBRARIES = ("pydantic", "JSONDecodeError", "Error:", "validation", "http", "NoneType", "Traceback")


def damage(file: Path, content: str | None) -> None:
    file.unlink() if content is None else file.write_text(content)


def contents(run: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.name != "lock"}


def ask(command: list[str], **places: Path) -> Result:
    return CliRunner().invoke(cli, [str(places.get(word, word)) for word in command])


def is_one_message(done: Result, file: Path) -> None:
    assert done.exit_code == 1, done.output
    assert f"error: cannot read {file}: " in done.output
    assert done.output.count("error:") == done.output.count("hint:") == 1
    assert not [word for word in LIBRARIES if word in done.output]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("name", "content"), FILES, ids=lambda value: str(value)[:24])
def test_a_damaged_file_is_one_message(
    dogs, tmp_path: Path, name: str, content: str | None, command: list[str]
) -> None:
    run = shutil.copytree(dogs.run.folder, tmp_path / "out" / "dog-breed" / "damaged")
    other = run.with_name("other")
    if "OTHER" in command:
        shutil.copytree(dogs.run.folder, other)
    damage(run / name, content)
    before = contents(run)
    done = ask(command, RUN=run, OTHER=other, IMAGE=next(dogs.data.rglob("*.jpg")))
    if name == "recipe.json" and command[0] in NO_RECIPE:
        assert "recipe.json" not in done.output
        assert done.exit_code == 0 or command[0] == "submit"
    else:
        is_one_message(done, run / name)
        assert contents(run) == before


@pytest.mark.parametrize("content", UPLOADS)
def test_damaged_uploads_are_one_message(dogs, tmp_path: Path, content: str) -> None:
    run = shutil.copytree(dogs.run.folder, tmp_path / "out" / "dog-breed" / "damaged")
    (run / "score.json").write_text(content)
    is_one_message(ask(["history", "RUN", "OTHER"], RUN=run, OTHER=dogs.run.folder), run / "score.json")


def test_history_lists_the_others_and_names_what_it_left_out(dogs, tmp_path: Path) -> None:
    for number, (name, content) in enumerate(FILES):
        run = shutil.copytree(dogs.run.folder, tmp_path / "dog-breed" / f"run-{number}")
        damage(run / name, content)
    shutil.copytree(dogs.run.folder, tmp_path / "dog-breed" / "good")
    done = CliRunner().invoke(cli, ["history", "--json", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert [row["run"] for row in json.loads(done.stdout)] == ["good"]
    assert done.stderr.count("skipped: cannot read") == len(FILES)
