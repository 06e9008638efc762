"""Steps and passes compared with their ceilings: frozen stage, cached activations, test-time augmentation, formats.

    python benchmarks/steps.py --model resnet18 --size 128 --batch 64 --device cpu

- A step of the frozen stage (body in eval mode, backward ends at the head) against one that trains BatchNorm through
  the body, as fastai's frozen stage does.
- An epoch of the head on cached activations against one of the frozen stage, in real runs: the third of each, after a
  warm-up.
- One plain and four augmented views of the store's images against five forward passes over synthetic tensors.
- The precision and layout that the run's benchmark chose against the best of all, for training and inference.
- Forward passes of other numbers of images than the 64 that kagglekit predicts at a time on a CPU.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from limit import Speed, Synthetic, formats, in_turn, prepared, speed, speed_of, steady, synthetic, training_step
from network import COMPETITION, settings
from pictures import asked_for
from timing import Report, clock, cpu_seconds, fresh_cache, interleaved, median, options
from torch import nn

from kagglekit import api
from kagglekit.compute.device import BATCH, Compute, synchronise
from kagglekit.compute.forward import predict_pass
from kagglekit.compute.fuse_batchnorm import folded
from kagglekit.compute.network import data_config
from kagglekit.compute.precision import choose_formats
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.images.decode import built_store
from kagglekit.images.loader import Loader, Passes, place
from kagglekit.images.store import StoreSpec
from kagglekit.images.warp import copy_side
from kagglekit.system.display.console import for_people
from kagglekit.training import trainer
from kagglekit.types.randomness import image_keys

EPOCHS = 3


def main() -> None:
    """Measure all five."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    asked = parser.parse_args()
    report = Report("steps", asked)
    batch = synthetic(asked)
    compute = probe(asked, batch, report)
    frozen_against_batch_norm(asked, batch, compute, report)
    tta_against_passes(asked, batch, compute, report)
    batches_of_predictions(asked, batch, compute, report)
    cached_against_frozen(asked, report)
    report.notes.append("CPU s: of the whole process, for 1,000 images; where the unit is ms, for one epoch")
    report.finish()


def probe(asked: argparse.Namespace, batch: Synthetic, report: Report) -> Compute:
    """Let kagglekit choose the formats; compare them with the best of all."""
    memory = asked.work / "probe.json"
    memory.unlink(missing_ok=True)
    steps = _count_steps()
    ask = partial(choose_formats, batch.model, batch.device, "auto", asked.size, asked.batch, asked.model, memory)
    with steps, clock() as taken:
        compute = ask()
    again = ask()
    for mode, chosen in (("train", compute.train), ("infer", compute.infer)):
        turns = {str(each): partial(in_turn, batch, mode, each, asked.seconds) for each in formats(batch.device)}
        speeds = {name: speed_of(runs) for name, runs in interleaved(turns, asked.runs).items()}
        best = max(speeds, key=lambda name: speeds[name].rate)
        what = f"{mode}: chosen {chosen} against best {best}"
        add(report, what, speeds[str(chosen)], speeds[best], "at least 0.97")
    most = max(steps.counts.values())
    report.notes.append(
        f"the probe took {taken.wall:.1f} s ({taken.cpu:.1f} CPU s), at most {most} steps a variant; "
        f"asked again: {again.why}, same: {(again.train, again.infer) == (compute.train, compute.infer)}"
    )
    found = {"seconds": taken.wall, "cpu_seconds": taken.cpu, "most_steps": most}
    report.more["probe"] = {**found, "memory": json.loads(memory.read_text())}
    return compute


