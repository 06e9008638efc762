"""Interrupted runs that are read-only, lack files, or whose clock was set back: they resume, or report the reason."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from privileges import as_ordinary_user
from stopping import go_on, outcome, start, stopped

from kagglekit import Run, UserError
from kagglekit.workflows import single

LAST = {"asked": {"stages": "4"}}
needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes of files")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return start(data, tmp_path_factory.mktemp("whole"), **LAST)[0]


@pytest.mark.slow
def test_a_clock_set_back_by_a_day_between_stop_and_resumption_changes_nothing(
    data: Path, whole: Run, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    for file in [*run.folder.rglob("*"), *cache.rglob("*")]:  # they were written tomorrow, as the clock has it now
        os.utime(file, (time.time() + 86400,) * 2)

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=1)

    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 86400)
    monkeypatch.setattr(single, "datetime", Yesterday)
    other, said = start(data, tmp_path, **LAST)
    assert other.name < run.name
    assert f"to resume it: kagglekit resume {run.folder}" in said
    last, said = start(data, tmp_path, go_on=True, **LAST)
    assert last.folder == run.folder
    assert "3 of its steps are done" in said
    assert outcome(last) == outcome(other) == outcome(whole)
    assert float(run.info().seconds) > 0


def set_modes(folder: Path, of_folders: int, of_files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(of_folders if path.is_dir() else of_files)


@needs_modes
def test_a_read_only_run_is_refused_and_its_copy_resumes(data: Path, whole: Run, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    set_modes(run.folder, 0o555, 0o444)
    with pytest.raises(UserError) as caught:
        as_ordinary_user(lambda: go_on(run))
    assert str(caught.value) == (
        f"cannot write to the folder {run.folder}: {run.folder} is read-only\n"
        "make it writable, or copy it to another place and resume it there"
    )
    other, said = as_ordinary_user(lambda: start(data, tmp_path, **LAST))  # a new run is not kept from starting
    assert f"to resume it: kagglekit resume {run.folder}" in said
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    set_modes(copy.folder, 0o755, 0o644)
    set_modes(run.folder, 0o755, 0o644)
    as_ordinary_user(lambda: go_on(copy))
    assert outcome(copy) == outcome(other) == outcome(whole)


@needs_modes
@pytest.mark.parametrize("part", ["checkpoint", "snapshots"])
def test_a_part_of_a_run_that_became_read_only_is_named(data: Path, tmp_path: Path, part: str) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    set_modes(run.folder / part, 0o555, 0o444)
    with pytest.raises(UserError, match=rf"cannot write \S+{part}\S+: Permission denied\nmake it"):
        as_ordinary_user(lambda: go_on(run))
    set_modes(run.folder / part, 0o755, 0o644)


@needs_modes
def test_a_read_only_output_folder_is_reported_before_anything_is_computed(data: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError) as caught:
        as_ordinary_user(lambda: start(data, tmp_path / "runs", **LAST))
    tmp_path.chmod(0o755)
    assert str(caught.value).startswith(f"cannot write to the folder {tmp_path}/runs: {tmp_path} is read-only\n")
    assert not caught.value.__notes__[0]


def test_a_run_without_its_checkpoints_begins_again(data: Path, whole: Run, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    shutil.rmtree(run.checkpoints)
    go_on(run)
    assert outcome(run) == outcome(whole)


def test_a_run_without_its_snapshots_says_which_is_missing(data: Path, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    shutil.rmtree(run.folder / "snapshots")
    with pytest.raises(UserError, match=r"all-2-cycle1.safetensors"):
        go_on(run)


def test_a_run_without_its_recipe_or_its_facts_says_so(data: Path, tmp_path: Path) -> None:
    run, _ = stopped(data, tmp_path, 3, **LAST)
    run.info_file.write_text("{}")
    with pytest.raises(UserError, match=r"cannot read .*run.json: it lacks competition, plugin and status\nrestore it"):
        go_on(run)
    run.info_file.write_text("torn")
    with pytest.raises(UserError, match=r"cannot read .*run\.json: .*\nrestore it from a copy"):
        go_on(run)
    other, _ = start(data, tmp_path, go_on=True, **LAST)
    assert other.folder != run.folder
