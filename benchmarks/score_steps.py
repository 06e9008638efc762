"""The gain of each step in score, on the same images: a table for docs/results.md.

    python benchmarks/score_steps.py pets=DIR dog-breed=DIR --arch NAME --set weights=FILE --out DIR

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

After ± is the standard error over images. A gain is how far the line's log loss is below that of the line before (for
the single model: of the features baseline), with the standard error of the difference, image by image.

Seconds are of the whole commands that a line needs, from process start to end; those of the lines of one model are of
one fold's training, with the predictions of all its snapshots (mean over folds; the first decodes the images for all).

OUT/score_steps.json keeps what has finished: repeated, the command continues with the rest. An interrupted command
starts over, so that its seconds are right.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.planning.make import image_table
from kagglekit.runs.folder import Run
from kagglekit.types.predictions import average, load_predictions, truth_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Losses = NDArray[np.float64]  # (2, N): of each image its log loss, nats, and whether it is predicted correctly

SMALLEST = 1e-15
HEADS = ("competition", "step", "out of fold: log loss", "gain", "accuracy", "test: log loss", "gain", "accuracy", "s")


@dataclass(frozen=True)
class Done:
    """A finished command: its run, how long it took, s, and its options."""

    run: Run
    seconds: float
    command: str


@dataclass(frozen=True)
class Step:
    """A line of the table.

    Attributes:
        label: Name of the step.
        seconds: Its cost.
        valid: Losses out of fold.
        test: Losses on the test images; None where their labels are unknown.
    """

    label: str
    seconds: float
    valid: Losses
    test: Losses | None


def main(words: Sequence[str] | None = None) -> None:
    """Print a table in Markdown, each competition's lines when they are ready, and the commands below it."""
    options = arguments(words)
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    commands = []
    for pair in options.data:
        name, _, folder = pair.partition("=")
        features = finished(options, f"{name} features", run_words(options, name, folder, "features"))
        steps = finished(options, f"{name} {options.preset}", run_words(options, name, folder, options.preset))
        blend = finished(options, f"{name} blend", blend_words(options, features, steps))
        print("\n".join(rows(name, list(lines(features, steps, blend, Path(folder))))), flush=True)
        commands += [features.command, steps.command, blend.command]
    print("\n```\n" + "\n".join(commands) + "\n```")


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="COMPETITION=DIR")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--arch")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--stage-set", action="append", default=[], metavar="KEY=VALUE", help="not for features")
    parser.add_argument("--out", default="submissions", help="folder of the runs and of score_steps.json")
    return parser.parse_args(words)


def run_words(options: argparse.Namespace, name: str, folder: str, preset: str) -> list[str]:
    words = ["run", name, "--data", folder, "--preset", preset, "--folds", str(options.folds), "--out", options.out]
    words += ["--set", "stage.1.solver=regression", "--set", "finish=plain", "--set", "ensemble=mean"]
    words += ["--arch", options.arch] if options.arch else []
    words += ["--limit", str(options.limit)] if options.limit else []
    for setting in [*options.settings, *(options.stage_set if preset != "features" else [])]:
        words += ["--set", setting]
    return [*words, "--set", "ensemble=hill-climbing", "--name", f"steps-{preset}"]


def blend_words(options: argparse.Namespace, *runs: Done) -> list[str]:
    return ["blend", *(str(done.run.folder) for done in runs), "--ensemble", "hill-climbing", "--out", options.out]


def finished(options: argparse.Namespace, key: str, words: list[str]) -> Done:
    """Run a command, unless the same one has finished before."""
    file, command = Path(options.out) / "score_steps.json", "kagglekit " + " ".join(words)
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    entry = known.get(key, {})
    if entry.get("command") != command or not Path(entry["run"]).exists():
        began = time.perf_counter()
        run = json.loads(answer(words))["run"]
        entry = {"command": command, "run": run, "seconds": round(time.perf_counter() - began, 1)}
        file.write_text(json.dumps({**known, key: entry}, indent=1) + "\n")
    return Done(Run(Path(entry["run"])), entry["seconds"], command)


