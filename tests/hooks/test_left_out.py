"""Plugins that a run left out with --disable stay out of whatever is done with the run later."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plugin_site import Site
from rich.console import Console

import kagglekit
from kagglekit import Run, UserError
from kagglekit.planning.request import Request
from kagglekit.prediction.test_folder import submit_test_folder
from kagglekit.report.thumbnails import thumbnails
from kagglekit.runs.info import Record
from kagglekit.system.display.console import Display
from kagglekit.workflows.blend import BlendRequest, blend
from kagglekit.workflows.full_data import full_request

BLIND = """
import numpy as np
@hookimpl
def kagglekit_read_image(path, size):
    return np.zeros((size, size, 3), np.uint8)
@hookimpl
def kagglekit_ensemble(members, labels, recipe):
    raise UserError("the blind one combines nothing")
@hookimpl
def kagglekit_submission(competition, predictions, sample):
    raise UserError("the blind one writes nothing")
"""


@pytest.fixture
def blind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a shared plugin that shows every picture black, combines no members and writes no CSV."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    site = Site(folder)
    site.install("dark", shared={"blind": BLIND})
    yield
    site.forget()


def copied(run: Run, folder: Path, *disable: str) -> Run:
    """Copy a run as if it had left out these plugins."""
    copy = Run(Path(shutil.copytree(run.folder, folder)))
    Record.of(copy.info_file).update(request={**dict(copy.info().request), "disable": disable})
    return copy


def quiet() -> Display:
    return Display(Console(file=io.StringIO(), width=240))


@pytest.mark.usefixtures("blind")
def test_new_images_are_read_as_the_run_read_its_own(dogs, tmp_path):
    files = sorted((dogs.data / "test").glob("*.jpg"))[:3]
    own = pd.read_csv(dogs.run.submission, index_col=0)
    left_out, used = copied(dogs.run, tmp_path / "a", "blind"), copied(dogs.run, tmp_path / "b")
    with pytest.raises(UserError, match="the blind one combines nothing"):  # the plugin is there, and asked
        kagglekit.predict(used, files, device="cpu")
    seen = kagglekit.predict(left_out, files, device="cpu")
    assert not (seen.to_numpy() == seen.to_numpy()[0]).all()
    submit_test_folder(left_out, dogs.data, tmp_path / "s.csv", "cpu", quiet())
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "s.csv", index_col=0), own, atol=1e-5)
    with pytest.raises(UserError, match="the blind one combines nothing"):
        submit_test_folder(used, dogs.data, tmp_path / "t.csv", "cpu", quiet())


@pytest.mark.usefixtures("blind")
def test_the_report_shows_pictures_as_the_run_read_them(dogs, tmp_path):
    left_out, used = copied(dogs.run, tmp_path / "a", "blind"), copied(dogs.run, tmp_path / "b")
    image = dogs.run.valid()[0]["id"]
    real, black = (thumbnails(run, run.info(), dogs.data).pictures([image])[0] for run in (left_out, used))
    assert real.startswith("data:image/webp")
    assert real != black


@pytest.mark.usefixtures("blind")
def test_a_blend_leaves_out_what_its_first_run_left_out_and_so_does_who_predicts_with_it(dogs, tmp_path):
    first = copied(dogs.run, tmp_path / "dog-breed" / "a", "blind")
    second = copied(dogs.run, tmp_path / "dog-breed" / "b", "blind")
    made = blend(BlendRequest([str(first.folder), str(second.folder)], "mean", data=dogs.data, out=tmp_path), quiet())
    assert made.info().disabled == ("blind",)
    files = sorted((dogs.data / "test").glob("*.jpg"))[:3]
    found = kagglekit.predict(made, files, device="cpu")
    assert np.isfinite(found.to_numpy()).all()
    assert not (found.to_numpy() == found.to_numpy()[0]).all()


@pytest.mark.usefixtures("blind")
def test_the_same_on_all_images_leaves_out_the_same_plugins_and_bad_images(dogs, tmp_path):
    run = copied(dogs.run, tmp_path / "a", "blind")
    Record.of(run.info_file).update(request={**dict(run.info().request), "skip_bad_images": True})
    again = full_request(Request("", full=str(run.folder), disable=("tensorboard", "blind")))
    assert again.disable == ("blind", "tensorboard")
    assert again.skip_bad_images
    assert not full_request(Request("", full=str(dogs.run.folder))).skip_bad_images


def test_what_was_left_out_and_is_not_installed_here_is_no_problem(dogs, tmp_path):
    run = copied(dogs.run, tmp_path / "a", "gone")
    files = sorted((dogs.data / "test").glob("*.jpg"))[:2]
    assert kagglekit.predict(run, files, device="cpu").equals(kagglekit.predict(dogs.run, files, device="cpu"))
