from __future__ import annotations

import os
from datetime import datetime

import pytest

from kagglekit import Recipe, progressive_stages
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.runs.lookup import all_runs, create_run, find_run
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text

NOW = datetime(2026, 11, 22, 14, 10, 3)


def make(root, label="resnet18", competition="pets", now=NOW):
    run = create_run(root, competition, label, now)
    run.write_recipe(Recipe(arch="resnet18", stages=progressive_stages((64,))))
    return run


def test_a_run_has_a_folder_of_its_own(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    assert first.name == "20261122-141003-resnet18"
    assert second.name == "20261122-141003-resnet18-2"
    assert first.recipe() == second.recipe()


def test_a_label_with_odd_characters_makes_a_plain_name(tmp_path):
    assert make(tmp_path, label="my run/ü").name == "20261122-141003-my-run-"


def test_a_run_is_found_by_path_name_beginning_and_latest(tmp_path):
    early = make(tmp_path, now=datetime(2026, 1, 1))
    late = make(tmp_path, competition="shapes")
    for text in (str(late.folder), late.name, "20261122", "latest", "shapes"):
        assert find_run(text, tmp_path).folder == late.folder
    newer = make(tmp_path, now=datetime(2026, 1, 2))
    assert find_run("latest", tmp_path, "pets").folder == find_run("pets", tmp_path).folder == newer.folder
    assert find_run("20260101", tmp_path).folder == early.folder


def test_a_beginning_that_fits_several_runs_names_them(tmp_path):
    make(tmp_path), make(tmp_path)
    with pytest.raises(UserError, match=r"several runs: .*resnet18, .*resnet18-2"):
        find_run("2026", tmp_path)


def test_an_unknown_run_suggests_a_known_one(tmp_path):
    make(tmp_path)
    with pytest.raises(UserError, match="did you mean '20261122-141003-resnet18'"):
        find_run("20261122-141004-resnet18", tmp_path)
    with pytest.raises(UserError, match="no runs in"):
        find_run("latest", tmp_path / "elsewhere")


def test_a_file_in_the_way_of_runs_is_one_message(tmp_path):
    (tmp_path / "pets").write_text("")
    with pytest.raises(UserError, match="cannot create"):
        make(tmp_path)


def test_log_and_facts_are_read_back(tmp_path):
    run = make(tmp_path)
    run.write_log([{"stage": "head", "loss": 0.25}, {"stage": "all", "loss": 1 / 3}])
    assert run.log_rows() == [{"stage": "head", "loss": "0.25"}, {"stage": "all", "loss": "0.333333"}]
    Record.of(run.info_file).update(status="running", competition="pets", plugin="pets")
    Record.of(run.info_file).update(stages=[2])
    facts = {"status": "running", "competition": "pets", "plugin": "pets", "stages": [2], "schema": 1}
    assert run.info().to_dict() == facts


def test_a_file_is_whole_or_absent(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "a" / "b", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("text", ["{", '{"arch": "resnet18", "colour": 3, "stages": []}', "\x00"])
def test_a_recipe_that_cannot_be_read_is_reported(tmp_path, text):
    run = make(tmp_path)
    run.recipe_file.write_text(text)
    with pytest.raises(
        UserError, match=r"cannot read .*recipe\.json: .*\n.*damaged, or another version of kagglekit wrote it"
    ):
        run.recipe()


def test_the_latest_of_two_runs_in_one_second_is_the_one_that_began_later(tmp_path):
    for number, name in enumerate(("20261201-120000-b", "20261201-120000-a", "20261201-120001-a")):
        run = Run(tmp_path / "pets" / name)
        run.folder.mkdir(parents=True)
        run.recipe_file.write_text("{}")
        os.utime(run.recipe_file, (number, number))
    assert [run.name[-3:] for run in all_runs(tmp_path)] == ["0-b", "0-a", "1-a"]
