"""Every kind of plugin as a distribution of its own: listed, used where it is named, silent otherwise, switched off."""

from __future__ import annotations

import csv
import json
import math
import subprocess
from pathlib import Path

import command_line
import cv2
import layouts
import numpy as np
import pytest

import kagglekit
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

LISTED = {
    "focal": ("kagglekit-focal", "0.5.0"),
    "jsonl": ("kagglekit-jsonl", "3.2.1"),
    "median": ("kagglekit-median", "0.1.2"),
    "satellite": ("kagglekit-satellite", "2.0.1"),
    "slurm": ("kagglekit-slurm", "0.1.0"),
    "strip-net": ("kagglekit-strip-net", "0.3.0"),
    "tiff16": ("kagglekit-tiff16", "1.0.4"),
    "warm-restarts": ("kagglekit-warm-restarts", "1.1.0"),
}
NAMED = [  # what names each of them in a recipe
    "arch=strip-net",
    "stage.*.schedule=warm-restarts",
    "stage.4.cycles=2",
    "options.warm_share=0.25",
    "stage.*.views=satellite",
    "ensemble=median",
    "loss=focal",
    "options.focal_gamma=1.5",
    "options.jsonl=epochs.jsonl",
]
TINY = ["pretrained=false", "stage.*.batch_size=8", "stage.*.size=32", "tta=1"]
COLOURS = """
from kagglekit import Competition, hookimpl, labels_from_folders


@hookimpl
def kagglekit_competition():
    return Competition(title="Colours of 16 bits", metric="top_2")


@hookimpl
def kagglekit_labels(data):
    return labels_from_folders(data / "train", test=data / "test")
"""


