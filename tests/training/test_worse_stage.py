"""A last stage that makes a network worse is reported when training ends."""

from __future__ import annotations

import re

from tiny_runs import tiny_run


def test_a_stage_that_ends_worse_than_an_earlier_one_is_a_warning_with_what_to_do(dogs, tmp_path):
    run, said = tiny_run("dog-breed", dogs.data, tmp_path, stage__4__lr=3.0, stage__4__cycles=1)
    end = float(run.log_rows()[-1]["valid_loss"])
    (warning,) = [line for line in said.splitlines() if line.startswith("warning: stage all-2 ended")]
    assert re.match(rf"warning: stage all-2 ended with valid loss {end:.4f}, where stage [\w-]+ had \d", warning)
    assert "--set stage.4.lr=0.75" in warning
    assert said.index(warning) < said.index("submission: ")
    assert "ended with valid loss" not in dogs.said
