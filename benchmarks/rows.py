"""Time and memory of a large image table: labels.csv read, checked, split; the submission made, checked, written.

    python benchmarks/rows.py

The images are empty files, two thirds in a folder for training, the others in one for test. Nothing is decoded. Each
run has its own process; memory is the peak of its anonymous memory, less that after its imports.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from network import COMPETITION
from timing import PeakMemory, Report, anonymous_bytes, clock, elsewhere, interleaved, medians, options

from kagglekit import labels_from_csv
from kagglekit.data.sample import sample_at
from kagglekit.data.splits import split_valid
from kagglekit.data.submission import check_submission, write_submission
from kagglekit.data.table import check_table, strata_of
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.competition import Competition
from kagglekit.types.image_table import labelled_rows
from kagglekit.types.predictions import make_predictions

T = TypeVar("T")
ROWS, CLASSES = 100_000, 120


def main() -> None:
    """Measure all steps."""
    parser = options(__doc__, without=("model", "weights", "size", "batch"), runs=1)
    parser.add_argument("--here", action="store_true", help="measure in this process")
    asked = parser.parse_args()
    rows = 2_000 if asked.tiny else ROWS
    if asked.here:
        print(json.dumps(measured(asked, rows)))
        return
    taken = interleaved({"table": lambda _: elsewhere("--here")}, asked.runs)["table"]
    report = Report("rows", asked)
    for what in taken[0].answer:
        report.rows.append({"what": what, **medians([run.answer[what] for run in taken])})
    report.notes.append(f"{rows:,} images of {CLASSES} classes, {len(range(0, rows, 3)):,} of them for test")
    report.finish()


def measured(asked: argparse.Namespace, rows: int) -> dict[str, dict[str, float]]:
    """Measure step after step, each with what earlier ones left in memory."""
    asked.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, float]] = {}
    hooks, competition = Hooks(load(COMPETITION)), Competition(title="Large")
    with tempfile.TemporaryDirectory(dir=asked.work) as place:
        data = Path(place)
        write(data, rows)
        before = anonymous_bytes()

        def step(what: str, work: Callable[[], T]) -> T:
            with PeakMemory() as memory, clock() as taken:
                answer = work()
            found[what] = {"seconds": taken.wall, "CPU seconds": taken.cpu, "MB": (memory.peak - before) / 1e6}
            return answer

        csv, images = data / "labels.csv", data / "train"
        table = step("labels.csv read", lambda: labels_from_csv(csv, images=images, suffix=".jpg", test=data / "test"))
        table, _ = step("checked", lambda: check_table(table, data))
        task = SingleLabel.fit(labelled_rows(table)["label"].tolist(), competition)
        table = step("split", lambda: split_valid(table, 0.2, 0, strata_of(table, task)))
        classes, ids = task.columns, table.loc[table["split"] == "test", "id"].tolist()
        chances = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(ids)).astype(np.float32)
        sample = step("sample_submission.csv read", lambda: sample_at(data / "sample_submission.csv").rows)
        predictions = make_predictions(ids, classes, chances)
        made = step("submission made", lambda: hooks.submission(competition, predictions, sample, task))
        step("submission checked", lambda: check_submission(made, sample, predictions, competition, task))
        step("submission written", lambda: write_submission(made, data / "submission.csv"))
    return found


def write(data: Path, rows: int) -> None:
    """Write a competition of `number` empty images."""
    names = [f"class{number:03}" for number in range(CLASSES)]
    for part in ("train", "test"):
        (data / part).mkdir()
    for number in range(rows):
        (data / ("train" if number % 3 else "test") / f"{number:08x}.jpg").touch()
    labelled = [f"{number:08x},{names[number // 3 % CLASSES]}" for number in range(rows) if number % 3]
    (data / "labels.csv").write_text("\n".join(["id,breed", *labelled]) + "\n")
    even = ",".join([str(1 / CLASSES)] * CLASSES)
    asked = [f"{number:08x},{even}" for number in range(0, rows, 3)]
    (data / "sample_submission.csv").write_text("\n".join([f"id,{','.join(names)}", *asked]) + "\n")


if __name__ == "__main__":
    main()