def command(python: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line with what that Python has installed."""
    (site_packages,) = Path(python).parents[1].glob("lib/python*/site-packages")
    return command_line.kagglekit(*arguments, cwd=cwd, PYTHONPATH=str(site_packages))


def _cosine(step: int, of: int) -> float:
    return (1 + math.cos(math.pi * step / of)) / 2


def settings(values: list[str]) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def run(python: str, cwd: Path, competition: str, data: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    fixed = ["--preset", "quick", "--precision", "fp32", "--data", data]
    return command(python, "run", competition, *fixed, *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition of TIFF files with 16-bit and floating-point numbers, and dog-breed's of JPEG files."""
    folder = tmp_path_factory.mktemp("distributions")
    (folder / "colours.py").write_text(COLOURS)
    random = np.random.default_rng(0)
    for number in range(36):
        kind = number % 3
        file = f"test/{number}.tif" if number >= 30 else f"train/{'abc'[kind]}/{number}.tif"
        pixels = random.integers(0, 20000, (40, 40, 3), dtype=np.uint16)
        pixels[..., kind] += 40000
        (folder / "tiff" / file).parent.mkdir(parents=True, exist_ok=True)
        numbers = pixels if number % 2 else pixels.astype(np.float32) / 1000
        cv2.imwrite(str(folder / "tiff" / file), numbers)
    layouts.write_dog_breed(folder / "jpeg")
    return folder


@pytest.fixture(scope="module")
def named(plugin_python: str, place: Path) -> tuple[Path, dict[str, str]]:
    """Run the 16-bit competition with a recipe that names all plugins; return its folder and who answered."""
    done = run(plugin_python, place, "./colours.py", "tiff", "--stages", "4", *settings([*TINY, *NAMED]))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (place / "submissions" / "colours").iterdir()
    return folder, json.loads((folder / "run.json").read_text())["answered"]


def test_each_is_listed_under_its_own_name_and_version(plugin_python: str, tmp_path: Path) -> None:
    listed = json.loads(command(plugin_python, "plugins", "--json", cwd=tmp_path).stdout)
    found = {each["name"]: (each["distribution"], each["version"]) for each in listed if each["kind"] == "shared"}
    assert {name: found[name] for name in LISTED} == LISTED
    assert {each["status"] for each in listed} == {"ok"}


@pytest.mark.parametrize(
    ("hook", "plugin"),
    [
        ("model", "strip-net"),
        ("layer_groups", "strip-net"),
        ("schedule", "warm-restarts"),
        ("views", "satellite"),
        ("ensemble", "median"),
        ("read_image", "tiff16"),
        ("loss", "focal"),
        ("metric", "focal"),
    ],
)
def test_each_answers_where_the_recipe_or_the_file_asks_for_it(
    named: tuple[Path, dict[str, str]], hook: str, plugin: str
) -> None:
    distribution, version = LISTED[plugin]
    assert f"{plugin} ({distribution} {version})" in named[1][f"kagglekit_{hook}"]


def test_the_watcher_wrote_a_line_an_epoch_and_the_scores(named: tuple[Path, dict[str, str]]) -> None:
    folder, _ = named
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    assert len(lines) == len((folder / "log.csv").read_text().splitlines())  # a heading there, the scores here
    assert "valid_top_2" in lines[-1]


def test_the_schedule_has_its_warm_up_from_the_options_and_its_own_cycle_ends(
    named: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = named
    last = json.loads((folder / "recipe.json").read_text())["stages"][-1]
    with (folder / "log.csv").open() as file:
        rates = [float(row["lr"]) / last["lr"] for row in csv.DictReader(file)]
    # 9 steps in cycles of 3 and 6; the warm-up is 2 of them, and the second cycle begins at half the rate
    assert rates == pytest.approx([_cosine(2, 3), 0.5 * _cosine(2, 6), 0.5 * _cosine(5, 6)], rel=1e-3)
    assert {path.name for path in (folder / "snapshots").glob(f"{last['name']}-cycle*")} == {
        f"{last['name']}-cycle1.safetensors",
        f"{last['name']}-cycle2.safetensors",
    }


def test_merely_installed_they_answer_nothing(
    plugin_site: Path, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(plugin_site))
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    plain = dict(setting.split("=") for setting in [*TINY, "arch=test_efficientnet.r160_in1k"])
    done = kagglekit.run("dog-breed", data=place / "jpeg", out=tmp_path, settings=plain, preset="quick", stages="4")
    folder, answered = done.folder, done.info().answered
    assert set(LISTED) <= {plugin.name for plugin in load("dog-breed").plugins}
    assert answered.keys() >= {"kagglekit_model", "kagglekit_schedule", "kagglekit_read_image"}
    assert not [who for hook, who in answered.items() if hook != "kagglekit_provides" and "(kagglekit-" in who]
    assert not (folder / "epochs.jsonl").exists()


@pytest.mark.parametrize(
    ("plugin", "setting", "said"),
    [
        ("warm-restarts", "stage.4.schedule=warm-restarts", "unknown schedule 'warm-restarts'"),
        ("satellite", "stage.4.views=satellite", "unknown views 'satellite'"),
        ("median", "ensemble=median", "unknown ensemble 'median'"),
        ("focal", "loss=focal", "unknown loss 'focal'"),
        ("jsonl", "options.jsonl=epochs.jsonl", "unknown option 'jsonl'"),
    ],
)
def test_switched_off_its_names_are_unknown(
    plugin_python: str, tmp_path: Path, plugin: str, setting: str, said: str
) -> None:
    asked = ["recipe", "dog-breed", "--preset", "quick", "--set", setting]
    assert command(plugin_python, *asked, cwd=tmp_path).returncode == 0
    refused = command(plugin_python, *asked, "--disable", plugin, cwd=tmp_path)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_switched_off_the_network_and_the_reader_are_not_asked(plugin_python: str, place: Path) -> None:
    code = """if 1:
        import sys
        from kagglekit.hooks.calls import Hooks
        from kagglekit.hooks.manager import load
        loaded = load("./colours.py", disable=sys.argv[1:])
        print([each.plugin_name for each in loaded.manager.hook.kagglekit_model.get_hookimpls()])
        print(Hooks(loaded).reader())
    """
    for off, there in (([], True), (["strip-net", "tiff16"], False)):
        asked = subprocess.run([plugin_python, "-c", code, *off], cwd=place, capture_output=True, text=True, check=True)
        assert ("strip-net (kagglekit-strip-net 0.3.0)" in asked.stdout) == there
        assert ("tiff16 (kagglekit-tiff16 1.0.4)" in asked.stdout) == there


def test_without_the_reader_the_numbers_are_not_stretched(place: Path) -> None:
    hooks = Hooks(load(str(place / "colours.py")))
    floating = hooks.read_image(place / "tiff" / "train" / "a" / "0.tif", 32)
    assert 55 <= floating.max() <= 60
