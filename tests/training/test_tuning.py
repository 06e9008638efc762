"""What a run measures for itself: batches, and whether compiled steps pay; on tiny networks, really trained."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fits import CPU, FP32, THREE, Memory, fit, network
from plugin_site import Site
from rich.console import Console
from stopping import BREEDS, FULL, TOO_MUCH, outcome, stop_at
from torch import nn

import kagglekit
from kagglekit import Run, Stage, UserError
from kagglekit.cli import cli
from kagglekit.compute.compile import check_compile
from kagglekit.compute.device import Compute
from kagglekit.compute.forward import predict_pass
from kagglekit.planning.request import Request
from kagglekit.system.display.console import Display
from kagglekit.system.signals import Stopped
from kagglekit.training import batch_size, trainer, tuning
from kagglekit.training.batch_size import doubled, for_rows, largest_batch, predict_batch, train_batch
from kagglekit.training.loop import begin, train_stage
from kagglekit.training.tuning import compiled
from kagglekit.workflows import start
from kagglekit.workflows.full_data import full_request

TINY: dict[str, object] = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.*.size": 32,
    "stage.4.cycles": 1,
    "tta": 0,
}


@pytest.fixture(autouse=True, scope="module")
def compiler_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import torch._inductor.config as inductor

    with pytest.MonkeyPatch.context() as patch, inductor.patch(compile_threads=1):  # else processes that import torch
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dogs")
    layouts.write_dog_breed(folder, per_class=6, test=20)
    return folder


def request(data: Path, out: Path, competition: str = "dog-breed", **options: object) -> Request:
    settings = {**TINY, **options.pop("settings", {})}
    given = {"preset": "quick", "precision": "fp32", "device": "cpu", "save_every": 0, "stages": "2-4", **options}
    lines = tuple(f"{key}={value}" for key, value in settings.items())
    return Request(competition, data=data, out=out, settings=lines, **given)


def run(asked: Request) -> tuple[Run, str]:
    said = io.StringIO()
    return start.start(asked, display(said)), said.getvalue()


def display(said: io.StringIO) -> Display:
    return Display(Console(file=said, width=240, soft_wrap=True, highlight=False))


@pytest.mark.parametrize(("n", "batch"), [(5, 8), (300, 16), (512, 32), (800, 32), (10_000, 512), (10**6, 512)])
def test_an_epoch_keeps_sixteen_steps(n, batch):
    assert largest_batch(n) == batch


@pytest.mark.parametrize(
    ("speeds", "batch", "tried"),
    [
        ({8: 100, 16: 190, 32: 300, 64: 301, 128: 900}, 32, 4),  # the first doubling that gains little is the last
        ({8: 100, 16: 90}, 8, 2),
        ({8: 100, 16: 200, 32: None}, 16, 2),  # it does not fit
        ({8: None}, 8, 0),
        ({8: 1, 16: 2, 32: 4, 64: 8}, 64, 4),
    ],
)
def test_a_batch_is_doubled_as_long_as_it_gains(speeds, batch, tried):
    best, found = doubled(lambda size: speeds[size], 8, max(speeds))
    assert (best, len(found)) == (batch, tried)


def test_few_rows_are_not_filled_up_to_a_large_batch():
    assert [for_rows(512, rows) for rows in (0, 100, 1_000, 3_000, 10_000)] == [64, 64, 128, 512, 512]
    assert for_rows(64, 10_000) == 64
    assert for_rows(512, 200, 100_000) == for_rows(512, 100_000, 200) == 512  # the many decide
    assert for_rows(512, 0, 0) == 64


def test_a_probe_of_training_steps_gives_the_weights_back_and_is_remembered(tmp_path):
    one = fit(n=600, batch_norm="update")
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    batch, words = train_batch(one, ("a",), tmp_path / "formats.json")
    assert batch in (8, 16, 32)
    assert re.match(rf"batch size {batch} found \(images/s 8: [\d,]+, 16: ", words)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert train_batch(one, ("a",), tmp_path / "formats.json") == (batch, f"batch size {batch} (remembered probe)")
    assert "found" in train_batch(one, ("b",), tmp_path / "formats.json")[1]


def test_a_batch_that_the_memory_does_not_hold_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_size, "GAIN", 0.0)  # whatever the machine is doing: only the memory counts
    one = fit(n=10_000)

    def check(module, inputs):
        if len(inputs[0]) > 40:
            raise torch.OutOfMemoryError("full")

    one.model.register_forward_pre_hook(check)
    assert train_batch(one, ("a",), tmp_path / "formats.json")[0] == 32


def test_a_probe_of_predictions_changes_no_weight_and_is_remembered(tmp_path):
    model, compute = network(), Compute(torch.device("cpu"), FP32, FP32, "test")
    assert predict_batch(model, compute, 8, "a", tmp_path / "formats.json").startswith("probed at 8 px: images/s 64: ")
    assert model.training
    assert compute.batch in (64, 128, 256, 512)
    again = Compute(torch.device("cpu"), FP32, FP32, "test")
    assert predict_batch(model, again, 8, "a", tmp_path / "formats.json") == "remembered probe"
    assert again.batch == compute.batch


def test_predictions_are_probed_folded_as_they_are_made(tmp_path, monkeypatch):
    probed, real = [], batch_size._predict_speed
    monkeypatch.setattr(batch_size, "_predict_speed", lambda model, *rest: probed.append(model) or real(model, *rest))
    model, compute = network(), Compute(torch.device("cpu"), FP32, FP32, "test")
    predict_batch(model, compute, 8, "a", tmp_path / "formats.json")
    assert any(isinstance(each, nn.BatchNorm2d) for each in model.modules())
    assert not any(isinstance(each, nn.BatchNorm2d) for each in probed[0].modules())
    assert not probed[0].training


def test_a_batch_that_no_format_holds_leaves_no_estimate_and_the_run_continues(data, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    few = TOO_MUCH.format(training=True, images=2, error=FULL["cuda"])
    plugin = Site(tmp_path).write("breeds.py", BREEDS + few)
    asked = {"stages": "4", "precision": "auto", "settings": {"stage.4.cycle_len": 8}}
    finished, said = run(request(data, tmp_path / "out", plugin, **asked))
    assert "(not probed: out of memory on cpu with 8 images at 32 px)" in said
    assert "estimated time" not in said
    assert finished.info().parts == {"all-2": 4}
    assert int(finished.log_rows()[-1]["step"]) > 11
    assert finished.info().status == "finished"
    assert not (tmp_path / "cache" / "formats.json").exists()


def test_a_step_that_needs_more_than_half_of_the_memory_is_taken_in_parts_also_when_resumed(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "private_memory", lambda: 4e6)
    monkeypatch.setattr(trainer, "usable_memory", lambda: 1.2e7)
    whole, said = run(request(data, tmp_path / "whole", stages="4"))
    (parts,) = whole.info().parts.values()
    assert parts in (2, 4)
    assert "4 all-2: a step of 8 images at 32 px needs 0.0 GB, but half of this machine's memory" in said
    assert f"accumulating gradients over {parts} parts of {8 // parts}" in said
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(Stopped):
            run(request(data, tmp_path / "out", stages="4"))
    monkeypatch.setattr(trainer, "usable_memory", lambda: 1e12)  # a larger machine
    (folder,) = (tmp_path / "out" / "dog-breed").iterdir()
    start.resume(Run(folder), display(io.StringIO()))
    assert outcome(Run(folder)) == outcome(whole)


def test_a_deterministic_run_measures_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    finished, said = run(request(data, tmp_path / "out", precision="auto", deterministic=True))
    assert finished.info().train_format == finished.info().infer_format == "fp32 channels_last"
    assert "probe" not in said
    assert (tmp_path / "cache" / "stores").exists()
    assert not (tmp_path / "cache" / "formats.json").exists()


class Small(nn.Module):
    """Adds up what it sees; holds at most so many images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("full")
        return torch.stack([x.sum((1, 2, 3)), x.amax((1, 2, 3))], 1)


