"""The command line as a user meets it: what is printed where, messages, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner, Result
from command_line import COMMAND, begin, kagglekit

import kagglekit as package
from kagglekit import Recipe, Run
from kagglekit.cli import cli
from kagglekit.cli.main import COMMANDS
from kagglekit.cli.run import run
from kagglekit.runs.info import Record

TINY = (
    *("--arch", "test_efficientnet.r160_in1k", "--set", "pretrained=false", "--size", "32", "--set", "tta=1"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu"),
    *("--set", "stage.1.solver=regression"),
)
ARCH = TINY[1]
NAMES = ("dog-breed", "dogs-vs-cats", "flowers-102", "pets")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals and terminals")


@pytest.fixture(autouse=True, scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a folder with the data of dog-breed in ``dogs``, and things that do not fit."""
    folder = tmp_path_factory.mktemp("here")
    layouts.write_dog_breed(folder / "dogs")
    shutil.copytree(folder / "dogs", folder / "broken")
    (folder / "broken" / "labels.csv").write_bytes(b'\xff\xfe\x00garbage\n"x')
    (folder / "a-file").write_text("")
    write_other_weights(folder / "other.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KAGGLEKIT_CACHE", str(folder / "cache"))
        patch.delenv("KAGGLEKIT_DATA", raising=False)
        yield folder


def write_other_weights(path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"fc.weight": np.zeros((3, 3), np.float32)}, path)


