"""run.json names a plugin file: it is imported only if the user named it, or used it here with the same content."""

from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tiny_runs import TINY_COMMAND

import kagglekit
from kagglekit import Run, UserError
from kagglekit.cli import cli
from kagglekit.hooks import trust
from kagglekit.hooks.manager import load, load_for
from kagglekit.hooks.trust import UntrustedPlugin, plugins_named, record_plugins, trusted_plugins

PLUGIN = """from kagglekit import Competition, hookimpl, labels_from_folders
@hookimpl
def kagglekit_competition(): return Competition(title="Two colours", slug="two-colours", metric="log_loss")
@hookimpl
def kagglekit_labels(data): return labels_from_folders(data / "train", test=data / "test")
"""
HINT = "if you trust it, name it: --plugin"


def hostile(marker: Path) -> str:
    return f"{PLUGIN}\nfrom pathlib import Path\nPath({str(marker)!r}).touch()\n"


def ask(*arguments: object) -> Result:
    """Call the command line as a process of its own would: it knows no plugin file yet."""
    trust._loaded.clear()
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    names = [f"train/{name}/{number}.png" for name in ("ant", "bee") for number in range(6)]
    for number, name in enumerate([*names, *(f"test/{number}.png" for number in range(3))]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Return a folder with a plugin file and two runs made with it."""
    place = tmp_path_factory.mktemp("made")
    (place / "two.py").write_text(PLUGIN)
    for seed in ("0", "1"):
        done = ask("run", place / "two.py", "--data", data, "--out", place / "runs", "--name", seed, *TINY_COMMAND)
        assert done.exit_code == 0, done.output
    return place


@pytest.fixture
def place(made: Path) -> Path:
    """Return that folder with the plugin as it was."""
    (made / "two.py").write_text(PLUGIN)
    return made


def runs_in(place: Path) -> list[Path]:
    return sorted((place / "runs" / "two").iterdir())


def sent(place: Path, to: Path, marker: Path) -> Path:
    """Return a run as an attacker would send it: its own folder has the plugin that its run.json names."""
    run = to / "runs" / "two" / "sent"
    shutil.copytree(runs_in(place)[0], run)
    (run / "plugin.py").write_text(hostile(marker))
    facts = json.loads((run / "run.json").read_text())
    facts["plugin"] = facts["request"]["competition"] = str(run / "plugin.py")
    (run / "run.json").write_text(json.dumps(facts))
    return run


def commands(run: Path, data: Path, out: Path) -> dict[str, list[object]]:
    image = data / "test" / "0.png"
    return {
        "predict": ["predict", run, image, "--device", "cpu"],
        "predict --submission": ["predict", run, "--submission", out / "s.csv", "--data", data, "--device", "cpu"],
        "report": ["report", run, "--data", data],
        "full": ["run", "--full", run, "--out", out, "--precision", "fp32", "--device", "cpu"],
        "blend": ["blend", run, run.parent / "other", "--ensemble", "mean", "--data", data, "--out", out],
        "resume": ["resume", run, "--data", data],
    }


NAMES = sorted(commands(Path(), Path(), Path()))


def prepared(name: str, run: Path, place: Path) -> None:
    """Add what a command needs: a second run to blend with, a run that is not finished."""
    if name == "blend":
        shutil.copytree(runs_in(place)[1], run.parent / "other")
    if name == "resume":
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**facts, "status": "interrupted"}))


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_in_a_runs_own_folder_is_never_imported(place: Path, data: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    run = sent(place, tmp_path, marker)
    prepared(name, run, place)
    done = ask(*commands(run, data, tmp_path / "out")[name])
    assert not marker.exists()
    assert done.exit_code == (0 if name == "report" else 1), done.output
    assert f"the run's plugin file {run / 'plugin.py'} is not imported: no run was made with it here" in done.output
    assert f"hint: if you trust it, name it: --plugin {run / 'plugin.py'}" in done.output


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_that_the_user_names_is_used_instead(place: Path, data: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    run = sent(place, tmp_path, marker)
    prepared(name, run, place)
    done = ask(*commands(run, data, tmp_path / "out")[name], "--plugin", place / "two.py")
    assert done.exit_code == 0, done.output
    assert not marker.exists()
    assert "not imported" not in done.output


def test_a_run_made_here_needs_no_option_until_its_plugin_is_edited(place: Path, data: Path, tmp_path: Path) -> None:
    run = runs_in(place)[0]
    asked = commands(run, data, tmp_path)["predict"]
    assert ask(*asked).exit_code == 0
    (place / "two.py").write_text(PLUGIN + "\n")
    done = ask(*asked)
    assert done.exit_code == 1
    assert f"error: the run's plugin file {place / 'two.py'} has been edited since it was last used" in done.output
    assert f"hint: if you trust it, name it: --plugin {place / 'two.py'}" in done.output
    assert ask(*asked, "--plugin", place / "two.py").exit_code == 0
    (place / "two.py").unlink()
    missing = ask(*asked)
    assert missing.exit_code == 1
    assert "is not there\nhint: name its file: --plugin FILE" in missing.output


def test_in_python_the_plugin_is_an_argument(place: Path, data: Path) -> None:
    run, image = Run(runs_in(place)[0]), data / "test" / "0.png"
    own = kagglekit.predict(run, [image], device="cpu")
    (place / "two.py").write_text(PLUGIN + "\n")
    trust._loaded.clear()
    with pytest.raises(UntrustedPlugin, match="has been edited"):
        kagglekit.predict(run, [image], device="cpu")
    assert kagglekit.predict(run, [image], device="cpu", plugins=[place / "two.py"]).equals(own)


def test_a_blend_of_runs_with_a_plugin_that_was_named_needs_no_option(place: Path, data: Path, tmp_path: Path) -> None:
    run = sent(place, tmp_path, tmp_path / "ran")
    prepared("blend", run, place)
    out = run.parents[1]
    done = ask("blend", run, run.parent / "other", "--ensemble", "mean", "--data", data, "--out", out, "--json",
               "--plugin", place / "two.py")  # fmt: skip
    assert done.exit_code == 0, done.output
    blend = Run(Path(json.loads(done.stdout)["run"]))
    assert blend.info().plugin == str(place / "two.py")
    trust._loaded.clear()
    assert load_for(blend.info()).competition == "two"


def test_another_users_cache_allows_nothing(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "empty"))
    trust._loaded.clear()
    with pytest.raises(UntrustedPlugin, match="no run was made with it here"):
        load_for(Run(runs_in(place)[0]).info())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_record_that_somebody_else_could_have_written_allows_nothing(
    place: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    shutil.copytree(cache / "plugins", tmp_path / "cache" / "plugins")
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    trust._loaded.clear()
    assert load_for(Run(runs_in(place)[0]).info()).competition == "two"
    trust._loaded.clear()
    os.chown(tmp_path / "cache" / "plugins", 4242, -1)
    with pytest.raises(UntrustedPlugin, match="no run was made with it here"):
        load_for(Run(runs_in(place)[0]).info())


def test_names_need_no_trust_and_paths_are_known_by_where_they_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trusted_plugins("dog-breed") == ("dog-breed", ())
    with plugins_named(["somewhere/own.py"]):
        assert trusted_plugins("dog-breed") == (str(Path("somewhere/own.py").absolute()), ())
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PLUGIN)
    Path("link.py").symlink_to("own.py")
    trust._loaded.clear()
    load("./own.py")
    record_plugins(["./own.py"], tmp_path / "copies")
    trust._loaded.clear()
    assert [trusted_plugins(path)[0] for path in ("own.py", "link.py")] == ["own.py", "link.py"]


def test_what_is_recorded_is_what_was_loaded(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(PLUGIN)
    trust._loaded.clear()
    load(str(file))
    file.write_text(hostile(tmp_path / "ran"))  # while the run is being prepared
    record_plugins([str(file)], tmp_path / "copies")
    trust._loaded.clear()
    with pytest.raises(UntrustedPlugin, match="has been edited"):
        trusted_plugins(str(file))[0]
    file.write_text(PLUGIN)
    assert trusted_plugins(str(file))[0] == str(file)


FIRST = """from kagglekit import Ensemble, Provides, hookimpl
@hookimpl
def kagglekit_provides(): return Provides(ensemble=["first"])
@hookimpl
def kagglekit_ensemble(members, recipe):
    if recipe.ensemble == "first":
        return Ensemble(members[0].valid, members[0].test, {})
"""


@pytest.fixture(scope="module")
def with_first(data: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Return a run made with a plugin file and a further one, which has its ensemble."""
    place = tmp_path_factory.mktemp("first")
    (place / "two.py").write_text(PLUGIN)
    (place / "first.py").write_text(FIRST)
    done = ask("run", place / "two.py", "--plugin", place / "first.py", "--set", "ensemble=first", "--data", data,
               "--out", place / "runs", *TINY_COMMAND)  # fmt: skip
    assert done.exit_code == 0, done.output
    return runs_in(place)[0]


def test_a_further_plugin_file_is_loaded_recorded_and_guarded(with_first: Path, data: Path, tmp_path: Path) -> None:
    place, info = with_first.parents[2], Run(with_first).info()
    assert info.plugin_files == (str(place / "first.py"),)
    assert info.plugin_hashes == {str(file): sha256(file.read_bytes()).hexdigest() for file in place.glob("*.py")}
    assert [file.read_text() for file in sorted((with_first / "plugins").iterdir())] == [FIRST, PLUGIN]
    assert "first.py" in info.answered["kagglekit_ensemble"]
    for name in ("predict", "predict --submission", "report", "resume"):
        done = ask(*commands(with_first, data, tmp_path)[name])
        assert done.exit_code == 0, done.output
    (place / "first.py").write_text(hostile(tmp_path / "ran"))
    done = ask(*commands(with_first, data, tmp_path)["predict"])
    assert done.exit_code == 1
    assert f"first.py has been edited since it was last used for a run here\nhint: {HINT}" in done.output
    moved = tmp_path / "elsewhere" / "first.py"
    moved.parent.mkdir()
    moved.write_text(FIRST)
    assert ask(*commands(with_first, data, tmp_path)["predict"], "--plugin", moved).exit_code == 0
    assert not (tmp_path / "ran").exists()
    (place / "first.py").write_text(FIRST)


def test_full_takes_the_further_plugin_files_of_its_run(with_first: Path, data: Path, tmp_path: Path) -> None:
    done = ask(*commands(with_first, data, tmp_path / "out")["full"], "--json")
    assert done.exit_code == 0, done.output
    assert Run(Path(json.loads(done.stdout)["run"])).info().plugin_files == Run(with_first).info().plugin_files


def test_a_file_that_is_none_of_the_runs_is_refused(with_first: Path, data: Path, tmp_path: Path) -> None:
    done = ask(*commands(with_first, data, tmp_path)["predict"], "--plugin", tmp_path / "other.py")
    assert done.exit_code == 2
    assert f"error: not plugin files of the run: {tmp_path / 'other.py'}\nhint: it was made with" in done.output


def test_one_plugin_file_twice_and_two_of_one_name_are_refused(place: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(PLUGIN)
    for rival, what in ((place / "two.py", "is named twice"), (tmp_path / "two.py", "have the same name")):
        done = ask("recipe", place / "two.py", "--plugin", rival)
        assert done.exit_code == 2
        assert what in done.output


def test_a_plugin_that_is_not_there_is_named(place: Path, data: Path, tmp_path: Path) -> None:
    done = ask(*commands(runs_in(place)[0], data, tmp_path)["predict"], "--plugin", tmp_path / "none.py")
    assert done.exit_code == 1
    assert f"the plugin file {tmp_path / 'none.py'} does not exist" in done.output
    with pytest.raises(UserError, match="does not exist"):
        kagglekit.predict(runs_in(place)[0], [data / "test" / "0.png"], plugins=[tmp_path / "none.py"], device="cpu")