def test_predictions_continue_with_half_the_batch_and_miss_no_image():
    images, rows = torch.rand(150, 3, 4, 4), np.random.default_rng(0).permutation(150)
    whole = torch.cat(list(predict_pass(Small(64), Memory(images), rows, 0, CPU, THREE.activate)))
    small, compute = Small(20), Compute(torch.device("cpu"), FP32, FP32, "test")
    halved = torch.cat(list(predict_pass(small, Memory(images), rows, 0, compute, THREE.activate)))
    assert torch.equal(halved, whole)
    assert small.seen[:3] == [64, 32, 16]
    assert compute.batch == 16  # for all later passes
    with pytest.raises(UserError, match="out of memory on cpu: not even one image fits for prediction"):
        list(predict_pass(Small(0), Memory(images), rows, 0, compute, THREE.activate))


def test_a_run_reports_that_predictions_needed_smaller_batches_and_keeps_the_number(data, tmp_path):
    few = TOO_MUCH.format(training=False, images=16, error=FULL["mps"])
    plugin = Site(tmp_path).write("breeds.py", BREEDS + few)
    finished, said = run(request(data, tmp_path / "out", plugin, stages="1-2"))
    assert said.count("cpu ran out of memory: predictions continue with 16 images at a time") == 1
    assert finished.info().predict_batch == 16


