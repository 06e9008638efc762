"""Time and memory of a large image table: labels.csv read, checked, split; the submission made, checked, written.

    python benchmarks/rows.py

The images are empty files, two thirds of them in one folder for training, the others in one for test; nothing is
decoded. Memory is the largest anonymous one of the process, beyond what it had after its imports.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from network import COMPETITION
from timing import PeakMemory, Report, anonymous_bytes, clock, options

from kagglekit import labels_from_csv
from kagglekit.competition import Competition
from kagglekit.hooks import Hooks
from kagglekit.manager import load
from kagglekit.predictions import make_predictions
from kagglekit.submission import check_submission, read_sample, write_submission
from kagglekit.table import check_table, classes_of, split_valid

T = TypeVar("T")
ROWS, CLASSES = 100_000, 120


def main() -> None:
    """Measure step after step, each with what those before it left in memory."""
    asked = options(__doc__, runs=1).parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    report = Report("rows", asked)
    rows, hooks, competition = 2_000 if asked.tiny else ROWS, Hooks(load(COMPETITION)), Competition(title="Large")
    with tempfile.TemporaryDirectory(dir=asked.work) as place:
        data = Path(place)
        write(data, rows)
        before = anonymous_bytes()

        def step(what: str, work: Callable[[], T]) -> T:
            with PeakMemory() as memory, clock() as taken:
                answer = work()
            report.rows.append({"what": what, "seconds": taken.wall, "MB": (memory.peak - before) / 1e6})
            return answer

        csv, images = data / "labels.csv", data / "train"
        table = step("labels.csv read", lambda: labels_from_csv(csv, images=images, suffix=".jpg", test=data / "test"))
        table, _ = step("checked", lambda: check_table(table, data))
        table = step("split", lambda: split_valid(table, 0.2, 0))
        classes, ids = classes_of(table), table.loc[table["split"] == "test", "id"].tolist()
        chances = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(ids)).astype(np.float32)
        sample = step("sample_submission.csv read", lambda: read_sample(data))
        predictions = make_predictions(ids, classes, chances)
        made = step("submission made", lambda: hooks.submission(competition, predictions, sample))
        step("submission checked", lambda: check_submission(made, sample, predictions, competition))
        step("submission written", lambda: write_submission(made, data / "submission.csv"))
    report.notes.append(f"{rows:,} images of {CLASSES} classes, {len(ids):,} of them for test; once each")
    report.finish()


def write(data: Path, rows: int) -> None:
    """Write a competition of that many empty images."""
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
