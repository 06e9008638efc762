"""Each stage of a real run compared with the ceiling of `limit.py`, and where its time goes.

    python benchmarks/stages.py --model resnet18 --size 128 --batch 64 --device cpu [--data pets=DIR]

One run of kagglekit with every kind of stage. After each run the ceiling is measured on synthetic tensors, in all
formats: a step of all layers for `full`, one of the head on a frozen body for `frozen`, forward passes of as many
images as the run predicted at a time for activations and predictions. The last three have BatchNorm folded, as in the
run. The ceiling is that of the best format.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from clocks import KINDS, Clocks, clocked
from limit import Speed, formats, in_turn, synthetic
from network import COMPETITION, network, settings
from pictures import asked_for
from real import classes, data_options
from timing import Report, fresh_cache, interleaved, median, options

from kagglekit import api
from kagglekit.runs.info import RunInfo
from kagglekit.system.display.console import for_people
from kagglekit.types.recipe import Recipe

CEILINGS = {"activations": "infer folded", "frozen": "head folded", "full": "train", "TTA": "infer folded"}


def main() -> None:
    """Run, compare, print."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of the ceiling, at least")
    data_options(parser)
    asked = parser.parse_args()
    data = asked_for(asked)
    network(asked, len(classes(data)))  # makes missing weights, and imports what a run needs
    taken = interleaved({"run": lambda run: run_and_ceiling(asked, data)}, asked.runs)
    report = Report("stages", asked)
    answers = [one.answer for one in taken["run"]]
    report.rows += [row(part, answers) for part in answers[0]["spent"]]
    sums = {kind: sum(each[kind] for each in report.rows) for kind in ("CPU seconds", *KINDS)}
    report.rows.append({"part": "all", **sums})
    report.notes.append(f"formats: {answers[0]['formats']}")
    report.notes.append(
        "seconds: medians; CPU seconds: of the whole process during the part; share: images/s while training (without "
        "validation and saving), or predicting, of the ceiling; step share: the ceiling's time for these images as a "
        "share of the time in steps, without waiting, copying and folding"
    )
    if torch.device(asked.device).type == "cuda":
        report.notes.append("the clocks made host and device take turns: a run without them is faster (clocks.py)")
    report.more["runs"] = answers
    report.finish()


def run_and_ceiling(asked: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Make one run with an empty store, then measure the ceiling in all formats."""
    info, recipe, clocks = clocked_run(asked, data, "best", **settings(asked))
    return {
        "spent": clocks.spent,
        "cpu": clocks.cpu,
        "images": images(info, recipe),
        "formats": f"{info.train_format}, {info.infer_format} ({info.formats})",
        "ceilings": ceilings(asked, len(classes(data)), info.predict_batch),
    }


def clocked_run(asked: argparse.Namespace, data: Path, preset: str, **wanted: object) -> tuple[RunInfo, Recipe, Clocks]:
    """Make a run with an empty store under clocks; keep only the content of run.json and recipe.json."""
    with fresh_cache(asked.work) as place, clocked(torch.device(asked.device)) as clocks:
        run = api.run(
            COMPETITION,
            data=data,
            settings=wanted,
            preset=preset,
            device=asked.device,
            out=place / "runs",
            display=for_people(json_output=True),
        )
        return run.info(), run.recipe(), clocks


def ceilings(asked: argparse.Namespace, n_classes: int, predicted: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure the speed of each mode in each format on synthetic tensors; forward passes are of `predicted` images."""
    steps = synthetic(asked, n_classes)
    passes = replace(steps, images=torch.randn(predicted, *steps.images.shape[1:], device=steps.device))

    def measured(mode: str) -> dict[str, Speed]:
        batch = passes if mode.startswith("infer") else steps
        return {str(each): in_turn(batch, mode, each, asked.seconds) for each in formats(steps.device)}

    return {
        mode: {name: vars(speed) for name, speed in measured(mode).items()} for mode in sorted(set(CEILINGS.values()))
    }


def images(info: RunInfo, recipe: Recipe) -> dict[str, int]:
    """Count the images that went through each part of a run."""
    n = info.images
    snapshots = sum(stage.cycles for stage in recipe.stages if stage.snapshots) or 1
    counts = {"run": sum(n.values()), "TTA": snapshots * (1 + recipe.tta) * (n["valid"] + n["test"])}
    counts["activations"] = sum(n["train"] + n["valid"] for stage in recipe.stages if stage.precompute)
    for stage in recipe.stages:
        if not stage.precompute:
            batch = min(stage.batch_size, n["train"])
            counts[stage.name] = stage.epochs * (n["train"] // batch) * batch
    return counts


def row(part: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a part's row of the table from all runs; stages without images have no speed."""
    spent = {kind: median([answer["spent"][part].get(kind, 0.0) for answer in answers]) for kind in KINDS}
    n = answers[0]["images"].get(part)
    cells: dict[str, Any] = {"part": "store, and around the stages" if part == "run" else part, "images": n or ""}
    cells |= dict.fromkeys(("images/s", "ceiling", "in", "share", "step share"), "")
    if part == "run":
        cells["images/s"] = n / spent["decode"]
    elif part in CEILINGS:
        working = sum(spent.values()) - spent["validation"] - spent["saving"]
        ceiling, best = best_of(CEILINGS[part], answers)
        cells |= {"images/s": n / working, "ceiling": ceiling, "in": best, "share": percent(n / working / ceiling)}
        cells["step share"] = percent(n / spent["compute"] / ceiling)
    return cells | {"CPU seconds": median([answer["cpu"][part] for answer in answers])} | spent


def best_of(mode: str, answers: list[dict[str, Any]]) -> tuple[float, str]:
    """Return the images/s of a mode's best format, and that format."""
    rates = {
        chosen: median([answer["ceilings"][mode][chosen]["rate"] for answer in answers])
        for chosen in answers[0]["ceilings"][mode]
    }
    best = max(rates, key=rates.__getitem__)
    return rates[best], best


def percent(share: float) -> str:
    """Format a share."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