def test_batch_size_auto_is_said_in_recipes_and_settings():
    assert Stage(name="s", size=32, batch_size="auto") == Stage(name="s", size=32, find_batch=True)  # type: ignore[arg-type]
    both = Stage(name="s", size=32, batch_size="auto", lr="auto")  # type: ignore[arg-type]
    assert (both.find_batch, both.find_lr) == (True, True)


AUTO = {"settings": {"stage.*.batch_size": "auto"}}


def test_a_run_searches_its_batches_and_continues_with_them(data, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_size, "largest_batch", lambda n: 16)  # there are few images
    monkeypatch.setattr(batch_size, "GAIN", 0.0)
    whole, said = run(request(data, tmp_path / "whole", **AUTO))
    assert re.search(r"3 all-1: batch size 16 found \(images/s 8: [\d,]+, 16: [\d,]+", said)
    assert re.search(r"all-1 .* side_on +auto", said)
    found = {"head-augmented": 16, "all-1": 16, "all-2": 16}
    assert whole.info().found_batches == found
    n = whole.info().images["train"]
    assert [int(row["step"]) for row in whole.log_rows() if row["stage"] == "all-1"] == [n // 16, 2 * (n // 16)]
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 4)  # within the last stage
        with pytest.raises(Stopped):
            run(request(data, tmp_path / "out", **AUTO))
    (folder,) = (tmp_path / "out" / "dog-breed").iterdir()
    again = io.StringIO()
    start.resume(Run(folder), display(again))
    assert "batch size" not in again.getvalue()
    assert outcome(Run(folder)) == outcome(whole)
    full = full_request(Request("", full=str(whole.folder), out=tmp_path))
    assert full.recipe is not None
    assert [(stage.batch_size, stage.find_batch) for stage in full.recipe.stages[1:]] == [(16, False)] * 3


@pytest.mark.slow
def test_a_searched_rate_in_a_stage_with_snapshots_survives_a_stop_and_is_taken_over_by_full(data, tmp_path):
    asked = {"settings": {"stage.4.lr": "auto", "stage.4.cycles": 2, "stage.4.cycle_mult": 1}, "stages": "4"}
    whole, _ = run(request(data, tmp_path / "whole", **asked))
    rate = whole.info().found_lrs["all-2"]
    steps = int(whole.log_rows()[0]["step"])
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, steps + 1)  # the first snapshot is written
        with pytest.raises(Stopped):
            run(request(data, tmp_path / "out", **asked))
    (folder,) = (tmp_path / "out" / "dog-breed").iterdir()
    start.resume(Run(folder), display(io.StringIO()))
    assert outcome(Run(folder)) == outcome(whole)
    full = full_request(Request("", full=str(whole.folder), out=tmp_path))
    assert full.recipe is not None
    assert (full.recipe.stages[3].lr, full.recipe.stages[3].find_lr) == (rate, False)


