"""What the benchmarks rely on, and the rule by which a ratio counts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import layouts
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from places import ROOT

import kagglekit
from kagglekit import Run, api
from kagglekit.cli import cli
from kagglekit.system.display.console import for_people

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_function_that_is_clocked_is_still_there():
    import clocks

    for name in (*clocks.WATCHED, *clocks.PARTS):
        assert callable(clocks.found(name)), name


def test_what_a_second_run_is_caught_at_is_still_there():
    import startup

    from kagglekit.training import loop

    assert "loop.take_step = read, step" in startup.SECOND_RUN
    assert callable(loop.take_step)


def test_every_second_belongs_to_the_innermost_clock(monkeypatch):
    import clocks

    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0])
    monkeypatch.setattr(clocks, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    kept = clocks.Clocks(torch.device("cpu"), exact=True)
    with kept.inside("full", "rest"), kept.inside("", "validation"), kept.inside("", "wait"):
        pass
    assert kept.spent["run"] == {"rest": 1.0}
    assert kept.spent["full"] == {"validation": 3.0 + 4.0 + 5.0, "rest": 2.0 + 6.0}  # what it waits for is its own


# What writes, builds or reports, at the bottom of it, and the clock that its time belongs to.
CHARGED = {
    "kagglekit.runs.checkpoint_file.write_checkpoint": "saving",
    "safetensors.torch.save_file": "saving",
    "safetensors.torch.load_file": "network",
    "kagglekit.workflows.setup.build_model": "network",
    "kagglekit.prediction.submission_file.write_submission": "scores",
    "kagglekit.report.page.write_report": "report",
}


def test_all_that_is_saved_built_and_reported_is_charged_to_its_clock(tmp_path, monkeypatch):
    import clocks
    from network import COMPETITION
    from real import linked

    layouts.write_pets(tmp_path / "pets")
    kinds: dict[str, list[str]] = defaultdict(list)

    def noted(name: str, plain: Callable[..., Any], *args: Any, **more: Any) -> Any:
        kinds[name].append(running.running)
        return plain(*args, **more)

    with clocks.clocked(torch.device("cpu")) as running:
        for name in CHARGED:
            place, _, own = name.rpartition(".")
            monkeypatch.setattr(clocks.found(place), own, partial(noted, name, clocks.found(name)))
        run = api.run(
            COMPETITION,
            data=linked(tmp_path, f"pets={tmp_path / 'pets'}", 40),
            settings={"arch": "test_efficientnet.r160_in1k", "pretrained": False, "tta": 1, "stage.*.size": 32},
            preset="best",
            device="cpu",
            out=tmp_path / "runs",
            display=for_people(json_output=True),
        )
    assert {name: set(found) for name, found in kinds.items()} == {name: {kind} for name, kind in CHARGED.items()}
    stages = [stage.name for stage in run.recipe().stages]
    assert len(kinds["kagglekit.runs.checkpoint_file.write_checkpoint"]) >= 1 + len(
        stages
    )  # one before them, one behind each
    assert all(running.spent[part]["saving"] for part in ("run", *stages))
    assert {kind for part in running.spent.values() for kind in part} <= set(clocks.KINDS)
    assert running.cpu.keys() == running.spent.keys()


def carried_out(folder: Path, script: str, *words: str) -> dict[str, Any]:
    """Run a benchmark on little in a process of its own; return its JSON file."""
    small = ["--tiny", "--runs", "1", "--size", "32", "--batch", "16", "--seconds", "0.01"]
    places = ["--work", str(folder / "work"), "--json", str(folder / "found.json")]
    command = [sys.executable, str(BENCHMARKS / script), *small, *places, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads((folder / "found.json").read_text()))


@pytest.mark.slow
def test_each_augmentation_has_its_cost_beside_the_default_view(tmp_path):
    import views

    small = ["--tiny", "--runs", "1", "--size", "32", "--batch", "16", "--work", str(tmp_path)]
    command = [sys.executable, str(BENCHMARKS / "views.py"), *small, "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [row["augment"] for row in rows[1:]] == list(views.AUGMENT[1:])
    assert all(row["images/s"] > 0 for row in rows)


@pytest.mark.slow
def test_each_stage_of_a_run_on_real_images_has_its_speed_its_ceiling_and_its_time(tmp_path):
    from clocks import KINDS

    layouts.write_pets(tmp_path / "pets", per_class=20)
    words = ["--model", "test_resnet.r160_in1k", "--data", f"pets={tmp_path / 'pets'}", "--images", "60"]
    found = carried_out(tmp_path, "stages.py", *words)
    *parts, whole = found["rows"]
    by_name = {row["part"]: row for row in parts}
    assert list(by_name)[1:] == ["cached", "activations", "regression", "cached-epochs", "frozen", "full", "TTA"]
    assert {name for name, row in by_name.items() if row["ceiling"]} == {"activations", "frozen", "full", "TTA"}
    assert by_name["full"]["images"] == 2 * 32  # 40 to train on
    for row in found["rows"]:
        assert all(row[column] >= 0 for column in ("CPU seconds", *KINDS)), row
    assert whole["part"] == "all"
    assert whole["rest"] < 0.25 * sum(whole[kind] for kind in KINDS)
    (run,) = found["runs"]
    assert run["ceilings"].keys() == {"train", "head folded", "infer folded"}
    for mode, formats in run["ceilings"].items():  # the best one counts, whatever the run chose
        assert len(formats) >= 2
        shown = [row["ceiling"] for name, row in by_name.items() if name == {"train": "full"}.get(mode, "TTA")]
        assert mode == "head folded" or shown == [max(speed["rate"] for speed in formats.values())]


@pytest.mark.slow
def test_the_ceiling_of_a_vision_transformer_has_cpu_seconds_and_needs_no_trained_weights(tmp_path):
    found = carried_out(tmp_path, "limit.py", "--model", "test_vit.r160_in1k", "--size", "80")
    assert {row["mode"] for row in found["rows"]} == {"train", "head", "infer"}  # nothing to fold
    columns = {"mode", "format", "images/s", "ms/step", "of all runs", "CPU s for 1,000 images"}
    assert all(row.keys() == columns and row["CPU s for 1,000 images"] > 0 for row in found["rows"])
    assert found["options"]["size"] == 80
    assert not list(tmp_path.rglob("*.safetensors"))


def test_each_way_to_train_a_large_network_takes_the_same_steps():
    import large

    asked = SimpleNamespace(device="cpu", model="test_vit.r160_in1k", weights="", size=32, batch=8, steps=2)
    found = {way: large.steps(asked, fields) for way, fields in large.WAYS.items()}
    plain = found["plain"]
    for way, fields in large.WAYS.items():
        if fields.get("lora"):
            assert found[way]["trained"] < plain["trained"] / 10, way
        else:
            assert found[way]["losses"] == pytest.approx(plain["losses"], rel=1e-4), way


def test_a_vision_transformer_is_trained_on_drawn_pictures_too():
    from network import _built, _trained_body

    tensors = _trained_body("test_vit.r160_in1k", torch.device("cpu"), 1, 1)
    body = _built("test_vit.r160_in1k", 64, 10, pretrained=False).body
    assert {key: value.shape for key, value in body.state_dict().items()} == {k: t.shape for k, t in tensors.items()}


def test_the_ceiling_folds_batch_norm_as_a_run_does():
    import limit

    asked = SimpleNamespace(device="cpu", model="test_resnet.r160_in1k", weights="", size=32, batch=4)
    batch = limit.synthetic(asked)
    assert limit.modes(batch.model) == ["train", "head", "head folded", "infer", "infer folded"]
    chosen = limit.formats(batch.device)[-1]
    plain, folded = (limit.prepared(batch, mode, chosen).args[0] for mode in ("infer", "infer folded"))
    layers = [sum("Norm" in type(m).__name__ for m in model.modules()) for model in (plain, folded)]
    assert layers[1] < layers[0]
    with torch.no_grad():
        assert torch.allclose(plain(batch.images), folded(batch.images), atol=1e-4)
    trained = limit.prepared(batch, "head folded", chosen).args[0]
    assert trained.head is batch.model.head


def test_real_images_keep_proportions_labels_and_test_images(tmp_path):
    from real import classes, image_files, linked

    layouts.write_pets(tmp_path / "pets", per_class=20)
    place = linked(tmp_path / "work", f"pets={tmp_path / 'pets'}", 45)
    files = image_files(place)
    counts = {split: sum(file.parts[-3] == split for file in files) for split in ("train", "valid", "test")}
    assert counts == {"train": 30, "valid": 6, "test": 9}
    assert len(classes(place)) == 4
    for file in files:
        number, _, name = file.name.partition("-")
        assert file.samefile(tmp_path / "pets" / "images" / name)
        assert (file.parts[-3] == "test") == (int(file.stem.rpartition("_")[2]) % 2 == 1)  # as in the official lists
        assert file.parent.name.partition("-")[2] == name.rpartition("_")[0].replace("_", "-")
        assert number.isdigit()
    shutil.rmtree(place)
    assert image_files(linked(tmp_path / "work", f"pets={tmp_path / 'pets'}", 45)) == files


def test_real_images_without_known_test_labels_are_all_labelled_ones(tmp_path):
    from real import image_files, linked

    layouts.write_dog_breed(tmp_path / "dogs")
    files = image_files(linked(tmp_path / "work", f"dog-breed={tmp_path / 'dogs'}", 30))
    assert len(files) == 30
    assert {file.parts[-3] for file in files} == {"train", "valid", "test"}
    assert all(any(file.samefile(own) for own in (tmp_path / "dogs" / "train").iterdir()) for file in files)


def test_timm_numbers_the_classes_of_all_splits_alike(tmp_path):
    from vs_timm import image_sets

    for place in ("train/a", "train/b", "valid/b", "test/b"):
        layouts.write_picture(tmp_path / place / "0.jpg", 0, place)
    numbers = {split: [number for _, number in images.reader.samples] for split, images in image_sets(tmp_path).items()}
    assert numbers == {"train": [0, 1], "valid": [1], "test": [1]}


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_that_of_the_package_that_is_measured(tmp_path, monkeypatch):
    from timing import commit

    def git(*words: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    file = tmp_path / "kagglekit" / "__init__.py"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(kagglekit, "__file__", str(file))
    assert commit() == ""
    git("init")
    assert commit() == ""  # the checkout around it is not of it
    git("add", "kagglekit")
    git("commit", "-m", "All of it")
    assert commit() == git("rev-parse", "HEAD")
    file.write_text("changed = True\n")
    assert commit() == git("rev-parse", "HEAD") + "+"


def test_a_ratio_counts_up_to_the_peers_own_deviation():
    from timing import Taken
    from versus import Scores, counts, scored

    def runs(*losses: float) -> list[Taken]:
        return [Taken(1.0, 1.0, Scores(loss, 0.5)) for loss in losses]

    assert counts(runs(1.1, 1.1), runs(0.9, 1.1))  # deviation 0.141
    assert not counts(runs(1.2, 1.2), runs(0.9, 1.1))
    assert counts(runs(1.0), runs(1.0))
    half = scored(np.array([[0.5, 0.5], [0.25, 0.75]]), [0, 0])
    assert half.log_loss == pytest.approx(np.log(2) * 1.5)
    assert half.accuracy == 0.5


def test_pictures_are_the_same_whenever_they_are_drawn():
    from pictures import draw

    first, again, other = draw(3, 7, 60, 40), draw(3, 7, 60, 40), draw(3, 8, 60, 40)
    assert first.shape == (40, 60, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_contenders_take_turns():
    from timing import interleaved

    order: list[tuple[str, int]] = []
    taken = interleaved({name: lambda run, name=name: order.append((name, run)) for name in "ab"}, 2)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [len(runs) for runs in taken.values()] == [2, 2]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that score_steps gives, carried out in this process."""
    import score_steps

    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    given: list[list[str]] = []

    def answer(words: list[str]) -> str:
        given.append(words)
        done = CliRunner().invoke(cli, [*words, "--json", *(["--precision", "fp32"] if words[0] == "run" else [])])
        assert done.exit_code == 0, done.output
        return done.stdout

    monkeypatch.setattr(score_steps, "answer", answer)
    return given