@pytest.fixture(scope="module")
def finished(here: Path) -> tuple[Run, str]:
    """Finish a tiny run, its output no terminal; return it and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORCE_COLOR", "1")  # as many build servers set it
        result = ask("run", "dog-breed", "--data", "dogs", *TINY)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    (folder,) = (here / "submissions" / "dog-breed").iterdir()
    return Run(folder), result.stdout


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def refused(result: Result, code: int) -> str:
    """Check that a command failed with one message and no traceback; return it."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert re.fullmatch(r"(.+: loading (its plugin|its plugin and recipe|torch and timm)\n)*", result.stdout)
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text(name: str) -> None:
    result = ask(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cli {name} ")
    assert "--help" in result.stdout


def sections(text: str) -> dict[str, list[str]]:
    """Read a help text: each section's commands or options."""
    parts = re.split(r"^([A-Z][A-Za-z ]+):\n", text, flags=re.M)[1:]
    return {
        title: re.findall(r"^  (?:-\w, )?(\S+)", rows, re.M)
        for title, rows in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_help_text_groups_commands() -> None:
    found = sections(ask("--help").stdout)
    assert list(found) == ["Options", "Train", "Data", "Kaggle", "Results", "Authoring", "Machine"]
    assert [name for title in list(found)[1:] for name in found[title]] == list(COMMANDS)


def test_the_help_text_of_run_groups_its_options() -> None:
    found = sections(ask("run", "--help").stdout)
    assert list(found) == ["Data", "Recipe", "Machine", "Folds and resuming", "Side by side", "Output", "Kaggle"]
    names = [name for options in found.values() for name in options]
    assert len(names) == len(set(names)) == len(run.params)  # the argument is no option, --help is no parameter
    expected = "--data --limit --group-duplicates --sample --max-unpacked --drop --skip-bad-images"
    assert found["Data"] == expected.split()
    assert {"--folds", "--only-fold", "--into", "--resume"} < set(found["Folds and resuming"])


def test_an_option_of_two_commands_is_the_same_function() -> None:
    """Written once, in kagglekit/cli/options.py: no command module declares an option of another one by itself."""
    declared: dict[str, set[str]] = {}
    for file in (Path(package.__file__).parent / "cli").glob("*.py"):
        for name in re.findall(r"option\(\s*(?:[A-Z]+,\s*)?(?:\"-\w\", )?\"(--[\w-]+)", file.read_text()):
            declared.setdefault(name, set()).add(file.stem)
    assert len(declared) > 40
    assert {name: files for name, files in declared.items() if len(files) > 1} == {}


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"kagglekit, version {package.__version__}\n", "")


def test_without_a_command_it_shows_the_commands_and_is_a_usage_error() -> None:
    result = ask()
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(f"\n  {name} " in result.stderr for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rum"], r"unknown command 'rum': did you mean 'run'\? choose from blend, cache, "),
        (["run"], r"no competition given: .kagglekit competitions. lists them"),
        (["run", "dog-breed", "--dta", "x"], r"no such option:? '?--dta.*--data"),
        (["run", "dogbreed"], r"unknown competition 'dogbreed': did you mean 'dog-breed'\?"),
        (
            ["run", "dog-breed", "--preset", "quik"],
            r"unknown preset 'quik': did you mean 'quick'\? choose from auto, best",
        ),
        (["run", "dog-breed", "--precision", "fp8"], r"invalid value for '--precision': 'fp8' is not one of 'auto'"),
        (["run", "dog-breed", "--epochs", "0"], r"invalid value for '--epochs': 0 is not in the range"),
        (["run", "dog-breed", *TINY, "--set", "ach=x"], r"'ach=x': unknown key 'ach': did you mean 'arch'\?"),
        (
            ["run", "dog-breed", *TINY, "--set", "stage.2.size=big"],
            r"'stage.2.size=big': should be an integer",
        ),
        (
            ["run", "dog-breed", *TINY, "--set", "ensemble=men"],
            r"ensemble: unknown ensemble 'men': did you mean 'mean'\?",
        ),
        (["run", "dog-breed", *TINY, "--stages", "5-"], r"invalid --stages '5-': the recipe has stages 1 to 4"),
        (["run", "dog-breed", *TINY, "--stages", "last"], r"invalid --stages 'last': expected 3, 2-3 or 3-"),
        (["run", "dog-breed", *TINY, "--disable", "tim"], r"unknown plugin to disable 'tim': did you mean 'timm'\?"),
        (
            ["run", "dog-breed", "--data", "dogs", *TINY, "--arch", "resnet43"],
            r"no network 'resnet43'; similar: .*resnet34",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_usage_error_exits_with_2_and_says_what_is_right(arguments: list[str], words: str) -> None:
    assert re.search(words, refused(ask(*arguments), 2))


def test_a_limit_of_pixels_that_is_no_number_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", "many")
    said = refused(ask("run", "dog-breed", "--data", "dogs", *TINY, "--out", "nothing"), 2)
    assert said.startswith("error: KAGGLEKIT_MAX_PIXELS=many is not a number of pixels\nhint: for example ")
    assert not Path("nothing").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], r"the data folder nowhere does not exist\nhint: pass the folder"),
        (["--data", "a-file"], r"the data folder a-file is a file, not a folder"),
        (["--data", "broken"], r"cannot read .*broken.labels.csv"),
        (["--data", "dogs", "--device", "cuda:99"], r"no device 'cuda:99' on this machine\nhint: .*finds: .*cpu"),
        (["--data", "dogs", "--precision", "fp16"], r"fp16 needs a GPU\nhint: use --precision bf16"),
        (
            ["--data", "dogs", "--out", "a-file/runs"],
            r"cannot write to the folder .*a-file is a file\nhint: .*--out DIR",
        ),
        (
            ["--data", "dogs", "--from", "20250101"],
            r"no runs in .*dog-breed\nhint: start one: kagglekit run dog-breed",
        ),
        (["--data", "dogs", "--set", "pretrained=true", "--set", "weights=no.pt"], r"no weights file no\.pt"),
        (
            ["--data", "dogs", "--set", "pretrained=true", "--set", "weights=other.safetensors"],
            rf"other\.safetensors fills no layer of {ARCH}.*fc\.weight.*\nhint: .*--set weights=FILE",
        ),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_what_a_user_can_fix_exits_with_1_and_leaves_no_run_behind(arguments: list[str], words: str) -> None:
    empty = ["--out", "nothing"] if "--out" not in arguments else []
    assert re.search(words, refused(ask("run", "dog-breed", *TINY, *empty, *arguments), 1))
    assert not Path("nothing").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry-run"])
def test_a_cache_folder_that_cannot_be_written_is_reported_at_once(
    more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", "a-file")
    message = refused(ask("run", "dog-breed", "--data", "dogs", "--out", "nothing", *TINY, *more), 1)
    assert re.search(r"a-file is a file\nhint: set KAGGLEKIT_CACHE to a folder", message)
    assert not Path("nothing").exists()


def test_zipped_data_and_a_cache_folder_that_cannot_be_written_blame_no_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.write_dogs_vs_cats(tmp_path, per_class=3, test=2, zipped=True)
    monkeypatch.setenv("KAGGLEKIT_CACHE", "a-file")
    message = refused(ask("look", "dogs-vs-cats", "--data", str(tmp_path)), 1)
    assert "a-file is a file" in message
    assert "plugin" not in message


def test_unavailable_weights_are_reported_within_twenty_seconds(here: Path, tmp_path: Path) -> None:
    kagglekit("run", "--help", cwd=tmp_path)  # the seconds of import are not meant
    started = time.perf_counter()
    done = kagglekit("run", "dog-breed", "--data", here / "dogs", "--arch", "mobilenetv2_100", cwd=tmp_path)
    assert time.perf_counter() - started < 20
    assert done.returncode == 1
    assert "decoded" not in done.stdout
    assert re.match(r"error: cannot get the pretrained weights of mobilenetv2_100: ", done.stderr)
    assert "--set weights=FILE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "submissions").exists()


def test_away_from_a_terminal_a_run_prints_plain_lines_one_an_epoch(finished: tuple[Run, str]) -> None:
    run, said = finished
    assert [text for text in said if not (text.isprintable() or text == "\n")] == []
    epochs = re.findall(
        r"^([a-z0-9-]+) +epoch (\d+)/\d+  train loss [\d.]+  valid loss [\d.]+  .*[\d.]+ s$", said, re.M
    )
    assert epochs == [(row["stage"], row["epoch"]) for row in run.log_rows()]
    assert len(re.findall("^estimated time of the whole run: ", said, re.M)) == 1


def test_tables_are_not_cut(finished: tuple[Run, str]) -> None:
    run, said = finished
    assert "…" not in said
    for number, stage in enumerate(run.recipe().stages, 1):
        assert re.search(rf"^{number}  {stage.name} +{stage.size}[ ;]", said, re.M)
    rows = run.info().scores
    cells = r"  ".join([r"\d\.\d{4} ± \d\.\d{4}"] * (len(rows[0]) - 2))
    for row in rows:
        assert re.search(rf"^{row['member']} +{row['views']} +{cells}$", said, re.M)


def test_before_it_starts_a_run_says_what_it_will_do_and_where(finished: tuple[Run, str]) -> None:
    run, said = finished
    head = said[: said.index("decoded")]
    for line in (
        "Dog Breed Identification (Kaggle: dog-breed-identification), metric log loss",
        "images: 26 train, 6 valid, 10 test; 4 classes (affenpinscher, beagle, ",
        "device: cpu (",
        "preset: quick",
        f"recipe: {ARCH}, random weights, linear head, 3 layer groups, seed 0",
        "prediction: plain + 1 augmented view (flip); ensemble: auto",
        f"results: {Path('submissions') / 'dog-breed' / run.name}",
    ):
        assert f"\n{line}" in f"\n{head}"
    assert said.splitlines()[-1].startswith("finished in ")


@needs_posix
def test_json_goes_to_a_file_while_a_terminal_shows_bars(here: Path, tmp_path: Path) -> None:
    reader, terminal = os.openpty()
    process = begin("run", "dog-breed", "--data", here / "dogs", *TINY, "--json", cwd=tmp_path, stderr=terminal)
    os.close(terminal)
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(read_all(reader)).decode())
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, seen
    result = json.loads(out)
    run = Run(tmp_path / result["run"])
    assert result["status"] == "finished"
    assert result["scores"] == run.info().to_dict()["scores"]
    assert result["seconds"] > 0
    assert result["estimate_s"] > 0
    assert "decoded 32 labelled images" in seen
    assert re.search(r"4 all-2 .*━+.* loss \d\.\d+", seen)  # 80 columns: what does not fit is left out
    assert "144/144" in seen


def read_all(reader: int) -> Iterator[bytes]:
    """Yield what comes until the other side has closed the terminal."""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # what Linux says then; others return nothing
            part = b""
        if not part:
            os.close(reader)
            return
        yield part


@needs_posix
def test_ctrl_c_exits_with_130_and_says_where_everything_lies(here: Path, tmp_path: Path) -> None:
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    command = ("run", "dog-breed", "--data", here / "dogs", *TINY, "--epochs", 9999)
    process = begin(*command, cwd=tmp_path, **unbuffered)
    assert process.stdout is not None
    assert next((line for line in process.stdout if "epoch 2/9999" in line), None), process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "interrupted by Ctrl-C"
    (folder,) = (tmp_path / "submissions" / "dog-breed").iterdir()
    assert out.splitlines()[-2:] == [
        f"interrupted; everything finished so far is kept in {folder.relative_to(tmp_path)}",
        f"hint: to resume: kagglekit resume {folder.relative_to(tmp_path)}",
    ]
    assert Run(folder).info().status == "interrupted"
    assert Run(folder).log_rows()[0]["stage"] == "head"


def test_a_dry_run_goes_through_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "drawn.py").write_text(
        "import layouts\n"
        "from kagglekit import Competition, hookimpl, labels_from_csv\n"
        "@hookimpl\n"
        "def kagglekit_competition(): return Competition(title='Drawn')\n"
        "@hookimpl\n"
        "def kagglekit_download(competition, folder):\n"
        "    layouts.write_dog_breed(folder)\n"
        "    return folder\n"
        "@hookimpl\n"
        "def kagglekit_labels(data):\n"
        "    return labels_from_csv(data / 'labels.csv', images=data / 'train', suffix='.jpg', test=data / 'test')\n"
    )
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "home" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    result = ask("run", "../drawn.py", *TINY, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "with 10 rows, checked" in result.stdout
    assert "dry run passed" in result.stdout.splitlines()[-1]
    assert list((tmp_path / "home").iterdir()) == []
    assert list((tmp_path / "temporary").glob("kagglekit*")) == []


def test_a_dry_run_deals_the_folds_and_stops_where_the_run_would(tmp_path: Path) -> None:
    shutil.copytree("dogs", tmp_path / "rare")
    labels = tmp_path / "rare" / "labels.csv"
    lines = labels.read_text().splitlines()
    rare, usual = layouts.BREEDS[3], layouts.BREEDS[0]
    others = [line for line in lines if line.endswith(f",{rare}")][1:]
    labels.write_text("\n".join(line.replace(rare, usual) if line in others else line for line in lines) + "\n")
    run = ("run", "dog-breed", "--data", str(tmp_path / "rare"), *TINY, "--out", str(tmp_path / "out"), "--folds", "3")
    wanted = "folds need at least two images of each class; only one of: " + rare
    assert wanted in refused(ask(*run, "--dry-run"), 1)
    assert wanted in refused(ask(*run), 1)


def test_a_dry_run_tries_one_of_the_folds(tmp_path: Path) -> None:
    run = ("run", "dog-breed", "--data", "dogs", *TINY, "--out", str(tmp_path), "--folds", "3", "--dry-run")
    result = ask(*run, "--only-fold", "2", "--repeats", "2")
    assert result.exit_code == 0, result.output
    assert "dry run: 3 folds are assigned; trying fold 2" in result.stdout
    assert "dry run passed" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_on_all_images_fits_the_ensemble_to_the_finished_runs_predictions(
    finished: tuple[Run, str], tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(finished[0].folder, tmp_path / "weighted")))
    run.write_recipe(run.recipe().model_copy(update={"ensemble": "weighted"}))
    result = ask("run", "--full", str(run.folder), "--out", str(tmp_path / "out"), "--precision", "fp32", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"the ensemble's fit are those of {run.folder}" in result.stdout
    assert "dry run passed" in result.stdout
    Record.of(run.info_file).update(classes=["another", "class"])
    result = ask("run", "--full", str(run.folder), "--out", str(tmp_path / "out"), "--precision", "fp32", "--dry-run")
    assert "was trained on different classes than" in refused(result, 1)


def test_a_limited_run_takes_a_few_images_of_every_class_and_is_not_for_upload(
    finished: tuple[Run, str], tmp_path: Path
) -> None:
    few = (*TINY, "--limit", "8", "--stages", "1", "--out", str(tmp_path))
    result = ask("run", "dog-breed", "--data", "dogs", "--precision", "fp32", *few)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "dog-breed").iterdir()
    info = Run(folder).info()
    assert info.images["train"] + info.images["valid"] == 8
    assert (len(info.classes), info.images["test"]) == (4, 8)
    assert len(Run(folder).submission.read_text().splitlines()) == 1 + 8
    assert (
        "submission.csv with 8 rows, checked against sample_submission.csv (of a limited run: not for upload)"
        in result.stdout
    )


