"""Every kind of task is planned; one that no plugin has is refused at once, with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import write_picture

from kagglekit import UsageError
from kagglekit.planning.make import make_plan
from kagglekit.planning.request import Request
from kagglekit.system.display.console import for_people

PLUGIN = """
import pandas as pd

from kagglekit import Competition, hookimpl


@hookimpl
def kagglekit_competition():
    return Competition(title="Leaves", {facts})


@hookimpl
def kagglekit_labels(data):
    rows = [(f"{{i}}", data / f"{{i}}.jpg", "train" if i < 12 else "test") for i in range(16)]
    return pd.DataFrame(rows, columns=["id", "path", "split"]).assign(**{columns})
"""
TARGETS = {
    "single-label": ("metric='accuracy'", "dict(label=['oak', 'elm', 'ash', 'fir'] * 3 + [None] * 4)"),
    "multi-label": ("metric='roc_auc'", "dict(label=[['dry'], ['rust', 'dry'], [], ['rust']] * 3 + [None] * 4)"),
    "regression": ("metric='rmse'", "dict(label=[0.5, 1.5, 2.5, 4.0] * 3 + [None] * 4)"),
    "ordinal": ("metric='quadratic_kappa'", "dict(label=[0, 1, 2, 1] * 3 + [None] * 4)"),
    "several": (
        "metric='blocks_loss', targets=('kind', 'size'), kinds={'kind': 'single-label', 'size': 'regression'}",
        "dict(kind=['oak', 'elm'] * 6 + [None] * 4, size=[1.0, 2.0, 3.0] * 4 + [None] * 4)",
    ),
}
COLUMNS = {
    "single-label": ("ash", "elm", "fir", "oak"),
    "multi-label": ("dry", "rust"),
    "regression": ("label",),
    "ordinal": ("label",),
    "several": ("kind=elm", "kind=oak", "size"),
}


def asked(folder: Path, task: str, facts: str, columns: str) -> Request:
    """Write a plugin, in a file called leaves.py, and 16 images; return the request of its run."""
    (folder / "leaves.py").write_text(PLUGIN.format(facts=f"task={task!r}, {facts}", columns=columns))
    for number in range(16):
        write_picture(folder / "data" / f"{number}.jpg", number, "leaf")
    settings = ("arch=test_efficientnet.r160_in1k", "pretrained=false", "stage.*.size=32")
    options = {"preset": "quick", "device": "cpu", "settings": settings, "out": folder / "out"}
    return Request(str(folder / "leaves.py"), data=folder / "data", **options)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("task", TARGETS)
def test_each_kind_of_task_is_planned_with_its_columns_and_a_valid_split(tmp_path: Path, task: str) -> None:
    plan = make_plan(asked(tmp_path, task, *TARGETS[task]), for_people(json_output=True))
    assert plan.task.kind == task
    assert plan.task.columns == COLUMNS[task]
    assert plan.table["split"].value_counts()["test"] == 4
    assert {"train", "valid"} <= set(plan.table["split"])
    known = plan.table[plan.table["split"] != "test"]
    assert len(plan.task.encode(known["label"].tolist())) == 12
    assert plan.table.loc[plan.table["split"] == "test", "label"].isna().all()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("multilabel", "unknown task 'multilabel': did you mean 'multi-label'?"),
        ("regresion", "unknown task 'regresion': did you mean 'regression'?"),
        ("boxes", "unknown task 'boxes': choose from multi-label, ordinal, regression, several, single-label"),
    ],
)
def test_an_unknown_task_is_refused_with_a_suggestion_before_labels_are_read(
    tmp_path: Path, task: str, words: str
) -> None:
    request = asked(tmp_path, task, "metric='accuracy'", "1 / 0")
    with pytest.raises(UsageError) as caught:
        make_plan(request, for_people(json_output=True))
    assert f"the competition's task: {words}" in str(caught.value)
    assert not (tmp_path / "out").exists()