@pytest.mark.slow
def test_each_step_is_scored_out_of_fold_and_on_the_test_images_and_nothing_is_done_twice(commands, tmp_path, capsys):
    import score_steps

    layouts.write_pets(tmp_path / "data")
    settings = {"pretrained": "false", "stage.*.size": 32, "stage.*.batch_size": 8, "stage.1.solver": "regression"}
    small = {
        "stage.3.size": 32,
        "stage.4.size": 32,
        "stage.4.cycles": 2,
        "stage.4.cycle_mult": 1,
        "stage.*.cycle_len": 1,
        "tta": 1,
    }
    words = [f"pets={tmp_path / 'data'}", "--arch", "test_efficientnet.r160_in1k", "--folds", "2"]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words += [word for key, value in small.items() for word in ("--stage-set", f"{key}={value}")]
    score_steps.main([*words, "--out", str(tmp_path / "out")])
    table = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| pets")
    ]
    assert [row[1] for row in rows] == [
        *("features baseline, 2 folds", "single model", "+ TTA", "+ 2 snapshots", "+ 2 folds", "+ hill climbing"),
        "+ features baseline, hill climbing",
    ]
    features, steps, blend = (
        Run(Path(done["run"])) for done in json.loads((tmp_path / "out/score_steps.json").read_text()).values()
    )
    for row, run in ((rows[0], features), (rows[5], steps), (rows[6], blend)):
        scores = run.info().scores[-1]
        shown = [float(row[k].split(" ± ")[0]) for k in (2, 4, 5, 7)]
        keys = ("valid_log_loss", "valid_accuracy", "test_log_loss", "test_accuracy")
        assert shown == pytest.approx([scores[key][0] for key in keys], abs=1e-4)
    by_name = {(row["member"], row["views"]): row for row in steps.info().scores}
    assert float(rows[1][2].split()[0]) == pytest.approx(
        by_name["all-2-cycle2", "plain"]["valid_log_loss"][0], abs=1e-4
    )
    assert float(rows[4][2].split()[0]) == pytest.approx(by_name["candidate", "mean"]["valid_log_loss"][0], abs=1e-4)
    assert rows[4][3] == "+0.0000 ± 0.0000"  # out of fold, folds are no step
    assert float(rows[2][3].split()[0]) == pytest.approx(
        float(rows[1][2].split()[0]) - float(rows[2][2].split()[0]), abs=2e-4
    )
    assert len(commands) == 3
    score_steps.main([*words, "--out", str(tmp_path / "out")])
    assert len(commands) == 3  # all of it was finished
    assert capsys.readouterr().out == table