SMALL = """
@hookimpl
def kagglekit_model(recipe, n_classes):
    import torch
    from torch import nn

    class Small(nn.Module):
        data_config = DataConfig((0.5,) * 3, (0.5,) * 3, weights="random")

        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, stride=4)
            self.norm = nn.BatchNorm2d(8)
            self.head = nn.Linear(8, n_classes)

        def forward(self, x):
            return self.head(self.norm(self.first(x)).relu().mean((2, 3)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Small()

@hookimpl
def kagglekit_layer_groups(model, recipe):
    return [[f"{part}.weight", f"{part}.bias"] for part in ("first", "norm", "head")]
"""  # compiled in seconds


BAD_AFTER_AN_EPOCH = """
from torch.nn.functional import cross_entropy
bad = []

@hookimpl
def kagglekit_epoch_end(stage, row):
    if stage.name == "all-2" and not bad:
        bad.append(float("nan"))

@hookimpl
def kagglekit_loss(recipe):
    def loss(logits, targets):
        factor = bad[0] if len(bad) == 1 else 1
        bad.extend(bad[:1])
        return cross_entropy(logits, targets) * factor
    return loss
"""


def test_a_searched_rate_is_halved_too_after_a_loss_that_is_not_finite(data, tmp_path, monkeypatch):
    monkeypatch.setattr("kagglekit.runs.checkpoint_file.SHARE", 1e9)
    plugin = Site(tmp_path).write("breeds.py", BREEDS + BAD_AFTER_AN_EPOCH)
    settings = {"stage.4.lr": "auto", "stage.4.cycle_len": 2, "stage.4.schedule": "constant"}
    finished, said = run(request(data, tmp_path / "out", plugin, stages="4", settings=settings))
    assert "with half the learning rate" in said
    first, second = (float(row["lr"]) for row in finished.log_rows())
    assert second == pytest.approx(first / 2)


def command(data: Path, out: Path, *words: str, competition: str = "dog-breed") -> tuple[int, str]:
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    common = ["--data", str(data), "--out", str(out), "--preset", "quick", "--precision", "fp32", "--device", "cpu"]
    done = CliRunner().invoke(cli, ["run", competition, *common, *settings, *words])
    return done.exit_code, done.output


def test_the_command_takes_batch_size_auto_but_not_where_nothing_may_be_measured(data, tmp_path):
    auto = ("--set", "stage.3.batch_size=auto", "--stages", "3")
    code, said = command(data, tmp_path, *auto)
    assert code == 0, said
    assert "3 all-1: batch size 8 " in said
    code, said = command(data, tmp_path / "none", *auto, "--deterministic")
    assert code == 2
    assert "--deterministic cannot be combined with batch_size=auto, which benchmarks (stage 3)" in said
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_compiled_steps_give_the_same_losses_and_leave_the_model_its_names():
    plain, other = fit(cycle_len=2, model=without_dropout()), fit(cycle_len=2, model=without_dropout())
    before = {name: value.clone() for name, value in other.model.state_dict().items()}
    held = begin(other)
    held.forward, seconds = compiled(other, 8)
    assert seconds > 0
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, before[name]), name  # BatchNorm's statistics, too
    one = [at.loss for at in train_stage(plain)]
    assert [at.loss for at in train_stage(other, held)] == pytest.approx(one, rel=1e-4)
    assert held.forward is not other.model
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def without_dropout() -> nn.Module:
    model = network()
    model[1] = nn.Identity()
    return model