class _count_steps:
    """Count the benchmark steps of each format while the block runs."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def __enter__(self) -> None:
        from kagglekit.compute import precision

        self.plain = precision.train_step, precision._infer_step
        precision.train_step, precision._infer_step = (partial(self._counted, step) for step in self.plain)

    def __exit__(self, *_: object) -> None:
        from kagglekit.compute import precision

        precision.train_step, precision._infer_step = self.plain

    def _counted(self, step: Any, model: Any, images: Any, chosen: Any) -> None:
        key = step.__name__, str(chosen)
        self.counts[key] = self.counts.get(key, 0) + 1
        step(model, images, chosen)


def frozen_against_batch_norm(asked: argparse.Namespace, batch: Synthetic, compute: Compute, report: Report) -> None:
    """Compare our frozen step with one whose backward goes through the body for BatchNorm."""
    contenders = {
        "head": partial(in_turn, batch, "head folded", compute.infer, asked.seconds),
        "BatchNorm": partial(_batch_norm_speed, batch, compute, asked.seconds),
    }
    ours, theirs = (speed_of(runs) for runs in interleaved(contenders, asked.runs).values())
    add(report, "step, frozen body against BatchNorm trained in it", ours, theirs, "at least 1.6")


def _batch_norm_speed(batch: Synthetic, compute: Compute, seconds: float, run: int) -> Speed:
    """Measure steps that train head and BatchNorm layers, these in train mode."""
    chosen = compute.train
    prepared(batch, "head", chosen)
    for module in batch.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train().requires_grad_(True)
    images = batch.images.contiguous(memory_format=chosen.memory_format)
    step = training_step(batch.model, images, batch.targets, chosen)
    return steady(step, len(images), batch.device, seconds)


def tta_against_passes(asked: argparse.Namespace, batch: Synthetic, compute: Compute, report: Report) -> None:
    """Compare predictions of the stored images under 1 + 4 views with five passes over the same number of tensors."""
    hooks, files = Hooks(load(COMPETITION)), tuple(sorted(asked_for(asked).glob("*/*/*.jpg")))
    stage = hooks.recipe("quick").stages[-1].model_copy(update={"size": asked.size})
    recipe, config = hooks.recipe("quick").model_copy(update={"stages": (stage,)}), data_config(batch.model)
    with fresh_cache(asked.work):
        side = copy_side(asked.size)
        store = built_store(StoreSpec(files, files[0].parent, side, "short", hooks.reader()), hooks.read_image)
        keys, resident = image_keys([str(file) for file in files]), place(store, batch.device)
        modes = ("plain", *["tta"] * 4)
        views = [hooks.views(recipe, stage, mode, config) for mode in modes]  # type: ignore[arg-type]
        loaders = [Loader(store, view, asked.size, config, keys, batch.device, resident) for view in views]
        rows = np.arange(len(files) // BATCH * BATCH or len(files))
        stream = Passes([(loader, turn) for turn, loader in enumerate(loaders)], rows)
        quick = folded(batch.model.eval()).to(memory_format=compute.infer.memory_format)
        n_passes = len(loaders) * -(-len(rows) // BATCH)
        contenders = {
            "TTA": partial(_predict, quick, compute, stream),
            "passes": partial(_passes, batch.model, compute, asked.size, n_passes),
            "passes, BatchNorm folded": partial(_passes, quick, compute, asked.size, n_passes),
        }
        contenders["TTA"](0)
        taken = interleaved(contenders, asked.runs)
    n = len(loaders) * len(rows)
    for run in (run for runs in taken.values() for run in runs):
        run.answer = speed(n, run)
    ours, plain, quicker = (speed_of(taken[name]) for name in contenders)
    what = "TTA 1 + 4 from the store against five synthetic passes"
    add(report, what, ours, plain, "at least 0.95")
    add(report, f"{what}, BatchNorm folded there, too", ours, quicker, "none")
    add(report, "forward passes, BatchNorm folded against not", quicker, plain, "none")


def _predict(model: nn.Module, compute: Compute, stream: Passes, run: int) -> None:
    for _ in predict_pass(model, stream, stream.places, 0, compute, partial(torch.softmax, dim=1)):
        pass


@torch.no_grad()
def _passes(model: nn.Module, compute: Compute, size: int, n: int, run: int) -> None:
    device, chosen = compute.device, compute.infer
    model.eval().to(memory_format=chosen.memory_format)
    images = torch.randn(BATCH, 3, size, size, device=device).contiguous(memory_format=chosen.memory_format)
    for _ in range(n):
        with chosen.autocast(device):
            model(images)
    synchronise(device)


def batches_of_predictions(asked: argparse.Namespace, batch: Synthetic, compute: Compute, report: Report) -> None:
    """Compare forward passes of other numbers of images with those of 64."""
    contenders = {n: partial(_pass_speed, batch, compute, asked, n) for n in (16, 32, BATCH, 128, 256)}
    taken = interleaved({f"{n} images a pass": work for n, work in contenders.items()}, asked.runs)
    speeds = {n: speed_of(runs) for n, runs in zip(contenders, taken.values(), strict=True)}
    for n, found in speeds.items():
        if n != BATCH:
            what = f"forward passes of {n} images against {BATCH}, {compute.infer}"
            add(report, what, found, speeds[BATCH], "none")


def _pass_speed(batch: Synthetic, compute: Compute, asked: argparse.Namespace, n: int, run: int) -> Speed:
    images = torch.randn(n, 3, asked.size, asked.size, device=batch.device)
    return in_turn(replace(batch, images=images), "infer folded", compute.infer, asked.seconds)


def cached_against_frozen(asked: argparse.Namespace, report: Report) -> None:
    """Compare epochs of real runs: those of the head on cached activations with those of the frozen stage."""
    data = asked_for(asked)
    runs = [one.answer for one in interleaved({"run": lambda run: _epochs(asked, data)}, asked.runs)["run"]]
    (cached, cached_cpu), (frozen, frozen_cpu) = (
        [median([run[stage][k] for run in runs]) for k in range(2)] for stage in ("cached-epochs", "frozen")
    )
    cells = {"what": "epoch of the head on cached activations against one of the frozen stage"}
    cells |= {"ours": 1000 * cached, "other": 1000 * frozen, "unit": "ms", "ratio": frozen / cached}
    report.rows.append({**cells, "bar": "at least 100", "CPU s, ours": cached_cpu, "CPU s, other": frozen_cpu})


def _epochs(asked: argparse.Namespace, data: Path) -> dict[str, tuple[float, float]]:
    """Return the seconds and CPU seconds of the last epoch of each stage of a run, without validation."""
    used: dict[str, list[float]] = defaultdict(list)  # CPU seconds of each step, by stage
    plain, since = trainer._after_step, 0.0

    def after_step(work: Any, fit: Any, *more: Any) -> None:
        nonlocal since
        used[fit.stage.name].append(cpu_seconds() - since)
        plain(work, fit, *more)  # validation and checkpoints
        since = cpu_seconds()

    with fresh_cache(asked.work) as folder, patch("kagglekit.training.trainer._after_step", after_step):
        run = api.run(
            COMPETITION,
            data=data,
            settings=settings(asked, **{"stage.frozen.cycle_len": EPOCHS}),
            preset="best",
            stages="2-3",
            device=asked.device,
            out=folder / "runs",
            display=for_people(json_output=True),
        )
        seconds = {row["stage"]: float(row["seconds"]) for row in run.log_rows()}
    return {stage: (seconds[stage], sum(steps[-(len(steps) // EPOCHS) :])) for stage, steps in used.items()}


def add(report: Report, what: str, ours: Speed, other: Speed, bar: str) -> None:
    """Add a row of two speeds."""
    cells = {"what": what, "ours": ours.rate, "other": other.rate, "unit": "images/s", "ratio": ours.rate / other.rate}
    report.rows.append({**cells, "bar": bar, "CPU s, ours": ours.cpu, "CPU s, other": other.cpu})


if __name__ == "__main__":
    main()