def test_a_command_that_fails_is_done_again(tmp_path, monkeypatch):
    import score_steps

    options = score_steps.arguments(["pets=DIR", "--out", str(tmp_path)])
    monkeypatch.setattr(score_steps, "answer", lambda words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        score_steps.finished(options, "pets quick", ["run"])
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(score_steps, "answer", lambda words: json.dumps({"run": str(tmp_path / "there")}))
    assert score_steps.finished(options, "pets quick", ["run"]).run.folder == tmp_path / "there"
    monkeypatch.setattr(score_steps, "answer", lambda words: 1 / 0)
    score_steps.finished(options, "pets quick", ["run"])
    with pytest.raises(ZeroDivisionError):
        score_steps.finished(options, "pets quick", ["run", "--folds", "3"])  # another command


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_choice_of_threads_is_compared_with_the_best_fixed_one_and_what_has_finished_is_kept(tmp_path):
    import busy

    kept = busy.Kept(SimpleNamespace(json=tmp_path / "busy.json"))
    for key, seconds in (("1 thread", 2.0), ("2 threads, asleep", 1.0), ("auto", 1.1), ("auto", 1.3)):
        kept.add(f"steps/1 hog/{key}", seconds)
    for key, seconds in (("one after the other", 60.0), ("side by side", 50.0)):
        kept.add(f"pair/nothing/{key}", seconds)
    again = busy.Kept(SimpleNamespace(json=tmp_path / "busy.json"))
    assert [again.lacks("steps/1 hog/auto", runs) for runs in (2, 3)] == [False, True]
    (row,) = busy.rows("steps", again.found)
    assert (row["beside"], row["auto"]) == ("1 hog", pytest.approx(1.2))
    assert row["auto, of the best"] == pytest.approx(1.2)
    (pair,) = busy.rows("pair", again.found)
    assert pair["share"] == 1.2
