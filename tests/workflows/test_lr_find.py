"""The learning-rate range test: on made-up curves, on a tiny network, and from the command line."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from fits import fit, network
from PIL import Image
from rich.console import Console
from tiny_runs import TINY

import kagglekit
from kagglekit import Recipe, Stage, UserError
from kagglekit.cli import cli
from kagglekit.compute.smoothing import centred
from kagglekit.planning.overrides import apply_overrides
from kagglekit.system.display.console import Display
from kagglekit.training import lr_range_test
from kagglekit.training.loop import train_stage
from kagglekit.training.lr_range_test import Sweep, found_rate, suggestions, sweep, with_rate
from kagglekit.workflows.lr_find import FoundRates, draw

TINY_RECIPE = Recipe(arch="a", stages=tuple(Stage(name=f"s{number}", size=32) for number in range(4)))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path_factory.getbasetemp() / "lr-cache"))


def valley(*corners: tuple[int, float], n: int = 100) -> Sweep:
    """Draw a curve through corners (step, loss) over rates from 1e-6 to 1."""
    losses = np.interp(np.arange(n), *zip(*corners, strict=True))
    return Sweep(np.geomspace(1e-6, 1, n), losses, (1.0,))


def step_of(found: Sweep, rate: float) -> int:
    return int(abs(np.log(found.rates) - np.log(rate)).argmin())


def test_a_fall_after_the_loss_has_diverged_is_no_valley():
    found = valley((0, 3.5), (40, 2.1), (60, 5.0), (80, 2.5), (99, 9.0))
    assert step_of(found, suggestions(found)["valley"]) == pytest.approx(27, abs=2)


def test_the_valley_lies_two_thirds_down_the_deepest_fall():
    found = valley((0, 1.5), (20, 1.4), (40, 2.0), (70, 1.0), (99, 2.0))
    assert step_of(found, suggestions(found)["valley"]) == pytest.approx(60, abs=2)


def test_the_steepest_point_is_where_the_loss_falls_fastest():
    found = valley((0, 2.0), (40, 1.9), (50, 1.2), (70, 1.0), (99, 9.0))
    assert step_of(found, suggestions(found)["steep"]) == pytest.approx(45, abs=2)


def test_a_tenth_of_the_lowest_point_is_meant_by_tenth():
    found = valley((0, 2.0), (70, 1.0), (99, 1.4))
    assert suggestions(found)["tenth"] == found.rates[found.smooth.argmin()] / 10
    assert found.smooth.argmin() == pytest.approx(70, abs=3)


@pytest.mark.parametrize("corners", [((0, 1.0), (99, 2.0)), ((0, 1.0), (99, 1.0))])
def test_a_loss_that_never_falls_suggests_nothing(corners):
    with pytest.raises(UserError, match="the loss did not fall at any rate"):
        suggestions(valley(*corners))


def noisy(found: Sweep, seed: int) -> Sweep:
    return dataclasses.replace(found, losses=found.losses + np.random.default_rng(seed).normal(0, 0.1, 100))


def test_a_fall_within_the_noise_of_the_steps_suggests_nothing_and_a_clear_one_does():
    flat, falling = valley((0, 2.15), (99, 2.15)), valley((0, 2.15), (70, 1.4), (85, 1.4), (99, 9.0))
    refused = []
    for seed in range(100):
        try:
            suggestions(noisy(flat, seed))
        except UserError as error:
            refused.append(str(error))
        assert 1e-6 < suggestions(noisy(falling, seed))["valley"] < 1e-1
    assert len(refused) >= 97
    assert any("no clear fall of the loss, which fell by 0." in each for each in refused)


def test_a_run_keeps_the_rate_of_a_stage_without_a_clear_fall(monkeypatch):
    flat = (noisy(valley((0, 2.15), (99, 2.15)), seed) for seed in range(100))
    found = next(each for each in flat if np.ptp(each.smooth) > 0.1)  # more than the noise of a constant
    monkeypatch.setattr(lr_range_test, "sweep", lambda fit: found)
    asked = fit(model=network())
    asked = dataclasses.replace(asked, stage=asked.stage.model_copy(update={"find_lr": True}))
    stage, message = found_rate(asked)
    assert (stage.lr, stage.find_lr) == (asked.stage.lr, False)
    assert message.endswith(f"keeping learning rate {asked.stage.lr:.3g}")


def test_centred_smoothing_keeps_constants_and_does_not_shift_a_step():
    assert centred(np.full(20, 3.0)) == pytest.approx(np.full(20, 3.0))
    step = centred(np.repeat([1.0, 0.0], 50))
    assert step[49] + step[50] == pytest.approx(1.0)
    assert (step[:50] > 0.5).all()


def test_a_sweep_grows_the_rate_until_the_loss_diverges_and_restores_every_weight():
    model = network()
    images = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = sweep(fit(model=model, images=images, batch_norm="update"))
    assert 30 < len(found.rates) <= 100
    assert np.diff(np.log(found.rates)) == pytest.approx(np.log(found.rates[1] / found.rates[0]))
    assert np.isfinite(found.losses).all()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(1e-6 < rate < 10 for rate in suggestions(found).values())


def test_a_sweep_holds_the_ratios_of_the_layer_groups():
    assert sweep(fit(body_factor=10.0)).ratios == pytest.approx((0.1, 1.0))


def test_training_after_a_sweep_is_as_without_one():
    plain, swept = fit(model=network()), fit(model=network())
    sweep(dataclasses.replace(swept))
    swept = dataclasses.replace(swept, optimizer=fit(model=swept.model).optimizer)
    losses = [[at.loss for at in train_stage(each)] for each in (plain, swept)]
    assert losses[0] == losses[1]


def test_a_found_rate_keeps_the_ratios_of_explicit_rates():
    stage = Stage(name="s", size=32, lr=0.1, group_lrs=(0.001, 0.01, 0.1), find_lr=True)
    found = with_rate(stage, 0.2)
    assert (found.lr, found.find_lr) == (0.2, False)
    assert found.group_lrs == pytest.approx((0.002, 0.02, 0.2))


def test_lr_auto_is_said_in_recipes_and_settings():
    assert Stage(name="s", size=32, lr="auto") == Stage(name="s", size=32, find_lr=True)  # type: ignore[arg-type]
    recipe = Recipe(arch="a", stages=(Stage(name="s", size=32),))
    auto = apply_overrides(recipe, ["stage.1.lr=auto"])
    assert auto.stages[0].find_lr
    assert Recipe.model_validate_json(auto.to_json()) == auto
    assert not apply_overrides(auto, ["stage.1.lr=0.01"]).stages[0].find_lr


def test_a_run_searches_its_rate_and_trains_as_if_it_had_been_given(dogs, tmp_path):
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True))

    def run(**settings: object) -> kagglekit.Run:
        options = {"preset": "quick", "precision": "fp32", "stages": "2", "display": display, "device": "cpu"}
        changed = {**TINY, "tta": 0, **settings}
        return kagglekit.run("dog-breed", data=dogs.data, out=tmp_path, settings=changed, **options)

    auto = run(**{"stage.2.lr": "auto"})
    rate = auto.info().found_lrs["head-augmented"]
    assert f"2 head-augmented: learning rate {rate:.3g} found (valley" in said.getvalue()
    assert max(float(row["lr"]) for row in auto.steps()) <= rate
    given = run(**{"stage.2.lr": rate})
    assert (
        given.log_file.read_text().splitlines()[1].split(",")[:7]
        == auto.log_file.read_text().splitlines()[1].split(",")[:7]
    )
    assert given.final_weights.read_bytes() == auto.final_weights.read_bytes()


def lr_find(*arguments: object) -> Result:
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    return CliRunner().invoke(cli, ["lr-find", "dog-breed", *settings, *map(str, arguments), "--device", "cpu"])


def test_a_stage_with_a_dollar_in_its_name_is_drawn(tmp_path):
    found = FoundRates("leaves", 1, "a_{b$}$", valley((0, 2.0), (50, 1.0), (99, 3.0)), {"valley": 0.01})
    for file in draw(found, tmp_path):
        with Image.open(file) as image:
            assert image.width == 880


def test_the_command_prints_a_table_and_draws_two_plots(dogs, tmp_path):
    out = tmp_path / "out"
    done = lr_find(
        *("--data", dogs.data, "--preset", "quick", "--stage", 3, "--pictures", tmp_path / "p", "--out", out),
        *("--set", "stage.1.solver=gradient", "--set", "stage.*.lr=1e-6"),  # so that there is something left to learn
    )
    assert done.exit_code == 0, done.output
    hint = re.search(r"hint: set a rate with --set stage.3.lr=\S+, or let the run find it: --set (\S+)\n", done.output)
    assert hint
    assert apply_overrides(TINY_RECIPE, [hint[1]]).stages[2].find_lr  # it can be typed as it is
    rows = [line.split() for line in done.output.splitlines() if line.split()[0] in ("valley", "steep", "tenth")]
    assert [row[0] for row in rows] == ["valley", "steep", "tenth"]
    for row in rows:
        rates = [float(rate) for rate in row[1:]]
        assert len(rates) == 3  # of three layer groups
        assert rates[-1] / rates[0] == pytest.approx(100, rel=0.1)
    assert sorted(file.name for file in (tmp_path / "p").glob("*.png")) == [
        "lr-find-3-all-1-loss.png",
        "lr-find-3-all-1-rate.png",
    ]
    for file in (tmp_path / "p").glob("*.png"):
        with Image.open(file) as plot:
            assert plot.size[0] > 600
    assert not list(out.rglob("*"))
    assert "head-augmented epoch 1/1" in " ".join(done.output.split())  # the stages before were run


def test_from_a_run_no_stage_is_run_first(dogs, tmp_path):
    done = lr_find(
        *("--data", dogs.data, "--stage", 4, "--from", dogs.run.folder, "--pictures", tmp_path),
        *("--set", "stage.4.label_smoothing=0.5"),  # something left to learn
    )
    assert done.exit_code == 0, done.output
    assert "epoch" not in done.output
    assert (tmp_path / "lr-find-4-all-2-loss.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stage", 1), "stage 1 finds its head by regression: stages with a learning rate are 2, 3, 4"),
        (("--stage", 9), "stage 9 does not exist"),
        (("--stages", "2-3"), "lr-find tests one stage"),
    ],
)
def test_a_stage_without_a_rate_is_refused_at_once(dogs, arguments, words):
    done = lr_find("--data", dogs.data, "--preset", "quick", *arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_loss_that_is_never_finite_suggests_nothing():
    made = fit(model=network())
    found = sweep(dataclasses.replace(made, loss=lambda logits, targets: logits.sum() * float("nan")))
    with pytest.raises(UserError, match="the loss was not finite, from the first steps"):
        suggestions(found)


def test_the_network_is_set_up_for_the_stage_that_is_tested(dogs, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("kagglekit.workflows.lr_find.sweep", lambda fit: given.append(fit) or sweep(fit))
    sizes = []
    monkeypatch.setattr("kagglekit.training.stage.set_input_size", lambda model, size: sizes.append(size))
    lr_find(
        *("--data", dogs.data, "--stage", 4, "--from", dogs.run.folder, "--pictures", tmp_path),
        *("--set", "stage.4.drop_rate=0.75", "--set", "stage.4.label_smoothing=0.5"),
    )
    (tested,) = given  # whether its loss falls is of no matter here
    assert sizes == [tested.stage.size]
    assert 0.75 in [module.p for module in tested.model.modules() if isinstance(module, torch.nn.Dropout)]
