"""What each step adds to the score, on the same images: a table for docs/results.md.

    python benchmarks/score_steps.py pets=DIR dog-breed=DIR --arch NAME --set weights=FILE

Two runs a competition, both with folds: `--preset features`, and the preset asked for; then a blend of both. Each
line is scored on every labelled image by models that never saw it (out of fold), and on the test images where their
labels are known:

  features baseline   a regularised linear head on frozen features, mean over the folds
  single model        the last snapshot of one fold's model, plain view; its test score is the mean over the folds
  + TTA               the same with test-time augmentation
  + snapshots         the mean over that model's snapshots
  + folds             the mean over all folds' snapshots; out of fold this is the line above, since every image has one
                      model that never saw it
  + hill climbing     snapshots weighted by hill climbing, cross-fitted
  + features ...      the same with the features baseline among the members (`kagglekit blend`)

Times are those of the whole commands; a single model's are a fold's share.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from kagglekit.run_folder import Run

Row = dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A finished command: its run, how long it took, s, and its words."""

    run: Run
    seconds: float
    command: str


def main() -> None:
    """Print a table in Markdown, and write what it was made of as JSON if asked to."""
    options = arguments()
    print("| competition | step | out of fold: log loss | accuracy | test: log loss | accuracy | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    commands = []
    for pair in options.data:
        name, _, folder = pair.partition("=")
        features = command(options, name, folder, "features", ())
        steps = command(options, name, folder, options.preset, ("--set", "ensemble=mean"))
        blend = blended(options, features, steps)
        for label, seconds, row in lines(features, steps, blend):
            print(f"| {name} | {label} | {' | '.join(cells(row))} | {seconds:.0f} |", flush=True)
        commands += [features.command, steps.command, blend.command]
    print("\n```\n" + "\n".join(commands) + "\n```")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="COMPETITION=DIR")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--arch")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--stage-set", action="append", default=[], metavar="KEY=VALUE", help="not for features")
    parser.add_argument("--out", default="submissions")
    return parser.parse_args()


def command(options: argparse.Namespace, name: str, folder: str, preset: str, more: tuple[str, ...]) -> Done:
    """Run kagglekit as a user would."""
    words = ["run", name, "--data", folder, "--preset", preset, "--folds", str(options.folds), "--out", options.out]
    words += ["--arch", options.arch] if options.arch else []
    words += ["--limit", str(options.limit)] if options.limit else []
    for setting in [*options.settings, *(options.stage_set if preset != "features" else [])]:
        words += ["--set", setting]
    return run([*words, *more, "--name", f"steps-{preset}"])


def blended(options: argparse.Namespace, *runs: Done) -> Done:
    return run(["blend", *(str(done.run.folder) for done in runs), "--ensemble", "hill-climbing", "--out", options.out])


def run(words: list[str]) -> Done:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kagglekit", *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ,
    )
    return Done(Run(Path(json.loads(done.stdout)["run"])), time.perf_counter() - began, "kagglekit " + " ".join(words))


def lines(features: Done, steps: Done, blend: Done) -> Iterator[tuple[str, float, Row]]:
    """Yield label, seconds and scores of each step."""
    info = steps.run.info()
    rows = {(row["member"], row["views"]): row for row in info["scores"]}
    last = info["members"][-1]["name"]
    folds = [steps.run.fold(number).info() for number in info["folds"]]
    one = steps.seconds / len(folds)
    yield f"features baseline, {len(folds)} folds", features.seconds, features.run.info()["scores"][-1]
    yield "single model", one, alone(rows[last, "plain"], folds, last, "plain")
    if (last, "TTA") in rows:
        yield "+ TTA", one, alone(rows[last, "TTA"], folds, last, "TTA")
    averaged = rows["ensemble", "mean"]
    yield "+ snapshots", one, alone(averaged, folds, "ensemble", "mean")
    yield f"+ {len(folds)} folds", steps.seconds, averaged
    if ("candidate", "hill-climbing") in rows:
        yield "+ hill climbing", steps.seconds, rows["candidate", "hill-climbing"]
    whole = features.seconds + steps.seconds + blend.seconds
    yield "+ features baseline, hill climbing", whole, blend.run.info()["scores"][-1]


def alone(row: Row, folds: list[Row], member: str, views: str) -> Row:
    """Return the out-of-fold scores of a member, with the test scores of one fold's model: the mean over the folds."""
    of_folds = [next(r for r in f["scores"] if (r["member"], r["views"]) == (member, views)) for f in folds]
    return {key: value for key, value in row.items() if not key.startswith("test_")} | tested(of_folds)


def tested(rows: list[Row]) -> Row:
    """Average test scores and their errors."""
    keys = [key for key in (rows[0] if rows else {}) if key.startswith("test_")]
    return {key: [mean(row[key][0] for row in rows), mean(row[key][1] for row in rows)] for key in keys}


def cells(row: Row) -> list[str]:
    keys = ("valid_log_loss", "valid_accuracy", "test_log_loss", "test_accuracy")
    return [f"{row[key][0]:.4f} ± {row[key][1]:.4f}" if key in row else "" for key in keys]


if __name__ == "__main__":
    main()
