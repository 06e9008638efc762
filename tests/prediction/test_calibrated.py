"""A single member that is far too sure is calibrated, in the run's tables and for new images alike."""

from __future__ import annotations

import numpy as np
from tiny_runs import tiny_run

import kagglekit
from kagglekit.types.predictions import load_predictions


def test_auto_calibrates_a_single_member_and_new_images_are_predicted_likewise(dogs, tmp_path):
    settings = {"stage__4__lr": 3.0, "stage__4__cycles": 1, "tta": 0, "ensemble": "auto", "finish": "plain"}
    run, said = tiny_run("dog-breed", dogs.data, tmp_path, **settings)
    (member,) = run.info().members
    alone, table = (load_predictions(run.predictions(name, "test")) for name in (member.name, "ensemble"))
    assert run.info().fitted["chosen"] == "temperature"
    assert "ensemble auto: temperature, by valid loss: " in said
    assert not np.allclose(alone, table, atol=0.1)
    files = [dogs.data / "test" / f"{image}.jpg" for image in table.index]
    found = kagglekit.predict(run, files).set_axis(table.index)
    np.testing.assert_allclose(found[table.columns], table, atol=1e-3)