@pytest.mark.long
def test_a_compiled_run_is_interrupted_resumed_and_read_like_any_other(data, tmp_path):
    small = Site(tmp_path).write("small.py", BREEDS + SMALL)
    options = ("--set", "stage.4.cycle_len=2", "--stages", "4", "--compile")
    code, said = command(data, tmp_path / "whole", *options, "on", competition=small)
    assert code == 0, said
    assert re.search(r"4 all-2: steps are compiled, in [^:]+: as requested", said)
    (folder,) = (tmp_path / "whole" / "small").iterdir()
    whole = Run(folder)
    assert list(whole.info().compiled) == ["all-2"]
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, int(whole.log_rows()[0]["step"]) + 1)
        assert command(data, tmp_path / "out", *options, "on", competition=small)[0] == 130
    (folder,) = (tmp_path / "out" / "small").iterdir()
    again = io.StringIO()
    start.resume(Run(folder), display(again))
    assert "steps are compiled" in again.getvalue()
    assert outcome(Run(folder)) == outcome(whole)
    code, said = command(data, tmp_path / "plain", *options, "auto", competition=small)
    assert code == 0, said
    assert "steps are" not in said
    (folder,) = (tmp_path / "plain" / "small").iterdir()
    for row, same in zip(whole.log_rows(), Run(folder).log_rows(), strict=True):
        assert float(row["train_loss"]) == pytest.approx(float(same["train_loss"]), rel=1e-3)
    table = kagglekit.predict(whole, sorted((data / "test").iterdir())[:3], device="cpu")
    assert table.shape == (3, len(whole.info().classes))


@pytest.mark.parametrize(
    ("pays", "words"),
    [(1e6, "steps are not compiled: about"), pytest.param(0.0, "steps are compiled, in", marks=pytest.mark.slow)],
)
def test_steps_are_compiled_once_enough_are_known_to_remain(data, tmp_path, monkeypatch, pays, words):
    monkeypatch.setattr(tuning, "PAYS", pays)
    monkeypatch.setattr("kagglekit.training.trainer.compiler", lambda work, stage: tuning.Compiler(work, "auto"))
    small = Site(tmp_path).write("small.py", BREEDS + SMALL)
    finished, said = run(request(data, tmp_path, small, stages="4", settings={"stage.4.cycle_len": 8}))
    assert re.search(rf"4 all-2: {words}.* of steps remain, and compiling pays off from ", said)
    assert ("all-2" in finished.info().compiled) == (pays == 0)


def test_if_compiling_fails_unrequested_the_stage_continues_without(data, tmp_path, monkeypatch):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setattr(tuning, "PAYS", 0.0)
    monkeypatch.setattr("kagglekit.training.trainer.compiler", lambda work, stage: tuning.Compiler(work, "auto"))
    asked = {"stages": "4", "settings": {"stage.4.cycle_len": 8, "stage.4.batch_size": 6}}
    small = Site(tmp_path).write("small.py", BREEDS + SMALL)
    with inductor.patch({"cpp.cxx": (str(tmp_path / "no-compiler"),), "fx_graph_cache": False}):
        failed, said = run(request(data, tmp_path / "failed", small, **asked))
    assert "4 all-2: steps are not compiled: torch.compile failed: " in said
    monkeypatch.undo()
    plain, _ = run(request(data, tmp_path / "plain", small, **asked))
    assert outcome(failed) == outcome(plain)


