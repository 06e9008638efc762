from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from places import DOCS
from plugin_site import Site
from torch import nn

from kagglekit.hooks import specs
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs.folder import Run
from kagglekit.system.display.console import for_people
from kagglekit.system.errors import PluginError, UserError
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.tasks.targets import Teacher
from kagglekit.types.competition import Competition
from kagglekit.types.data_config import DataConfig
from kagglekit.types.download import DownloadOptions
from kagglekit.types.ensemble import Member
from kagglekit.types.executor import Job, Need
from kagglekit.types.metric import Score
from kagglekit.types.predictions import make_predictions
from kagglekit.types.randomness import image_keys
from kagglekit.types.recipe import Recipe
from kagglekit.types.search import Parameter, Study
from kagglekit.types.stage import Stage

PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^### (kagglekit_\w+)(\(.*\))$", re.M)
SPECS = {name: f"({', '.join(arguments)})" for name, arguments in specs.HOOKS.items()}


def examples() -> dict[str, str]:
    """Each hook's example: the first Python block under its heading."""
    parts = HEADING.split(PAGE)[1:]
    texts = dict(zip(parts[::3], parts[2::3], strict=True))
    blocks = {name: re.search(r"```python\n(.*?)```", text, re.S) for name, text in texts.items()}
    return {name: block.group(1) for name, block in blocks.items() if block}


def test_every_hook_has_a_heading_with_its_exact_arguments_and_no_other_hook_has_one() -> None:
    assert dict(HEADING.findall(PAGE)) == SPECS
    assert len(HEADING.findall(PAGE)) == len(SPECS)


def test_hooks_are_documented_in_the_order_of_the_specs() -> None:
    assert [name for name, _ in HEADING.findall(PAGE)] == list(SPECS)


