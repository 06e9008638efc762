"""Mistakes are refused before torch is loaded, and before anything is downloaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import surroundings

HEAVY = ("torch", "torchvision", "timm", "sklearn", "cv2")
# Says each command line of a file in one process, and whether it was refused without the heavy libraries.
EACH = """
import json, sys
from click.testing import CliRunner
from kagglekit.cli import cli

for arguments in json.load(open(sys.argv[1])):
    done = CliRunner().invoke(cli, arguments)
    heavy = sorted(set(sys.argv[2].split()) & set(sys.modules))
    print(json.dumps([done.exit_code, done.stderr, heavy]), flush=True)
"""
RUN = ["run", "dog-breed"]
RUNS = "submissions/dog-breed/20260101-000000-"
MISTAKES: list[tuple[list[str], str]] = [
    # run, and what it shares with recipe and lr-find
    (["run", "dog-bread"], "unknown competition 'dog-bread'"),
    (["run", "./nothing.py"], "the plugin file ./nothing.py does not exist"),
    (["run", "./nothing/"], "./nothing/ does not exist"),
    (["run", "./broken.py"], "broken.py"),
    ([*RUN, "--data", "nowhere"], "the data folder nowhere does not exist"),
    ([*RUN, "--data", "plain.txt"], "is a file, not a folder"),
    ([*RUN, "--data", "images", "--sample", "nothing.csv"], "there is no sample submission nothing.csv"),
    ([*RUN, "--drop", "nothing.csv"], "nothing.csv"),
    ([*RUN, "--drop", "plain.txt"], "no column id"),
    ([*RUN, "--limit", "0"], "0 is not in the range"),
    ([*RUN, "--max-unpacked", "much"], "much"),
    ([*RUN, "--preset", "quik"], "unknown preset 'quik'"),
    ([*RUN, "--arch", "resnet18x"], "timm has no network 'resnet18x'; similar: resnet18"),
    ([*RUN, "--set", 'archs=["resnet34", "resnet_x"]'], "timm has no network 'resnet_x'"),
    ([*RUN, "--set", "weights=nothing.pt"], "no weights file nothing.pt"),
    ([*RUN, "--set", "weights=plain.txt"], "the weights file plain.txt is a text"),
    ([*RUN, "--set", "weights=plain.txt", "--set", "pretrained=false"], "has no effect with pretrained=false"),
    ([*RUN, "--set", 'archs=["resnet34"]', "--set", "weights=plain.txt"], "need 2 files of weights, not 1"),
    ([*RUN, "--set", "epochz=3"], "unknown key 'epochz'"),
    ([*RUN, "--set", "stage.9.lr=3"], "unknown stage '9'"),
    ([*RUN, "--set", "head=two"], "unknown head 'two'"),
    ([*RUN, "--set", "stage.1.views=odd"], "unknown views 'odd'"),
    ([*RUN, "--set", "stage.1.schedule=odd"], "unknown schedule 'odd'"),
    ([*RUN, "--set", "stage.1.optimizer=odd"], "unknown optimizer 'odd'"),
    ([*RUN, "--set", "loss=odd"], "unknown loss 'odd'"),
    ([*RUN, "--set", "ensemble=odd"], "unknown ensemble 'odd'"),
    ([*RUN, "--set", "decision=odd"], "unknown decision 'odd'"),
    ([*RUN, "--set", "options.odd=1"], "unknown option 'odd'"),
    ([*RUN, "--size", "4"], "4 is not in the range"),
    ([*RUN, "--epochs", "many"], "'many' is not a whole number"),
    ([*RUN, "--stages", "7-9"], "the recipe has stages 1 to"),
    ([*RUN, "--from", "nothing"], "unknown run 'nothing'"),
    ([*RUN, "--plugin", "nothing.py"], "the plugin file nothing.py does not exist"),
    ([*RUN, "--plugin", "./broken.py"], "broken.py"),
    ([*RUN, "--disable", "nothing"], "unknown plugin to disable 'nothing'"),
    ([*RUN, "--device", "tpu"], "unknown device 'tpu'"),
    ([*RUN, "--precision", "int8"], "'int8' is not one of"),
    ([*RUN, "--device", "cpu", "--precision", "fp16"], "fp16 needs a GPU"),
    ([*RUN, "--device", "cpu", "--store", "device"], "--store device: cpu has no memory of its own"),
    ([*RUN, "--store", "attic"], "'attic' is not one of"),
    ([*RUN, "--compile", "maybe"], "'maybe' is not one of"),
    ([*RUN, "--only-fold", "2"], "--only-fold and --into need cross-validation"),
    ([*RUN, "--folds", "3", "--only-fold", "4"], "the folds are 1 to 3"),
    ([*RUN, "--folds", "3", "--into", "nothing"], "unknown run 'nothing'"),
    ([*RUN, "--repeats", "2", "--resume"], "--resume cannot be combined with --repeats"),
    ([*RUN, "--full", "nothing"], "unknown run 'nothing'"),
    (["run", "--full", "latest", "--seed", "3"], "--full takes the whole recipe from a finished run"),
    (["run", "--full", "latest"], "is not finished"),
    ([*RUN, "--out", "plain.txt/runs"], "plain.txt is a file"),
    ([*RUN, "--dry-run", "--submit"], "--submit cannot be combined with --dry-run"),
    ([*RUN, "--yes"], "--message and --yes need --submit"),
    ([*RUN, "--deterministic", "--set", "stage.1.batch_size=auto"], "--deterministic cannot be combined"),
    ([*RUN, "--threads", "0"], "invalid value for '--threads': '0' is neither auto nor a number from 1"),
    (["recipe", "dog-breed", "--arch", "resnet18x"], "timm has no network 'resnet18x'"),
    (["recipe", "dog-breed", "--device", "tpu"], "unknown device 'tpu'"),
    (["lr-find", "dog-breed", "--stage", "9"], "stage 9 does not exist"),
    (["lr-find", "dog-breed", "--arch", "resnet18x"], "timm has no network 'resnet18x'"),
    # finished and other runs
    (["resume", "nothing"], "unknown run 'nothing'"),
    (["resume", "latest", "--data", "nowhere"], "the data folder nowhere does not exist"),
    (["resume", "latest", "--plugin", "nothing.py"], "nothing.py"),
    (["blend", "nothing", "latest"], "unknown run 'nothing'"),
    (["blend", "latest"], "a blend needs at least two different runs"),
    (["blend", f"{RUNS}a", f"{RUNS}b"], "is not finished"),
    (["predict", "latest"], "no images to predict"),
    (["predict", "latest", "nothere.jpg"], "there is no file or folder nothere.jpg"),
    (["predict", "nothing", "images"], "unknown run 'nothing'"),
    (["predict", "latest", "images", "--device", "tpu"], "unknown device 'tpu'"),
    (["predict", "latest", "images", "--csv", "plain.txt/p.csv"], "plain.txt is a file"),
    (["predict", "latest", "images", "--top", "0"], "0 is not in the range"),
    (["predict", "latest", "images", "--plugin", "nothing.py"], "nothing.py"),
    (["predict", "latest", "images"], "has no final weights"),
    (["predict", "latest", "--submission", "s.csv"], "--submission needs --data DIR"),
    (["predict", "latest", "--submission", "s.csv", "--data", "nowhere"], "the folder nowhere does not exist"),
    (["predict", "latest", "images", "--data", "images"], "--data and --sample need --submission"),
    (["report", "nothing"], "unknown run 'nothing'"),
    (["report", "latest", "--data", "nowhere"], "the data folder nowhere does not exist"),
    (["history", "nothing"], "is not a run or a competition"),
    (["history", "latest", "nothing"], "unknown run 'nothing'"),
    # data and plugins
    (["look", "dog-bread"], "unknown competition 'dog-bread'"),
    (["look", "dog-breed", "--data", "nowhere"], "the data folder nowhere does not exist"),
    (["look", "dog-breed", "--data", "images", "--preset", "quik"], "unknown preset 'quik'"),
    (["look", "dog-breed", "--data", "images", "--sample", "nothing.csv"], "there is no sample submission"),
    (["look", "dog-breed", "--data", "images", "--plugin", "nothing.py"], "nothing.py does not exist"),
    (["check", "dog-breed", "--data", "nowhere"], "the data folder nowhere does not exist"),
    (["new", "Leaves"], "'Leaves' is not a plugin name"),
    (["new", "leaves", "--from-data", "nowhere"], "nowhere"),
    (["download", "dog-bread"], "unknown competition 'dog-bread'"),
    (["submit", "nothing"], "nothing"),
    (["submit", "dog-breed", "nothing.csv"], "nothing.csv"),
    (["leaderboard", "dog-bread"], "unknown competition 'dog-bread'"),
    (["cache", "--yes"], "--yes needs --clear"),
    (["nothing"], "unknown command 'nothing'"),
    (["help"], "hint: kagglekit --help says what each does"),
    (["run"], "for your own images, give their folder: kagglekit run ./DIR"),
    ([*RUN, "--lr", "3e-4"], "--lr is called --set 'stage.*.lr=3e-4'; in stage 4 alone: --set stage.4.lr=3e-4"),
    ([*RUN, "--batch-size=16"], "--batch-size is called --set 'stage.*.batch_size=16'"),
    ([*RUN, "--model", "resnet18"], "--model is called --arch resnet18"),
    ([*RUN, "--scheduler", "cosine"], "--scheduler is called --set 'stage.*.schedule=sgdr'"),
    ([*RUN, "--lr", "--dry-run"], "--lr is called --set 'stage.*.lr=1e-3'"),
    ([*RUN, "--criterion", "ce"], "--criterion is called --set loss=cross-entropy"),
    (["resume", "latest", "--lr", "3"], "--lr is for kagglekit run, where it is called --set 'stage.*.lr=3'"),
    (["resume", "latest", "--epochs", "3"], "--epochs is for kagglekit run"),
    (["look", "dog-breed", "--img_size", "300"], "--img_size is called --set 'stage.*.size=300'"),
    (["look", "dog-breed", "--gpu", "0"], "--gpu is for kagglekit run, where it is called --device cuda"),
    ([*RUN, "--size", "big"], "'big' is not a whole number"),
    (["report"], "name a run; the newest is called latest: cli report latest"),
    (["resume"], "name a run; the newest is called latest: cli resume latest"),
    (["predict", "plain.txt"], "name the run first: kagglekit predict latest plain.txt"),
    (["predict", "missing.jpg"], "name the run first: kagglekit predict latest missing.jpg"),
    (["report", "./images"], "./images is not the folder of a run: it has no recipe.json"),
    ([*RUN, "--nothing"], "no such option"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images, a text, a broken plugin, and the folders of two runs that have just begun."""
    home = tmp_path_factory.mktemp("home")
    (home / "images").mkdir()
    (home / "images" / "a.jpg").write_bytes(b"")
    (home / "plain.txt").write_text("no weights\n")
    (home / "broken.py").write_text("import nothing_of_this_name\n")
    recipe = subprocess.run(
        [sys.executable, "-m", "kagglekit", "recipe", "dog-breed", "--device", "cpu", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=surroundings(home),
    ).stdout
    for name in "ab":
        folder = home / f"{RUNS}{name}"
        folder.mkdir(parents=True)
        (folder / "recipe.json").write_text(recipe)
        request = {"competition": "dog-breed", "data": str(home / "images"), "device": "cpu", "preset": "quick"}
        info = {"status": "interrupted", "competition": "dog-breed", "plugin": "dog-breed", "request": request}
        (folder / "run.json").write_text(json.dumps(info))
    return home


@pytest.fixture(scope="module")
def refusals(home: Path) -> dict[str, tuple[int, str, list[str]]]:
    """Return exit code, error and heavy libraries of each command line, all given to one process."""
    file = home / "command-lines.json"
    file.write_text(json.dumps([arguments for arguments, _ in MISTAKES]))
    done = subprocess.run(
        [sys.executable, "-c", EACH, str(file), " ".join(HEAVY)],
        cwd=home,
        env=surroundings(home),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {" ".join(arguments): line for (arguments, _), line in zip(MISTAKES, lines, strict=True)}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: " ".join(value)[:60])
def test_a_mistake_is_refused_without_torch(
    refusals: dict[str, tuple[int, str, list[str]]], arguments: list[str], message: str
) -> None:
    code, error, heavy = refusals[" ".join(arguments)]
    assert message in error
    assert code in (1, 2)
    assert "Traceback" not in error
    assert heavy == []


def test_the_mistakes_have_started_no_download(home: Path, refusals: object) -> None:
    assert not (home / "data").exists()


FIRST = """
import sys
from kagglekit.authoring.check import examination
steps = examination("shapes")
print([f"{each.check} {each.status}" for each in (next(steps), next(steps), next(steps))])
print(next(steps), "torch" in sys.modules)
"""


def test_check_yields_what_it_finds_before_torch_is_loaded(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST], cwd=home, env=surroundings(home), capture_output=True, text=True, check=True
    )
    first, then = done.stdout.splitlines()
    assert first == "['hooks ok', 'facts note', 'facts ok']"
    assert then == "loading torch and timm, building each preset's network False"


def test_timms_names_are_those_in_the_text_of_its_modules() -> None:
    import timm

    from kagglekit import timm_names

    names = timm_names()
    assert sorted(names) == sorted(timm.list_models())
    tagged = {name for name in timm.list_pretrained() if "." in name}
    found = {f"{arch}.{tag}" for arch, tags in names.items() for tag in tags}
    assert len(tagged & found) > 0.9 * len(tagged)  # timm is loaded for the others
