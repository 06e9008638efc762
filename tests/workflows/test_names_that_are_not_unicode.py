"""Names that are not valid Unicode are refused once, by name, before anything is decoded, trained or written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_competitions import TINY, ask, write_folders, write_plugin

from kagglekit import UserError
from kagglekit.data.listing import is_unicode
from kagglekit.data.table import check_table

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
CAFE = os.fsdecode(b"caf\xe9")
REFUSED = r"names of files or folders that are not valid Unicode (UTF-8): "


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "d")
    return write_plugin(tmp_path)


@pytest.mark.parametrize("old", ["d/train/ant/ant0.jpg", "d/train/ant", "d/test/0.jpg", "d"])
def test_a_name_in_the_data_is_refused_by_run_and_look(tmp_path: Path, plugin: str, old: str) -> None:
    new = str(Path(old).with_name(CAFE + Path(old).suffix))
    Path(old).rename(new)
    data = new if old == "d" else "d"
    for command in (("run", plugin, *TINY), ("look", plugin, "--no-pictures")):
        done = ask(*command, "--data", data)
        assert done.exit_code == 1
        assert done.stderr.startswith("error: " + REFUSED)
        assert "caf\\udce9" in done.output
        assert "hint: rename the files" in done.output
        assert is_unicode(done.output)
    assert not (tmp_path / "submissions").exists()


def test_a_name_among_new_images_is_refused_by_predict(tmp_path: Path, plugin: str) -> None:
    assert ask("run", plugin, "--data", "d", *TINY).exit_code == 0
    (tmp_path / "d" / "test" / "0.jpg").rename(tmp_path / "d" / "test" / f"{CAFE}.jpg")
    for arguments in (
        ("d/test",),
        ("d/test", "--json"),
        ("d/test", "--csv", "p.csv"),
        ("--submission", "s.csv", "--data", "d"),
    ):
        done = ask("predict", "latest", *arguments, "--device", "cpu")
        assert done.exit_code == 1
        assert "caf\\udce9.jpg" in done.output
        assert "Traceback" not in done.output
    assert not list(tmp_path.glob("*.csv"))


def test_what_is_not_used_may_have_any_name(tmp_path: Path, plugin: str) -> None:
    (tmp_path / "d" / "train" / "ant" / f"{CAFE}.txt").write_text("notes")
    done = ask("look", plugin, "--data", "d", "--no-pictures")
    assert done.exit_code == 0, done.output
    assert "1 other file (.txt 1)" in done.output


@pytest.mark.parametrize("column", ["id", "label"])
def test_texts_of_a_plugin_are_refused_as_well(tmp_path: Path, column: str) -> None:
    (tmp_path / "1.jpg").write_bytes(b"")
    row = {"id": "1", "path": "1.jpg", "label": "a", "split": "train", column: "\ud800"}
    with pytest.raises(UserError, match=rf"{column}s that are not valid Unicode: .ud800"):
        check_table(pd.DataFrame([row], dtype=object), tmp_path)
