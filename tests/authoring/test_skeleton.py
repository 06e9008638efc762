"""Data that nothing explains: `kagglekit new` fails, and leaves a plugin whose labels hook is to be written."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner
from odd_layouts import pictures, sample

from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.errors import UserError


def test_a_plugin_is_written_that_fails_until_its_labels_hook_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    pictures(data, [f"train/{i}.jpg" for i in range(12)] + [f"test/t{i}.jpg" for i in range(4)])
    rows = [(str(i), f"{3 * i} 4 8 2") for i in range(12)]
    layouts.write_csv(data / "train.csv", [("id", "EncodedPixels"), *rows])
    sample(data, [f"t{i}" for i in range(4)], ("id", "EncodedPixels"), "1 1")
    done = CliRunner().invoke(cli, ["new", "leaves", "--from-data", "data"])
    assert done.exit_code == 1
    assert "train.csv has no classes in 'EncodedPixels'" in done.output
    assert "leaves.py was written, but fails until you write its kagglekit_labels" in done.output
    assert "next:" not in done.output
    text = (tmp_path / "leaves.py").read_text().replace("\n# ", " ")
    assert "12 .jpg in train/" in text
    assert "return labels_from_csv(data /" in text
    hooks = Hooks(load("./leaves.py"))
    assert hooks.competition().title == "Leaves"
    with pytest.raises(UserError, match=r"kagglekit_labels of leaves.py is not written yet"):
        hooks.labels(data)
    checked = CliRunner().invoke(cli, ["check", "./leaves.py", "--data", "data"])
    assert checked.exit_code == 1
    assert "is not written yet" in checked.output
