"""The finish of a fine-tune: sizes and shares are chosen on valid images, honestly, and predicted with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scored_runs import do_again, table, tiny_run
from torch import nn

import kagglekit
from kagglekit import DataConfig, Recipe, Run, Stage
from kagglekit.compute.network import interpolate_weights, save_weights
from kagglekit.prediction import finish as finishing
from kagglekit.prediction.finish import Tried, cross_fitted, size_of
from kagglekit.runs.info import Finished, Record, RunInfo

CONFIG = DataConfig((0.5,) * 3, (0.5,) * 3, multiple=32)
TUNED = {"stage.*.batch_size": 8, "stage.*.cycle_len": 1, "stage.*.lr": 1e-3, "stage.4.cycles": 1, "tta": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    layouts.write_pets(folder)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def chosen(data: Path, out: Path) -> Run:
    """A run whose finish may choose with few valid images, which prefer a larger size and half of the way."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finishing, "LEAST_VALID", 4)
        real = finishing._predicted

        def predicted(context, network, stage, size, rows):  # type: ignore[no-untyped-def]
            values = real(context, network, stage, size, rows)
            right = np.eye(values.shape[1], dtype=np.float32)[context.images.truth("valid")]
            known = 0.3 * (size == 43) + 0.3 * torch.equal(network.state_dict()["head.bias"], half(context))
            return (known * right + (1 - known) / values.shape[1]).astype(np.float32)

        patched.setattr(finishing, "_predicted", predicted)
        return tiny_run(data, out, TUNED, preset="quick", name="chosen")[0]


def half(context) -> torch.Tensor:  # type: ignore[no-untyped-def]
    frozen, tuned = (load_file(context.run.snapshot(name))["head.bias"] for name in ("frozen", "all-2-cycle1"))
    return torch.lerp(frozen, tuned, 0.5)


def test_weights_on_the_line_between_two_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2)]
    models[1][1].running_mean += 2
    files = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for model, file in zip(models, files, strict=True):
        save_weights(model, file)
    for share in (0.0, 0.25, 1.0):
        made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        interpolate_weights(made, files[0], files[1], share)
        for name, value in made.state_dict().items():
            start, end = (model.state_dict()[name] for model in models)
            wanted = start + share * (end - start) if value.is_floating_point() else start
            torch.testing.assert_close(value, wanted)


def test_a_gain_counts_only_if_the_choice_holds_on_other_images() -> None:
    draw = np.random.default_rng(0)
    plain = Tried(Finished(64, 1.0), draw.normal(1, 0.5, 400))
    noise = [Tried(Finished(64, share), draw.normal(1, 0.5, 400)) for share in np.linspace(0, 0.9, 10)]
    best_of_noise = plain.losses.mean() - min(each.losses.mean() for each in noise)
    gain, error = cross_fitted([plain, *noise], plain, np.arange(400) % 5)
    assert best_of_noise > 0
    assert gain < best_of_noise
    better = Tried(Finished(96, 1.0), plain.losses - 0.3)
    gain, error = cross_fitted([plain, better], plain, np.arange(400) % 5)
    assert (gain, error) == (pytest.approx(0.3), pytest.approx(0, abs=1e-9))


def test_sizes_are_those_of_the_stage_unless_one_is_asked_for_or_the_network_takes_no_other() -> None:
    stage = Stage(name="all", size=96)
    recipe = Recipe(arch="a", stages=(stage,))
    assert recipe.finishing_sizes(stage, CONFIG) == (96, 128, 160)
    assert recipe.finishing_sizes(stage, replace(CONFIG, any_size=False)) == (96,)
    for change in ({"finish": "plain"}, {"predict_size": 128}, {"ensemble": "average"}):
        other = recipe.model_copy(update=change)
        assert other.finishing_sizes(stage, CONFIG) == (other.predict_size or 96,)
    assert Recipe(arch="a", stages=(stage,), predict_size="auto").predict_size is None  # type: ignore[arg-type]
    info = RunInfo(finished={"all-cycle1": Finished(128, 0.5)})
    assert size_of(recipe, info, "all-cycle1", stage) == 128
    assert size_of(recipe, info, "other", stage) == 96


def test_the_chosen_weights_and_size_predict(chosen: Run, data: Path) -> None:
    way = chosen.info().finished["all-2-cycle1"]
    assert way == Finished(43, 0.5)
    kept, used, frozen = (load_file(chosen.snapshot(name)) for name in ("all-2-cycle1-tuned", "all-2-cycle1", "frozen"))
    for name, value in used.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, torch.lerp(frozen[name], kept[name], 0.5))
    files = [data / "images" / f"{name}.jpg" for name in table(chosen, "all-2-cycle1", "test").index[:4]]
    again = kagglekit.predict(chosen, files, device="cpu")
    np.testing.assert_allclose(again.to_numpy(), table(chosen, split="test").to_numpy()[:4], atol=1e-3)


def test_training_on_all_images_repeats_the_choice(chosen: Run, out: Path) -> None:
    again, _ = do_again(chosen, out)
    assert again.info().finished == chosen.info().finished
    assert again.snapshot("all-2-cycle1-tuned").exists()


def test_plain_leaves_the_weights_as_they_were_trained(data: Path, out: Path) -> None:
    run, said = tiny_run(data, out, {**TUNED, "finish": "plain"}, preset="quick", name="plain")
    assert not run.info().finished
    assert not run.snapshot("frozen").exists()
    assert "finish:" not in said


def test_new_images_are_combined_as_the_run_chose_and_not_chosen_again(data: Path, out: Path) -> None:
    run, _ = tiny_run(data, out, {**TUNED, "ensemble": "auto", "finish": "plain"}, preset="quick", name="auto")
    names = list(table(run, split="test").index[:4])
    files = [data / "images" / f"{name}.jpg" for name in names]
    members = {entry.name: table(run, entry.name, "test").loc[names].to_numpy() for entry in run.info().members}
    wanted = {**members, "mean": np.mean(list(members.values()), axis=0)}
    for chosen, values in wanted.items():
        Record.of(run.info_file).update(fitted={**run.info().fitted, "chosen": chosen})
        np.testing.assert_allclose(kagglekit.predict(run, files, device="cpu").to_numpy(), values, atol=1e-3)
