"""Several networks by one command: the same images, folds if asked for, pooled, resumed, predicted with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from stopping import go_on, only, outcome, stop_at

from kagglekit import Run, UserError
from kagglekit.cli import cli
from kagglekit.planning.request import Request
from kagglekit.system.display.console import Display
from kagglekit.types.predictions import load_predictions
from kagglekit.workflows import dry_run
from kagglekit.workflows import start as starting
from kagglekit_recipes import RECIPES, ZOO
from kagglekit_timm.spec import known_cfg, plan_network

PAIR = ("test_resnet.r160_in1k", "test_vit.r160_in1k")
TINY = (
    "pretrained=false",
    "stage.*.batch_size=8",
    "stage.*.size=32",
    "stage.4.cycles=2",
    "stage.4.cycle_mult=1",
    "tta=1",
)
PERMISSIVE = {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause"}


def started(call: Callable[[Request, Display], object], data: Path, out: Path, *settings: str, **asked: object) -> str:
    """Call with a request for two tiny networks, last stage only; return what was said."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    given = {"preset": "quick", "stages": "4", **asked}
    pair = (f"zoo={json.dumps(PAIR)}",) if "zoo" not in asked else ()
    settings = (*TINY, *pair, *settings)
    call(Request("dog-breed", data=data, out=out, precision="fp32", device="cpu", settings=settings, **given), display)
    return said.getvalue()


def parts(run: Run) -> list[Run]:
    return [run.blended(name) for name in run.info().blend_of]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    out = tmp_path_factory.mktemp("whole")
    said = started(starting.start, data, out)
    return only(out), said


def test_networks_train_on_the_same_images_and_are_pooled(whole: tuple[Run, str]) -> None:
    run, said = whole
    assert [part.folder.name for part in parts(run)] == [f"{n}-{arch}" for n, arch in enumerate(PAIR, 1)]
    assert all(part.folder.parent == run.folder for part in parts(run))
    assert [part.recipe().arch for part in parts(run)] == list(PAIR)
    assert parts(run)[0].valid() == parts(run)[1].valid() == run.valid()
    members = run.info().members
    tables = [
        load_predictions(part.predictions(member.name, "test")) for part in parts(run) for member in part.info().members
    ]
    assert len(tables) == len(members) >= 2
    assert {member.name.split("/")[0] for member in members} == set(run.info().blend_of)
    chosen = run.info().fitted["chosen"]
    assert chosen in {member.name for member in members} | {"mean", "log-weighted"}
    assert run.submission.exists()
    assert run.report.exists()
    assert run.info().status == "finished"
    assert "zoo: 2 networks, one after the other on the same images; pooled: auto" in said


def test_a_zoo_is_listed_once_and_predicts_as_it_did(whole: tuple[Run, str], data: Path, tmp_path: Path) -> None:
    run, _ = whole
    out = run.folder.parents[1]
    (entry,) = json.loads(CliRunner().invoke(cli, ["history", "--json", "--out", str(out)]).stdout)
    assert (entry["run"], entry["arch"]) == (run.name, f"{PAIR[0]} +1")
    file = tmp_path / "again.csv"
    words = ["predict", str(run.folder), "--submission", str(file), "--data", str(data / "test"), "--device", "cpu"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    again, own = (np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2, 3, 4)) for path in (file, run.submission))
    np.testing.assert_allclose(again, own, atol=1e-5)


@pytest.mark.parametrize("number", [1, 2])
def test_an_interrupted_zoo_ends_with_the_same_bytes(
    whole: tuple[Run, str], data: Path, tmp_path: Path, number: int
) -> None:
    call = 1 if number == 1 else len(parts(whole[0])[0].steps()) + 2
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, call)
        with pytest.raises(KeyboardInterrupt):
            started(starting.start, data, tmp_path)
    run = only(tmp_path)
    states = [Run(run.folder / name).info().status for name in run.info().blend_of]
    assert states == {1: ["interrupted", None], 2: ["finished", "interrupted"]}[number]
    with pytest.raises(UserError, match="is one network of the zoo"):
        go_on(Run(run.folder / f"{number}-{PAIR[number - 1]}"))
    said = go_on(run)
    assert ("it is finished" in said) == (number == 2)
    assert [outcome(part) for part in parts(run)] == [outcome(part) for part in parts(whole[0])]
    assert run.submission.read_bytes() == whole[0].submission.read_bytes()
    assert not list(run.folder.rglob("checkpoint"))


@pytest.mark.slow
def test_a_zoo_in_folds_is_scored_out_of_fold(data: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 8)  # in the first network's second fold
        with pytest.raises(KeyboardInterrupt) as stopped:
            started(starting.start, data, tmp_path, "folds=2", preset="quick")
    assert stopped.value
    run = only(tmp_path)
    go_on(run)
    assert [part.info().folds for part in parts(run)] == [(1, 2), (1, 2)]
    assert len(load_predictions(run.predictions("ensemble", "valid"))) == 24
    assert run.info().status == "finished"


def test_the_first_networks_of_the_preset_are_taken(data: Path, tmp_path: Path) -> None:
    words = ["recipe", "dog-breed", "--preset", "quick", "--json"]
    assert json.loads(CliRunner().invoke(cli, [*words, "--zoo", "3"]).stdout)["zoo"] == list(ZOO[:3])
    assert json.loads(CliRunner().invoke(cli, words).stdout)["zoo"] == []
    named = CliRunner().invoke(cli, [*words, "--set", f"zoo={json.dumps(PAIR)}"])
    assert json.loads(named.stdout)["zoo"] == list(PAIR)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--zoo", "99"], "--zoo 99: there are 5 networks"),
        (["--zoo", "2", "--arch", "resnet18"], "cannot be combined with --arch"),
        (["--zoo", "2", "--set", 'archs=["resnet18"]'], "cannot be combined with archs"),
        (["--zoo", "2", "--set", "ensemble=average"], "ensemble=average is of one network"),
        (["--set", 'zoo=["resnet18", "resnet18"]'], "two networks of the zoo have the same name"),
    ],
)
def test_what_does_not_fit_a_zoo_is_refused(words: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["recipe", "dog-breed", "--preset", "quick", *words])
    assert done.exit_code == 2
    assert message in done.output


def test_weights_of_another_number_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="need as many files of weights, not 1"):
        started(starting.start, data, tmp_path, "pretrained=true", "weights=one.safetensors")
    assert not list(tmp_path.rglob("run.json"))


def test_a_name_that_does_not_exist_is_refused_before_the_first_network_trains(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="timm has no network 'resnet19'"):
        started(starting.start, data, tmp_path, 'zoo=["test_vit.r160_in1k", "resnet19"]')
    assert not list(tmp_path.rglob("run.json"))


def test_a_dry_run_tries_every_network_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    said = started(dry_run.dry_run, data, tmp_path)
    assert "dry run passed" in said
    assert all(arch in said for arch in PAIR)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("arch", ZOO)
def test_the_presets_networks_have_permissive_licences_and_fit_its_recipe(arch: str) -> None:
    recipe = RECIPES["zoo"].model_copy(update={"arch": arch, "zoo": ()})
    cfg = known_cfg(recipe)
    assert cfg.license in PERMISSIVE
    assert cfg.hf_hub_id
    assert plan_network(recipe, cfg).n_features > 0


def test_the_presets_networks_are_of_different_families() -> None:
    import timm

    modules = [timm.model_entrypoint(arch.partition(".")[0]).__module__ for arch in ZOO]
    assert len(set(modules)) == len(ZOO)
