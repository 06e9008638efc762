"""`kagglekit new --slug`, asked of the local server that plays Kaggle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner, Result
from kaggle_server import KaggleServer
from kaggle_session import become_customer, check_nothing_leaked

from kagglekit.authoring.detect.file_list import guess_layout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.cli import cli
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load


@pytest.fixture(scope="module")
def server() -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: KaggleServer) -> Path:
    become_customer(monkeypatch, server, tmp_path)
    monkeypatch.chdir(tmp_path)
    server.heal()
    layouts.write_dog_breed(tmp_path / "kaggles")
    server.add_competition("leaf-cup", tmp_path / "kaggles", title="The Leaf “Cup”", metric="Multiclass Loss")
    return tmp_path


def new(here: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(cli, ["new", *arguments])
    check_nothing_leaked(here, done.output)
    return done


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("Multiclass Loss", "log_loss"),
        ("LogLoss", "log_loss"),
        ("Categorization Accuracy", "accuracy"),
        ("Area Under Receiver Operating Characteristic Curve (AUC)", "roc_auc"),
        ("Macro F1 Score", "macro_f1"),
        ("Quadratic Weighted Kappa", "quadratic_kappa"),
    ],
)
def test_title_and_metric_come_from_kaggle(here: Path, server: KaggleServer, said: str, ours: str) -> None:
    server.add_competition("leaf-cup", here / "kaggles", title="The Leaf “Cup”", metric=said)
    assert new(here, "leaves", "--slug", "leaf-cup").exit_code == 0
    facts = Hooks(load("./leaves.py")).competition()
    assert (facts.title, facts.slug, facts.metric) == ("The Leaf “Cup”", "leaf-cup", ours)


def test_a_metric_that_no_plugin_computes_is_marked_to_be_checked(here: Path, server: KaggleServer) -> None:
    server.add_competition("leaf-cup", here / "kaggles", metric="Dice Coefficient")
    assert new(here, "leaves", "--slug", "leaf-cup").exit_code == 0
    text = " ".join(line.strip(" #") for line in (here / "leaves.py").read_text().splitlines())
    assert "CHECK: on Kaggle: Dice Coefficient, which no plugin computes: it compares regions of an image" in text
    assert 'metric="accuracy"' in text


def test_without_data_the_labels_are_guessed_from_the_names_of_kaggles_files(here: Path) -> None:
    done = new(here, "leaves", "--slug", "leaf-cup")
    assert "Kaggle: The Leaf “Cup”, metric Multiclass Loss; 44 files, " in done.output
    assert "  kagglekit new leaves --slug leaf-cup --download --force" in done.output
    text = (here / "leaves.py").read_text()
    assert "CHECK: nothing was downloaded" in text
    assert "CHECK: the columns of labels.csv are unknown" in text
    assert 'data / "labels.csv",' in text
    assert 'images=data / "train",' in text
    assert 'suffix=".jpg",' in text
    assert not (here / "data").exists()


def test_download_fetches_the_data_and_looks_at_them(here: Path, server: KaggleServer) -> None:
    done = new(here, "leaves", "--slug", "leaf-cup", "--download")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-3:] == [
        "  kagglekit look ./leaves.py",
        "  kagglekit check ./leaves.py",
        "  kagglekit run ./leaves.py",
    ]
    hooks = Hooks(load("./leaves.py"))
    table, _ = check_table(hooks.labels(here / "data" / "leaves"), here / "data" / "leaves")
    assert table["split"].value_counts().to_dict() == {"train": 32, "test": 10}
    fetched = server.count("DownloadDataFiles")
    again = new(here, "leaves", "--slug", "leaf-cup", "--download", "--force")
    assert "using the data in" in again.output
    assert "replaced leaves.py" in again.output
    assert server.count("DownloadDataFiles") == fetched


def test_a_typing_mistake_in_the_slug_is_one_message_and_leaves_no_file(here: Path) -> None:
    done = new(here, "leaves", "--slug", "laef-cup")
    assert done.exit_code == 1
    assert "there is no competition 'laef-cup' on Kaggle, or this account has no access to it" in done.output
    assert not (here / "leaves.py").exists()


def test_rules_that_are_not_accepted_stop_a_download_before_a_file_is_written(here: Path, server: KaggleServer) -> None:
    server.play.contests["leaf-cup"].entered = False
    done = new(here, "leaves", "--slug", "leaf-cup", "--download")
    assert done.exit_code == 1
    assert "the rules of leaf-cup are not accepted yet" in done.output
    assert not (here / "leaves.py").exists()
    assert new(here, "leaves", "--slug", "leaf-cup").exit_code == 0, "the list of files needs no rules"


def test_without_a_login_it_warns_once_and_writes_the_plugin(
    here: Path, server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_customer(monkeypatch, server, here, "none")
    done = new(here, "leaves", "--slug", "leaf-cup")
    assert done.exit_code == 0
    assert done.output.count("warning") == 1
    assert "warning: title, metric and files are not from Kaggle: no Kaggle credentials found" in done.output
    assert 'slug="leaf-cup"' in (here / "leaves.py").read_text()
    assert new(here, "other", "--slug", "leaf-cup", "--download").exit_code == 1


def test_where_kaggle_cannot_be_reached_it_warns_and_writes_the_plugin(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("kagglekit.authoring.kaggle_facts.SECONDS", 1)
    done = new(here, "leaves", "--slug", "leaf-cup")
    assert done.exit_code == 0
    assert "are not from Kaggle: Kaggle cannot be reached through the proxy" in done.output
    assert 'slug="leaf-cup"' in (here / "leaves.py").read_text()


def test_a_long_list_of_files_is_not_fetched_to_its_end(
    here: Path, server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kagglekit.kaggle.client.PAGE", 5)
    monkeypatch.setattr("kagglekit.kaggle.client.MAX_FILES", 20)
    before = server.count("ListDataFiles")
    assert "at least 20 files" in new(here, "leaves", "--slug", "leaf-cup").output
    assert server.count("ListDataFiles") - before == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--download"], "--download needs the competition's name on Kaggle"),
        (["--download", "--slug", "leaf-cup", "--from-data", "kaggles"], "cannot be combined with"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(here: Path, arguments: list[str], said: str) -> None:
    done = new(here, "leaves", *arguments)
    assert done.exit_code == 2
    assert said in done.output


CATS_AND_DOGS = [f"train/{name}.{i}.jpg" for i in range(8) for name in ("cat", "dog")]
TREES = [f"{part}/{i}.jpg" for part in ("test", "train/birch", "train/lime") for i in range(8)]


@pytest.mark.parametrize(
    ("names", "written"),
    [
        ("sample_submission.csv test.zip train.zip train_labels.csv", '"train_labels.csv", images=data / "train"'),
        ("labels.csv.zip sample_submission.csv.zip test.zip train.zip", '"labels.csv", images=data / "train"'),
        (" ".join(TREES), 'data / "train", test'),
        (" ".join(CATS_AND_DOGS), r'r"^(.+)\.\d+\."'),
        ("images/1.png images/2.png train.csv test.csv", 'images=data / "images", suffix=".png"'),
        ("data.tar", 'data / "train"'),
        ("../up/train.csv /etc/train.csv train.zip", 'data / "train", valid=data / "valid"'),  # never leaves the folder
    ],
)
def test_a_layout_is_guessed_from_names(names: str, written: str) -> None:
    text = plugin_text(Facts("leaves"), guess_layout(names.split()))
    assert written in " ".join(text.split()).replace("( ", "(")
    compile(text, "leaves.py", "exec")


@pytest.mark.parametrize(
    "address", ["https://www.kaggle.com/competitions/leaf-cup/data", "kaggle.com/c/leaf-cup", "competitions/leaf-cup"]
)
def test_an_address_as_slug_is_taken_apart(here, server, address):
    done = new(here, "leaves", "--slug", address)
    assert done.exit_code == 0, done.output
    assert "Kaggle: The Leaf “Cup”" in done.output
    assert 'slug="leaf-cup"' in (here / "leaves.py").read_text()


def test_a_slug_that_is_no_name_is_an_error_before_kaggle_is_asked(here, server):
    before = len(server.requests)
    done = new(here, "leaves", "--slug", "https://www.kaggle.com/datasets/ada/leaves")
    assert done.exit_code == 2
    assert "not the name or address of a competition" in done.output
    assert len(server.requests) == before
    assert not (here / "leaves.py").exists()