def test_one_more_cycle_says_where_it_starts_and_keeps_the_split(finished: tuple[Run, str], tmp_path: Path) -> None:
    base, _ = finished
    more = ("--from", str(base.folder), "--stages", "4", "--epochs", "1", "--out", str(tmp_path))
    result = ask("run", "dog-breed", "--data", "dogs", "--precision", "fp32", *more)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "dog-breed").iterdir()
    assert Run(folder).info().from_run == base.name
    assert f"starts from {base.folder}: its recipe and weights" in result.stdout
    assert f"recipe: {ARCH}, that run's weights, " in result.stdout
    refused = ask("run", "dog-breed", "--data", "dogs", *more, "--seed", "5")
    assert refused.exit_code == 1
    assert "trained on another split of the images: it had seed=0" in refused.output


@pytest.mark.parametrize("form", ["path", "name", "beginning", "latest"])
def test_a_run_is_named_by_path_name_unique_beginning_or_latest(form: str, finished: tuple[Run, str]) -> None:
    run, _ = finished
    text = {"path": str(run.folder), "name": run.name, "beginning": run.name[:12], "latest": "latest"}[form]
    result = ask("recipe", "dog-breed", "--from", text, "--json")
    assert result.exit_code == 0, result.output
    assert Recipe.model_validate_json(result.stdout) == run.recipe()


