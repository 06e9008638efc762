"""Whole runs of a tiny network on tiny images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

import kagglekit
from kagglekit import Run
from kagglekit.system.display.console import Display

TINY = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.1.solver": "regression",  # a stack of heads takes as long as all the rest of such a run
    "stage.*.size": 32,
    "stage.4.size": 48,
    "stage.3.freeze_to": 0,
    "stage.4.freeze_to": 0,
    "stage.4.cycles": 2,
    "stage.4.cycle_mult": 1,
    "tta": 2,
    "ensemble": "mean",
}


# Options of a command that trains a head alone, in a second.
TINY_COMMAND = ["--preset", "quick", "--arch", "test_resnet", "--size", "32", "--stages", "1", "--precision", "fp32"]
TINY_COMMAND += ["--device", "cpu", "--set", "pretrained=false", "--set", "stage.1.solver=regression"]
TINY_COMMAND += ["--set", "tta=0", "--set", "stage.*.batch_size=8"]


def tiny_run(
    name: str,
    data: Path,
    out: Path,
    no_submission: bool = False,
    options: dict[str, Any] | None = None,
    **settings: object,
) -> tuple[Run, str]:
    """Run a competition's quick preset with a tiny network and `options`; return the run and what it printed."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    wanted = {**TINY, **{key.replace("__", "."): value for key, value in settings.items()}}
    fixed = {"preset": "quick", "precision": "fp32", "no_submission": no_submission, **(options or {})}
    run = kagglekit.run(name, data=data, out=out, settings=wanted, display=display, **fixed)
    return run, said.getvalue()