@pytest.mark.parametrize(("pays", "done"), [(1e6, False), (0.0, True)])
def test_steps_that_are_too_few_to_compile_are_recorded_on_a_gpu(data, tmp_path, monkeypatch, pays, done):
    """The graphs themselves are tested on a GPU (tests/cuda): here the plain forward pass stands for them."""

    class Told(tuning.Compiler):
        def _decide(self, fit, state):
            gpu = dataclasses.replace(fit.compute, device=torch.device("cuda"))
            monkeypatch.setattr(tuning, "recorded", lambda *_: (lambda images: fit.model(images), 0.5))
            super()._decide(dataclasses.replace(fit, compute=gpu), state)

        def end(self, fit, state):
            seen.append(self.compiled)
            super().end(fit, state)
            seen.append(state.forward is fit.model)

    seen: list[bool] = []
    monkeypatch.setattr(tuning, "GRAPHS_PAY", pays)
    monkeypatch.setattr("kagglekit.training.trainer.compiler", lambda work, stage: Told(work, "auto"))
    small = Site(tmp_path).write("small.py", BREEDS + SMALL)
    finished, said = run(request(data, tmp_path, small, stages="4", settings={"stage.4.cycle_len": 8}))
    assert ("4 all-2: steps are recorded as CUDA graphs, in 0 s: about " in said) == done
    assert ("4 all-2: steps are not compiled: about " in said) == (not done)
    assert ("all-2" in finished.info().compiled) == done
    assert seen == [done, True]


def test_steps_with_hooks_or_checkpointing_are_not_recorded():
    assert tuning.records(fit())
    assert not tuning.records(fit(grad_checkpointing=True))
    hooked = fit()
    hooked.model[0].register_forward_hook(lambda module, given, result: None)
    assert not tuning.records(hooked)


BLACK = """
import torch

@torch.compiler.disable
def refuse_black(images):
    if not images.any():
        raise {error}
"""  # steps are compiled with black images
SHY = SMALL.replace("        def forward(self, x):\n", "        def forward(self, x):\n            refuse_black(x)\n")


@pytest.mark.parametrize("error", ["RuntimeError('capture failed')", "ValueError()"])
def test_any_failure_while_steps_are_compiled_costs_an_automatic_choice_nothing(data, tmp_path, monkeypatch, error):
    monkeypatch.setattr(tuning, "PAYS", 0.0)
    monkeypatch.setattr("kagglekit.training.trainer.compiler", lambda work, stage: tuning.Compiler(work, choice))
    asked = {"stages": "4", "settings": {"stage.4.cycle_len": 8}}
    shy = Site(tmp_path).write("shy.py", BREEDS + BLACK.format(error=error) + SHY)
    choice = "auto"
    failed, said = run(request(data, tmp_path / "failed", shy, **asked))
    reason = "capture failed" if "capture" in error else "ValueError"
    assert f"4 all-2: steps are not compiled: {reason}\n" in said
    choice = "off"
    plain, _ = run(request(data, tmp_path / "plain", shy, **asked))
    assert outcome(failed) == outcome(plain)
    choice = "on"
    with pytest.raises((RuntimeError, ValueError)):
        run(request(data, tmp_path / "asked", shy, **asked))


def test_a_stage_too_short_to_measure_is_reported(data, tmp_path, monkeypatch):
    monkeypatch.setattr("kagglekit.training.trainer.compiler", lambda work, stage: tuning.Compiler(work, "auto"))
    small = Site(tmp_path).write("small.py", BREEDS + SMALL)
    _, said = run(request(data, tmp_path, small, stages="4", settings={"stage.4.cycle_len": 1}))
    assert re.search(r"4 all-2: steps are not compiled: \d remain, too few to measure whether it pays off", said)


def test_a_full_device_continues_without_compiled_steps_before_it_splits_batches():
    one = fit(model=without_dropout())
    held, calls = begin(one), []

    def greedy(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        raise torch.OutOfMemoryError("its graphs keep too much")

    held.forward = greedy
    plain = [at.loss for at in train_stage(fit(model=without_dropout()))]
    assert [at.loss for at in train_stage(one, held)] == plain
    assert (calls, held.parts) == ([8], 1)


def test_without_a_compiler_the_message_names_what_is_missing(monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    with (
        inductor.patch({"cpp.cxx": (str(tmp_path / "no-compiler"),), "fx_graph_cache": False}),
        pytest.raises(UserError, match=r"torch.compile failed: .*\n.*C\+\+ compiler .*--compile off"),
    ):
        check_compile("on", torch.device("cpu"))
    with pytest.raises(UserError, match="unknown compile 'yes'"):
        check_compile("yes", torch.device("cpu"))
