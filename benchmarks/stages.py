"""Each stage of a real run beside the ceiling of `limit.py`, and where its time goes.

    python benchmarks/stages.py --model resnet18 --size 128 --batch 64 --device cpu

One run of kagglekit with every kind of stage. After each run the ceiling is measured in the formats that it chose, on
synthetic tensors: a step of all layers for `full`, one of the head on a frozen body for `frozen`, forward passes for
activations and predictions.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from clocks import Spent, clocked
from limit import rate, synthetic
from network import COMPETITION, settings
from pictures import asked_for
from timing import Report, fresh_cache, interleaved, median, options

from kagglekit import api
from kagglekit.device import Format
from kagglekit.progress import for_people
from kagglekit.recipe import Recipe

Info = dict[str, Any]  # run.json
KINDS = ("decode", "wait", "copy", "compute", "validation", "saving", "rest")
CEILINGS = {"activations": "infer", "frozen": "head", "full": "train", "TTA": "infer"}


def main() -> None:
    """Run, compare, print."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of the ceiling, at least")
    asked = parser.parse_args()
    data = asked_for(asked)
    taken = interleaved({"run": lambda run: run_and_ceiling(asked, data)}, asked.runs)
    report = Report("stages", asked)
    answers = [one.answer for one in taken["run"]]
    for part in answers[0]["spent"]:
        if part in answers[0]["images"]:
            report.rows.append(row(part, answers, asked))
    report.notes.append(f"formats: {answers[0]['formats']}")
    report.notes.append(
        "seconds: medians; share: images/s while training (without validation and saving), or predicting, of the "
        "ceiling; step share: the ceiling's time for these images as a share of the time in steps, without waiting and "
        "copying"
    )
    report.more["runs"] = [{key: answer[key] for key in ("spent", "images", "ceilings")} for answer in answers]
    report.finish()


def run_and_ceiling(asked: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Make one run with an empty store, then measure the ceiling of the formats that it chose."""
    info, recipe, spent = clocked_run(asked, data, "best", **settings(asked))
    chosen = {mode: as_format(info[f"{mode}_format"]) for mode in ("train", "infer")}
    formats = f"{chosen['train']}, {chosen['infer']} ({info['formats']})"
    return {"spent": spent, "images": images(info, recipe), "formats": formats, "ceilings": ceilings(asked, chosen)}


def clocked_run(asked: argparse.Namespace, data: Path, preset: str, **wanted: object) -> tuple[Info, Recipe, Spent]:
    """Make a run with an empty store under clocks; nothing of it stays but what run.json and recipe.json say."""
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
        return run.info(), run.recipe(), clocks.spent


def ceilings(asked: argparse.Namespace, chosen: dict[str, Format]) -> dict[str, float]:
    """Measure images/s of each mode on synthetic tensors."""
    batch = synthetic(asked)
    of = {"train": chosen["train"], "head": chosen["infer"], "infer": chosen["infer"]}
    return {mode: rate(batch, mode, each, asked.seconds) for mode, each in of.items()}


def as_format(text: str) -> Format:
    """Read a format as run.json words it."""
    precision, layout = text.split()
    return Format(precision, layout == "channels_last")  # type: ignore[arg-type]


def images(info: Info, recipe: Recipe) -> dict[str, int]:
    """Count the images that went through each part of a run."""
    n = info["images"]
    snapshots = sum(stage.cycles for stage in recipe.stages if stage.snapshots) or 1
    counts = {"run": sum(n.values()), "TTA": snapshots * (1 + recipe.tta) * (n["valid"] + n["test"])}
    counts["activations"] = sum(n["train"] + n["valid"] for stage in recipe.stages if stage.precompute)
    for stage in recipe.stages:
        if not stage.precompute:
            batch = min(stage.batch_size, n["train"])
            counts[stage.name] = stage.epochs * (n["train"] // batch) * batch
    return counts


def row(part: str, answers: list[dict[str, Any]], asked: argparse.Namespace) -> dict[str, Any]:
    """Make a part's row of the table from all runs."""
    spent = {kind: median([answer["spent"][part].get(kind, 0.0) for answer in answers]) for kind in KINDS}
    n = answers[0]["images"][part]
    cells: dict[str, Any] = {"part": "store" if part == "run" else part, "images": n}
    if part == "run":
        return {**cells, "images/s": n / spent["decode"], "ceiling": "", "share": "", "step share": ""} | spent
    working = sum(spent.values()) - spent["validation"] - spent["saving"] - spent["decode"]
    ceiling = median([answer["ceilings"][CEILINGS[part]] for answer in answers])
    shares = {"share": percent(n / working / ceiling), "step share": percent(n / spent["compute"] / ceiling)}
    return {**cells, "images/s": n / working, "ceiling": ceiling, **shares} | spent


def percent(share: float) -> str:
    """Word a share."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