def test_an_unknown_run_is_reported_with_those_that_exist(finished: tuple[Run, str]) -> None:
    run, _ = finished
    message = refused(ask("run", "dog-breed", "--from", "20010101"), 1)
    assert f"unknown run '20010101': choose from {run.name}, latest" in message
    assert "no runs in" in refused(ask("run", "pets", "--from", "latest"), 1)  # it is no run of pets


def test_a_run_that_did_not_finish_is_no_start(finished: tuple[Run, str], tmp_path: Path) -> None:
    run, _ = finished
    shutil.copytree(run.folder, tmp_path / "dog-breed" / run.name, ignore=shutil.ignore_patterns("snapshots"))
    message = refused(ask("run", "dog-breed", "--data", "dogs", "--out", str(tmp_path), "--from", "latest"), 1)
    assert re.search(r"has no final weights\nhint: start from a run that finished", message)


def test_a_recipe_as_json_is_the_recipe_with_every_override() -> None:
    settings = ("--set", "stage.2.lr=0.5", "--set", "stage.*.views=none", "--seed", "7", "--size", "64", "--limit", "9")
    recipe = Recipe.model_validate_json(ask("recipe", "pets", "--preset", "quick", "--json").stdout)
    changed = Recipe.model_validate_json(ask("recipe", "pets", "--preset", "quick", "--json", *settings).stdout)
    assert (changed.seed, changed.limit, changed.stages[1].lr, changed.stages[-1].size) == (7, 9, 0.5, 64)
    assert {stage.views for stage in changed.stages} == {"none"}
    assert changed.arch == recipe.arch


def test_epochs_are_those_of_the_last_stage_that_is_run() -> None:
    result = ask("recipe", "pets", "--preset", "quick", "--stages", "2-3", "--epochs", "5")
    assert re.findall(r"^(\d)  \S+ +\d+ +(\S+) ", result.stdout, re.M) == [("2", "1"), ("3", "5")]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_that_was_not_run_claims_no_measurement(name: str) -> None:
    assert "\nmeasured: " not in ask("recipe", name, "--preset", "best").stdout
    lesson = ask("recipe", name, "--preset", "lesson").stdout
    assert re.search(r"\nsource: .*%.*not measured here", lesson, re.IGNORECASE)
    assert "\nmeasured: " not in lesson