def answer(words: list[str]) -> str:
    """Run kagglekit as a user would, and return what it prints as JSON."""
    command = [sys.executable, "-m", "kagglekit", *words, "--json"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def lines(features: Done, steps: Done, blend: Done, data: Path) -> Iterator[Step]:
    """Yield the steps in order."""
    info = steps.run.info()
    labels = pd.Series({row["id"]: row["label"] for row in steps.run.valid()}, dtype="str")
    hooks = Hooks(load(info.plugin))
    truth = image_table(hooks, hooks.competition(), steps.run.recipe(), data.absolute())[2]
    folds = [steps.run.fold(number) for number in info.folds]
    names = [member.name for member in info.members]
    one = mean(fold.info().seconds for fold in folds)
    whole = features.seconds + steps.seconds + blend.seconds

    def ensemble(done: Done, label: str, seconds: float) -> Step:
        valid, test = (load_predictions(done.run.predictions("ensemble", split)) for split in ("valid", "test"))
        return Step(label, seconds, losses(valid, labels), test_losses([test], truth))

    def alone(label: str, tables: list[list[pd.DataFrame]]) -> Step:
        return Step(label, one, losses(pd.concat(tables[0]), labels), test_losses(tables[1], truth))

    def of_folds(members: Sequence[str], plain: bool) -> list[list[pd.DataFrame]]:
        """Return each fold's valid tables and its test tables, the mean over some members."""
        place = Run.plain_predictions if plain else Run.predictions
        return [
            [average([load_predictions(place(fold, name, split)) for name in members]) for fold in folds]
            for split in ("valid", "test")
        ]

    snapshots = of_folds(names, plain=False)
    yield ensemble(features, f"features baseline, {len(folds)} folds", features.seconds)
    yield alone("single model", of_folds(names[-1:], plain=True))
    yield alone("+ TTA", of_folds(names[-1:], plain=False))
    yield alone(f"+ {len(names)} snapshots", snapshots)
    joined = test_losses([average(snapshots[1])], truth)
    yield Step(f"+ {len(folds)} folds", steps.seconds, losses(pd.concat(snapshots[0]), labels), joined)
    yield ensemble(steps, "+ hill climbing", steps.seconds)
    yield ensemble(blend, "+ features baseline, hill climbing", whole)


def losses(table: pd.DataFrame, labels: pd.Series[str]) -> Losses:
    """Return the losses of predictions, image by image, in the order of ids."""
    table = table.sort_index()
    numbers, values = truth_numbers(labels, table), table.to_numpy(np.float64)
    own = values[np.arange(len(numbers)), numbers].clip(SMALLEST)
    return np.stack([-np.log(own), values.argmax(axis=1) == numbers])


def test_losses(tables: Sequence[pd.DataFrame], truth: pd.Series[str] | None) -> Losses | None:
    """Return the mean losses of several models on the test images, image by image."""
    if truth is None or not len(tables[0]):
        return None
    return np.mean([losses(table, truth) for table in tables], axis=0)


def rows(name: str, steps: Sequence[Step]) -> Iterator[str]:
    """Format the lines of a competition."""
    for number, step in enumerate(steps):
        before = steps[number - 1] if number else None
        cells = [
            *judged(step.valid, before.valid if before else None),
            *judged(step.test, before.test if before else None),
            f"{step.seconds:.0f}",
        ]
        yield f"| {name} | {step.label} | {' | '.join(cells)} |"


def judged(own: Losses | None, before: Losses | None) -> tuple[str, str, str]:
    """Format log loss, its gain over the line before, and accuracy, each with its standard error."""
    if own is None:
        return "", "", ""
    gain = "" if before is None else with_error(before[0] - own[0], "+.4f")
    return with_error(own[0], ".4f"), gain, with_error(own[1], ".4f")


def with_error(values: Losses, form: str) -> str:
    return f"{values.mean():{form}} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


if __name__ == "__main__":
    main()