def test_every_hook_has_an_example_of_itself() -> None:
    for name in SPECS:
        assert f"@hookimpl\ndef {name}(" in examples()[name]


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    """One plugin file of all examples, and none of kagglekit's own plugins to stand in for them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    site = Site(tmp_path)
    site.install("kagglekit")
    yield Hooks(load(site.write("documented.py", "\n".join(examples().values()))))
    site.forget()


STAGE = Stage(name="all", size=32, views="quarter-turns", schedule="triangle", optimizer="rmsprop", freeze_to=-1)
RECIPE = Recipe(arch="tiny-net", stages=(STAGE,), groups=2, loss="focal", ensemble="median")
BIRDS = SingleLabel(("crane", "swan"))
DATA_CONFIG = DataConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_the_examples_of_a_competition_work(hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("train/a.jpg", "test/b.jpg"):
        (tmp_path / "birds" / file).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "birds" / file), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "birds" / "labels.csv").write_text("id,label\na,swan\n")
    with zipfile.ZipFile(tmp_path / "birds.zip", "w") as archive:
        for path in (tmp_path / "birds").rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    monkeypatch.setenv("BIRDS_ZIP", str(tmp_path / "birds.zip"))
    data = hooks.download(hooks.competition(), tmp_path / "downloaded", DownloadOptions(for_people(False)))
    table = hooks.labels(data)
    assert table["split"].tolist() == ["train", "test"]
    assert table["label"].tolist()[0] == "swan"
    assert Path(table["path"][0]) == tmp_path / "downloaded" / "birds" / "train" / "a.jpg"
    assert [stage.size for stage in hooks.recipe("quick").stages] == [96, 96, 96, 128]
    assert hooks.competition().title == "Birds of the Lake"


def test_the_example_of_a_reader_reads(hooks: Hooks, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((4, 5, 3), 7, np.uint8))
    assert hooks.read_image(tmp_path / "a.npy", 0).tolist() == np.full((4, 5, 3), 7).tolist()


def test_the_names_in_the_examples_join_those_of_the_defaults(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"options": {"focal_gamma": 1}})
    file = Site(tmp_path).write("documented.py", "\n".join(examples().values()))
    Hooks(load(file)).check_names(recipe, Competition(title="Birds", metric="error"))


def test_the_examples_of_training_overfit_one_batch(hooks: Hooks) -> None:
    torch.manual_seed(0)
    model = hooks.model(RECIPE, 2)
    groups = hooks.layer_groups(model, RECIPE)
    assert groups == [["0.weight", "0.bias"], ["4.weight", "4.bias"]]
    stage = STAGE.model_copy(update={"freeze_to": 0, "cycles": 40, "lr": 0.05})
    schedule = hooks.schedule(stage, 2, RECIPE)
    assert len(schedule.lr) == 80
    assert schedule.lr.max() <= 0.05
    images = torch.randn(8, 3, 32, 32) + torch.tensor([0.0, 1.0] * 4)[:, None, None, None]
    targets = nn.functional.one_hot(torch.tensor([0, 1] * 4), 2).float()
    loss, optimizer = hooks.loss(RECIPE, BIRDS), hooks.optimizer(model, groups, stage, RECIPE)
    losses = []
    for rate in schedule.lr:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        value = loss(model(images), targets)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_example_of_targets_teaches_what_the_teacher_is_sure_of(hooks: Hooks) -> None:
    held = make_predictions(["a", "b"], BIRDS.columns, [[0.95, 0.05], [0.6, 0.4]])
    teacher = Teacher("before", held, BIRDS.empty(), BIRDS.empty)
    recipe = RECIPE.model_copy(update={"targets": "sure-only", "teacher": "before"})
    labels = pd.Series({"a": "crane", "b": "swan"})
    targets = hooks.targets(recipe, BIRDS, labels, teacher)
    assert targets.soft is not None
    assert list(targets.soft.index) == ["a"]
    with pytest.raises(PluginError, match="images of another split: a"):
        hooks.targets(recipe, BIRDS, labels.drop("a"), teacher)


def test_the_example_of_an_optimizer_freezes(hooks: Hooks) -> None:
    model = hooks.model(RECIPE, 2)
    hooks.optimizer(model, hooks.layer_groups(model, RECIPE), STAGE, RECIPE)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"4.weight", "4.bias"}


def test_the_example_of_a_loss_without_focus_is_cross_entropy(hooks: Hooks) -> None:
    logits, targets = torch.randn(5, 3), torch.randn(5, 3).softmax(dim=1)
    plain = hooks.loss(RECIPE.model_copy(update={"options": {"focal_gamma": 0.0}}), BIRDS)
    torch.testing.assert_close(plain(logits, targets), nn.functional.cross_entropy(logits, targets))


def test_the_example_of_a_task_spreads_smoothing_over_the_genus(hooks: Hooks) -> None:
    task = hooks.task("species").fit(["corvus corax", "corvus cornix", "cygnus olor"], Competition(title="Birds"))
    targets = task.train_targets(torch.tensor([0, 2]), 0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]))


def test_the_example_of_a_decision_finds_the_best_threshold(hooks: Hooks) -> None:
    recipe = RECIPE.model_copy(update={"decision": "hopeful"})
    decision = hooks.decision(recipe, Competition(title="Birds"), BIRDS)
    truth, values = np.array([[1.0, 0.0]], np.float32), np.array([[0.4, 0.2]], np.float32)
    assert decision.fit is not None
    found = decision.fit(truth, values, lambda truth, decided: float((truth == decided).mean()))
    assert found == 0.3  # above 0.5 there is no label, above 0.1 both
    assert decision.apply(found, values).tolist() == [[1.0, 0.0]]
    assert decision.apply(decision.plain, values).tolist() == [[0.0, 0.0]]


def test_the_example_of_views_turns_by_quarters(hooks: Hooks) -> None:
    view = hooks.views(RECIPE, STAGE, "train", DATA_CONFIG)
    matrices = view.maps(image_keys([str(i) for i in range(200)]), np.ones(200, np.float32), 0)
    found = {tuple(np.rint(m[:, :2]).astype(int).ravel().tolist()) for m in matrices}
    assert found == {(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)}
    assert np.allclose(np.linalg.det(matrices[:, :, :2]), 1)


def test_the_example_of_an_augmentation_inverts_a_share(hooks: Hooks) -> None:
    recipe = RECIPE.model_copy(update={"stages": (STAGE.model_copy(update={"augment": "invert(p=0.3)"}),)})
    view = hooks.views(recipe, recipe.stages[0], "train", DATA_CONFIG)
    assert view.effects is not None
    seen = view.effects(torch.full((200, 3, 2, 2), 0.25), image_keys([str(i) for i in range(200)]), 0)
    assert set(seen.unique().tolist()) == {0.25, 0.75}
    assert float((seen > 0.5).float().mean()) == pytest.approx(0.3, abs=0.1)
    with pytest.raises(UserError, match="invert does not know q"):
        hooks.augmentations(recipe, STAGE.model_copy(update={"augment": "invert(q=1)"}))


def test_the_examples_of_predictions_work(hooks: Hooks) -> None:
    rows = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]
    tables = [pd.DataFrame([row], index=pd.Index(["x"], name="id"), columns=["crane", "swan"]) for row in rows]
    members = [Member("m", table, table.rename({"x": "y"}), "run", "all", 1) for table in tables]
    ensemble = hooks.ensemble(members, pd.Series(["swan"], index=["x"]), RECIPE, BIRDS)
    assert ensemble.valid.loc["x"].tolist() == [0.5, 0.5]
    assert ensemble.test.index.tolist() == ["y"]
    assert ensemble.test.index.name == "id"
    competition = Competition(title="Birds", metric="error")
    rows_of_csv = hooks.submission(competition, tables[0], None, BIRDS)
    assert rows_of_csv.to_dict("list") == {"image": ["x"], "bird": ["crane"]}
    score = hooks.metric(competition, BIRDS).score(np.array([0, 1, 1, 1]), np.array([[0.9, 0.1]] * 4, np.float32))
    assert score == Score(0.75, pytest.approx((0.75 * 0.25 / 4) ** 0.5))


def test_the_example_of_an_executor_runs_a_job(hooks: Hooks, tmp_path: Path) -> None:
    executor = hooks.executor("in-turn", None, Need())
    job = Job("count", (sys.executable, "-c", "print(1 + 1)"), tmp_path, tmp_path, tmp_path / "run.log")
    executor.submit(job)
    assert [(each.job.name, each.code) for each in executor.ended(0.0)] == [("count", 0)]
    assert job.log.read_text() == "2\n"
    with pytest.raises(UserError, match="unknown executor 'elsewhere'"):
        hooks.executor("elsewhere", None, Need())


def test_the_example_of_a_sampler_keeps_what_it_asked(hooks: Hooks, tmp_path: Path) -> None:
    space = (Parameter("arch", "choice", choices=("a", "b")), Parameter("stage.4.lr", "float", 0.1, 0.2))
    study = Study(space, str(tmp_path / "study.json"), greater_is_better=False, seed=0)
    number, values = hooks.sampler("uniform", study).ask()
    again = hooks.sampler("uniform", study)
    assert again.running() == {number: values}
    again.tell(number, 0.5)
    assert hooks.sampler("uniform", study).running() == {}


def test_the_examples_of_watchers_write_what_they_saw(
    hooks: Hooks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    watching: list[Callable[[], None]] = [
        lambda: hooks.run_start(run, RECIPE),
        lambda: hooks.stage_start(run, STAGE),
        lambda: hooks.epoch_end(run, STAGE, {"epoch": 1}),
        lambda: hooks.stage_end(run, STAGE),
        lambda: hooks.run_end(run, {"valid_error": Score(0.25, 0.01)}),
        lambda: hooks.run_failed(run, ValueError("no more fish")),
    ]
    for watch in watching:
        watch()
    assert caplog.messages == []
    written = {file.name: file.read_text() for file in run.folder.iterdir()}
    assert written == {
        "stages.txt": "all",
        "current.txt": "all",
        "epochs.jsonl": '{"stage": "all", "epoch": 1}\n',
        "all.done": "",
        "scores.txt": "valid_error: 0.2500 +- 0.0100",
        "failed.txt": "ValueError: no more fish",
    }
