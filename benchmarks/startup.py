"""What a user waits for: the start of the command line, a large image table, the first step of a second run.

    python benchmarks/startup.py --model resnet18 --size 128

Each command has its own process. The second run finds the store that the first one built; its clock starts
after the imports (kagglekit.workflows.single, timm, scikit-learn's regression) and ends with the first training step.
Files that it decodes are counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from network import COMPETITION, settings
from pictures import asked_for
from timing import Report, Taken, fresh_cache, interleaved, median, median_of, options, spread

from kagglekit.data.splits import split_valid
from kagglekit.data.submission import check_submission, write_submission
from kagglekit.data.table import check_table, strata_of
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.competition import Competition
from kagglekit.types.image_table import labelled_rows
from kagglekit.types.predictions import make_predictions

ROWS, CLASSES = 100_000, 10
# Runs in its own process: imports, then a clock until the first step; counts the files that are decoded.
SECOND_RUN = """
import json, sys, time
imported = time.perf_counter()
import sklearn.linear_model, timm
from kagglekit import api
from kagglekit.training import loop
from kagglekit.workflows import single
from kagglekit.hooks.calls import Hooks
from kagglekit.system.display.console import for_people

imported = time.perf_counter() - imported
asked = json.loads(sys.argv[1])
decoded, plain_read, plain_step = [], Hooks.read_image, loop.take_step

def read(self, *args):
    decoded.append(args)
    return plain_read(self, *args)

def step(*args):
    loss = plain_step(*args)
    print(json.dumps({"imports": imported, "first_step": time.perf_counter() - began, "decoded": len(decoded)}))
    sys.stdout.flush()
    raise KeyboardInterrupt

Hooks.read_image, loop.take_step = read, step
began = time.perf_counter()
try:
    api.run(display=for_people(json_output=True), **asked)
except KeyboardInterrupt:
    pass
"""


def main() -> None:
    """Measure everything, in turn."""
    asked = options(__doc__, runs=5).parse_args()
    report = Report("startup", asked)
    command = Path(sys.executable).with_name("kagglekit")
    rows = 2_000 if asked.tiny else ROWS
    with tempfile.TemporaryDirectory(dir=asked.work) as folder, fresh_cache(asked.work):
        table = image_table(Path(folder), rows)
        again = second_run(asked, Path(folder))
        again(-1)  # the first run
        contenders = {
            "kagglekit --help": partial(spoken, command, "--help"),
            "kagglekit competitions": partial(spoken, command, "competitions"),
            f"{rows:,}-row image table: checks, split, submission": partial(whole_table, table, Path(folder)),
            "second run: its first step, after the imports": again,
        }
        taken = interleaved(contenders, asked.runs)
    for (what, runs), bar in zip(taken.items(), (0.3, 1.0, 3.0, 2.0), strict=True):
        report.rows.append({"what": what, **cells(runs), "bar, at most": bar})
    last = taken["second run: its first step, after the imports"]
    report.notes.append(
        f"second run: {max(run.answer['decoded'] for run in last)} files decoded; its imports took "
        f"{median([run.answer['imports'] for run in last]):.1f} s"
    )
    report.finish()


def cells(runs: list[Taken]) -> dict[str, float | str]:
    """Return a row's seconds: by the wall clock, or as measured by the process."""
    seconds = [run.answer["first_step"] if isinstance(run.answer, dict) else run.wall for run in runs]
    return {"seconds": median(seconds), "of all runs": spread(seconds), "CPU seconds": median_of(runs, "cpu")}


def spoken(command: Path, argument: str, run: int) -> int:
    """Run the command line."""
    return subprocess.run([command, argument], stdout=subprocess.DEVNULL, check=True).returncode


def second_run(asked: argparse.Namespace, folder: Path):
    """Return a contender that runs until the first step, in its own process."""
    request = {
        "competition": COMPETITION,
        "data": str(asked_for(asked)),
        "settings": settings(asked),
        "preset": "quick",
        "device": asked.device,
        "out": str(folder / "runs"),
    }

    def start(run: int) -> dict[str, float]:
        done = subprocess.run(
            [sys.executable, "-c", SECOND_RUN, json.dumps(request)], stdout=subprocess.PIPE, text=True, check=True
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return start


def image_table(folder: Path, rows: int) -> pd.DataFrame:
    """Make an image table of `number` existing files in ten folders, a third of them for test."""
    paths = [folder / "images" / str(i % 10) / f"{i:06}.jpg" for i in range(rows)]
    for path in paths:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        path.touch()
    numbers = np.arange(rows)
    split = np.where(numbers % 3 == 0, "test", "train")
    labels = [None if part == "test" else f"class{i * 7 % CLASSES}" for i, part in zip(numbers, split, strict=True)]
    return pd.DataFrame({"id": [path.stem for path in paths], "path": paths, "label": labels, "split": split})


def whole_table(table: pd.DataFrame, folder: Path, run: int) -> float:
    """Check the table, split it, make a submission of its test images, check and write it."""
    started = time.perf_counter()
    competition, hooks = Competition(title="Large"), Hooks(load(COMPETITION))
    checked, _ = check_table(table, folder)
    task = SingleLabel.fit(labelled_rows(checked)["label"].tolist(), competition)
    checked = split_valid(checked, 0.2, 0, strata_of(checked, task))
    ids = checked.loc[checked["split"] == "test", "id"]
    chances = np.random.default_rng(0).dirichlet(np.ones(task.n_outputs), len(ids))
    predictions = make_predictions(ids, task.columns, chances)
    rows = hooks.submission(competition, predictions, None, task)
    check_submission(rows, None, predictions, competition, task)
    write_submission(rows, folder / "submission.csv")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
