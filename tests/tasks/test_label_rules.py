"""Rules of tasks with several labels, and of tasks that extend ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kagglekit import Competition, MultiLabel, Recipe, Several, SingleLabel, Stage, UserError
from kagglekit.data.scoring import Scorer, for_csv, scorer_of
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.types.predictions import make_predictions
from kagglekit.types.records import write_record

FACTS = Competition(title="Drawn", task="multi-label", metric="sets_f1")
RECIPE = Recipe(arch="resnet18", stages=(Stage(name="head", size=32),))


class Tags(MultiLabel):
    """A plugin's own task."""

    kind = "tags"


@pytest.fixture(scope="module")
def hooks() -> Hooks:
    return Hooks(load("shapes"))


def test_an_unknown_label_of_a_valid_image_is_no_label_that_train_lacks() -> None:
    train, valid = [write_record({"a": 1, "b": 0})], [write_record({"a": 1, "b": None})]
    assert MultiLabel.faults(train, valid) == []
    assert MultiLabel.faults(train, [write_record({"b": 1})]) == ["labels in valid but not in train: b"]


def test_without_a_decision_an_image_still_has_its_likeliest_label() -> None:
    table = make_predictions(["1", "2"], ["cat", "dog"], [[0.4, 0.1], [0.9, 0.8]])
    assert MultiLabel(("cat", "dog"), some=True).cells(table, " ") == ["cat", "cat dog"]
    assert MultiLabel(("cat", "dog")).cells(table, " ") == ["", "cat dog"]


def test_a_plugins_own_labels_are_decided_like_ours(hooks: Hooks) -> None:
    assert Tags.kinds() == ("tags", "multi-label")
    for task in (MultiLabel(("cat", "dog")), Tags(("cat", "dog"))):
        found = scorer_of(hooks, FACTS.model_copy(update={"task": task.kind}), RECIPE, task).decision
        assert found is not None
        assert found.name == "thresholds"


def test_labels_that_exclude_each_other_have_a_softmax_only_under_the_loss_that_trains_it() -> None:
    rows = [write_record({"cat": i % 2, "dog": 1 - i % 2}) for i in range(30)]
    task = MultiLabel.fit(rows, FACTS.model_copy(update={"targets": ("cat", "dog")}))
    assert task.groups == ((0, 1),)
    assert task.for_loss("auto").groups == task.for_loss("labels").groups == task.groups
    assert task.for_loss("binary-cross-entropy").groups == ()


def test_a_threshold_below_the_clip_still_decides(hooks: Hooks) -> None:
    task = MultiLabel(("cat", "dog"))
    table, images = make_predictions(["1", "2"], task.columns, [[0.001, 0.9], [0.006, 0.2]]), pd.DataFrame()
    scorer = scorer_of(hooks, FACTS, RECIPE, task)
    found = {"thresholds": {"cat": 0.005, "dog": 0.5}}
    assert for_csv(scorer, table, images, found, clip=0.01).to_numpy().tolist() == [[0, 1], [1, 0]]
    plain = Scorer(scorer.metric, task, FACTS)
    assert for_csv(plain, table, images, clip=0.01).to_numpy() == pytest.approx(np.array([[0.01, 0.9], [0.01, 0.2]]))


def test_images_of_unknown_rows_are_refused(hooks: Hooks) -> None:
    facts = Competition(title="Drawn", task="multi-label", metric="roc_auc", rows="max")
    task = MultiLabel(("cat", "dog"))
    table, images = make_predictions(["1"], task.columns, [[0.5, 0.5]]), pd.DataFrame({"id": ["1"]})
    with pytest.raises(UserError, match="does not return the test images' rows"):
        for_csv(scorer_of(hooks, facts, RECIPE, task), table, images)


def test_a_row_stays_together_even_if_some_groups_are_missing(tmp_path: Path) -> None:
    facts = Competition(title="Drawn", rows="mean")
    rows = [(f"{i}", f"{i}.jpg", "ab"[i // 2 % 2], "train", f"row{i // 2}", None if i < 4 else "g") for i in range(8)]
    table = pd.DataFrame(rows, columns=["id", "path", "label", "split", "row", "group"], dtype=object)
    for path in table["path"]:
        (tmp_path / path).touch()
    checked = check_table(table, tmp_path, competition=facts)[0]
    assert checked["group"].tolist() == ["row row0"] * 2 + ["row row1"] * 2 + ["g"] * 4
    table.loc[1, "split"] = "valid"
    with pytest.raises(UserError, match="images of one row are in train and in valid: row0"):
        check_table(table, tmp_path, competition=facts)


def test_a_yes_or_no_among_several_targets_is_a_probability_in_the_csv() -> None:
    kinds = {"sick": "multi-label", "size": "regression"}
    facts = Competition(title="Drawn", task="several", targets=tuple(kinds), kinds=kinds)
    task = Several.fit([write_record({"sick": i % 2, "size": i}) for i in range(6)], facts)
    values = task.of_targets(make_predictions(["1", "2"], task.columns, [[0.25, 3], [0.75, 4]]))
    assert values.to_dict("list") == {"sick": [0.25, 0.75], "size": [3, 4]}


def test_numbers_and_classes_of_a_row_are_combined_as_their_kinds_are() -> None:
    kinds = {"sick": "single-label", "size": "regression"}
    facts = Competition(title="Drawn", task="several", targets=tuple(kinds), kinds=kinds)
    task = Several.fit([write_record({"sick": str(i % 2), "size": i}) for i in range(6)], facts)
    values, rows = np.array([[0.25, 0.75, 3], [0.5, 0.5, 4]], np.float32), np.array([0, 0])
    assert task.pool(values, rows, "max", None).tolist() == [[0.25, 0.75, 4]]
    with pytest.raises(UserError, match="noisy-or combines probabilities, not numbers"):
        task.pool(values, rows, "noisy-or", None)


def test_a_missing_list_of_labels_may_be_pandas_own_missing_value() -> None:
    table = pd.DataFrame({"id": ["1", "2"], "label": pd.Series([("cat",), pd.NA], dtype=object)})
    assert MultiLabel.read(table, FACTS) == [write_record({"cat": 1}), None]


def test_targets_that_a_task_cannot_have_are_refused() -> None:
    table = pd.DataFrame({"id": ["1"], "path": ["1.jpg"], "split": ["train"], "breed": ["pug"]})
    with pytest.raises(UserError, match=r"names breed, but the classes of a single-label task are in .* column label"):
        SingleLabel.read(table, Competition(title="Drawn", targets=("breed",)))
    with pytest.raises(ValueError, match="task several needs targets"):
        Competition(title="Drawn", task="several")


@pytest.mark.parametrize(
    ("task", "labels", "fix"),
    [
        (
            "regression",
            ["3.5", "tall"],
            r"label' has values other than numbers \(by id\): 1\nreturn numbers in this col",
        ),
        ("multi-label", ["rust scab", "rust"], r"no list of names.*\nreturn a list .*labels_from_csv\(..., separator="),
    ],
)
def test_labels_of_another_kind_are_refused_with_what_is_needed(
    hooks: Hooks, task: str, labels: list[str], fix: str
) -> None:
    table = pd.DataFrame({"id": ["0", "1"], "label": labels})
    with pytest.raises(UserError, match=fix):
        hooks.task(task).read(table, FACTS.model_copy(update={"task": task}))
