"""Runs of a tiny network whose scores are compared."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from rich.console import Console

import kagglekit
from kagglekit import Run
from kagglekit.system.display.console import Display
from kagglekit.types.predictions import load_predictions

TINY = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.1.solver": "regression",  # a stack of heads takes twice as long as all the rest of such a run
    "stage.*.size": 32,
    "stage.*.batch_size": 8,
    "ensemble": "mean",
    "tta": 1,
    "tta_views": "flip",
}


SNAPSHOTS = {"stage.3.size": 32, "stage.4.size": 32, "tta": 0, "stage.4.cycles": 2, "stage.4.cycle_mult": 1}


def tiny_run(data: Path, out: Path, settings: dict[str, object] | None = None, **options: object) -> tuple[Run, str]:
    """Run pets' features preset with a tiny network; return the run and what it printed."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    given = {"preset": "features", "precision": "fp32", **options}
    run = kagglekit.run(
        "pets", data=data, out=out, settings={**TINY, **(settings or {})}, display=display, **given
    )  # fmt: skip
    return run, said.getvalue()


def do_again(run: Run, out: Path) -> tuple[Run, str]:
    """Run with --full."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    return kagglekit.run("", out=out, display=display, precision="fp32", full=str(run.folder)), said.getvalue()


def table(run: Run, member: str = "ensemble", split: str = "valid") -> pd.DataFrame:
    return load_predictions(run.predictions(member, split))


def quiet() -> Display:
    return Display(Console(file=io.StringIO(), width=240))
