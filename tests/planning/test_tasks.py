"""Tasks other than one label an image are refused at once, with what is missing for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import kagglekit

PLUGIN = """
from kagglekit import Competition, hookimpl


@hookimpl
def kagglekit_competition():
    return Competition(title="Leaves", task="{task}")


@hookimpl
def kagglekit_labels(data):
    raise SystemExit("asked for labels")
"""


@pytest.mark.parametrize(("task", "missing"), [("multi-label", "a sigmoid for each class"), ("regression", "numbers")])
def test_another_task_is_refused_before_anything_is_done(tmp_path: Path, task: str, missing: str) -> None:
    (tmp_path / "leaves.py").write_text(PLUGIN.format(task=task))
    (tmp_path / "data").mkdir()
    done = kagglekit("run", "./leaves.py", "--data", "data", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert f"error: Leaves is a {task} task; only single-label can be trained so far" in done.stderr
    assert f"missing for {task}: an image table with " in done.stderr
    assert missing in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "leaves.py"]
