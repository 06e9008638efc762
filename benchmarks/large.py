"""Memory and time of a training step of a large network, by what keeps its memory small.

    python benchmarks/large.py --model vit_tiny_patch16_224 --size 224 --batch 16 --device cpu

Each way takes the same steps of kagglekit's own loop in its own process: random weights, random images, AdamW, fp32.
Memory is the peak during the steps beyond that of imports, network and images before them: gradients, the optimizer's
state and activations. On a CPU it is resident anonymous memory, sampled 50 times a second; on a GPU what torch has
allocated. The losses of all steps are compared with the plain step's.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from network import untrained
from timing import PeakMemory, Report, anonymous_bytes, clock, interleaved, median, median_of, options

from kagglekit import Recipe, SingleLabel, Stage
from kagglekit.compute.device import Compute, Format, choose_device, synchronise
from kagglekit.compute.low_rank import adapters, add_adapters, attention_layers
from kagglekit.compute.network import grad_checkpointing
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.training.loop import begin, set_rates, take_step
from kagglekit.training.state import StageFit

N_CLASSES = 10
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grad_accum_steps=4": {"grad_accum_steps": 4},
    "grad_checkpointing": {"grad_checkpointing": True},
    "both": {"grad_accum_steps": 4, "grad_checkpointing": True},
    "lora=8": {"lora": 8},
    "lora=8 and both": {"lora": 8, "grad_accum_steps": 4, "grad_checkpointing": True},
}


def main() -> None:
    """Measure every way, in turn."""
    parser = options(__doc__, without=["weights"], model="vit_tiny_patch16_224", size=224, batch=16)
    parser.set_defaults(weights="")
    parser.add_argument("--steps", type=int, default=3, help="of each way and run")
    asked = parser.parse_args()
    taken = interleaved({way: lambda _, way=way: in_a_process(asked, WAYS[way]) for way in WAYS}, asked.runs)
    found = {way: [one.answer for one in runs] for way, runs in taken.items()}
    report, plain = Report("large", asked), found["plain"][0]
    for way, answers in found.items():
        memory, seconds, cpu = (median([answer[key] for answer in answers]) for key in ("bytes", "seconds", "cpu"))
        off = max(abs(a - b) for a, b in zip(answers[0]["losses"], plain["losses"], strict=True))
        report.rows.append(
            {
                "step": way,
                "trained weights": f"{answers[0]['trained']:,}",
                "MB": memory / 1e6,
                "share of plain": memory / median([answer["bytes"] for answer in found["plain"]]),
                "s a step": seconds,
                "CPU s a step": cpu,
                "losses differ by": "" if WAYS[way].get("lora") else f"{off:.1e}",
            }
        )
    report.finish()


def in_a_process(asked: argparse.Namespace, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what `steps` does in a process of its own; on a CPU it is forked, which saves the imports."""
    context = multiprocessing.get_context("fork" if asked.device == "cpu" else "spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(steps, asked, fields).result()


def steps(asked: argparse.Namespace, fields: dict[str, Any]) -> dict[str, Any]:
    """Take some steps; return peak bytes, the median seconds of all but the first step, the losses, trained weights."""
    fit = prepared(asked, Stage(name="s", size=asked.size, batch_size=asked.batch, lr=1e-4, **fields))
    state, device = begin(fit), fit.compute.device
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(asked.batch, 3, asked.size, asked.size, generator=draw).to(device)
    truth, losses, taken = np.arange(asked.batch) % N_CLASSES, [], []
    before = anonymous_bytes()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    with PeakMemory() as memory, grad_checkpointing(fit.model, fit.stage.grad_checkpointing):
        for step in range(asked.steps):
            with clock() as one:
                set_rates(fit.optimizer, state.rates, fit.schedule, step)
                state.step = step
                losses.append(float(take_step(fit, images, truth, state)))
                synchronise(device)
            taken.append(one)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.peak
    trained = sum(p.numel() for group in fit.optimizer.param_groups for p in group["params"])
    wall, cpu = median_of(taken[1:]), median_of(taken[1:], "cpu")
    return {"bytes": peak - before, "seconds": wall, "cpu": cpu, "losses": losses, "trained": trained}


def prepared(asked: argparse.Namespace, stage: Stage) -> StageFit:
    """Return what a stage of all layers, or of adapters, trains with."""
    hooks, device = Hooks(load("shapes")), choose_device(asked.device)
    recipe = Recipe(arch=asked.model, stages=(stage,))
    model = untrained(asked, N_CLASSES).to(device)
    groups = hooks.layer_groups(model, recipe)
    if stage.lora:
        add_adapters(model, attention_layers(model), stage.lora, seed=0)
        model.requires_grad_(False)
        groups = [[new for names in adapters(model).values() for new in names], groups[-1]]
    chosen = Format("fp32", channels_last=True)
    return StageFit(
        model=model.train(),
        inputs=None,  # type: ignore[arg-type]  # the steps get their images directly
        rows=np.arange(asked.batch),
        truth=np.arange(asked.batch) % N_CLASSES,
        task=SingleLabel(tuple(map(str, range(N_CLASSES)))),
        stage=stage,
        number=1,
        optimizer=hooks.optimizer(model, groups, stage, recipe),
        schedule=hooks.schedule(stage.model_copy(update={"schedule": "constant"}), asked.steps, recipe),
        loss=torch.nn.functional.cross_entropy,
        compute=Compute(device, chosen, chosen, "fixed"),
        format=chosen,
        seed=0,
    )


if __name__ == "__main__":
    main()
