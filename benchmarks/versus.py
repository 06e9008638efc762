"""Contenders of a whole fine-tune: which is faster without loss of quality."""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from network import COMPETITION, settings
from timing import Report, Taken, fresh_cache, interleaved, median_of, spread

from kagglekit import api
from kagglekit.system.display.console import for_people


@dataclass(frozen=True)
class Scores:
    """Scores of the test predictions with test-time augmentation."""

    log_loss: float
    accuracy: float


# glibc's thresholds after a few large blocks were freed: they grow until one of them is set.
USUAL = {"M_MMAP_MAX": (-4, 65536), "M_MMAP_THRESHOLD": (-3, 32 << 20), "M_TRIM_THRESHOLD": (-1, 64 << 20)}
USUAL |= {"M_TOP_PAD": (-2, 128 << 10)}

Contender = Callable[[int], Scores]  # given the seed


def scored(probabilities: np.ndarray, truth: Iterable[int]) -> Scores:
    """Score probabilities (N, C) of images with these class numbers."""
    labels = np.array(list(truth))
    chances = np.clip(probabilities[np.arange(len(labels)), labels].astype(float), 1e-7, 1)
    return Scores(float(-np.log(chances).mean()), float((probabilities.argmax(1) == labels).mean()))


def ours(asked: argparse.Namespace, data: Path, preset: str, keep_formats: bool = True) -> Contender:
    """Return kagglekit as a contender: from the JPEGs to the checked CSV, with an empty store each time."""

    def run(seed: int) -> Scores:
        chosen = settings(asked, seed=seed, **{"stage.full.cycle_len": asked.epochs})
        return run_of_ours(asked, COMPETITION, data, preset, chosen, keep_formats)

    return run


def run_of_ours(
    asked: argparse.Namespace,
    competition: str,
    data: Path,
    preset: str,
    chosen: Mapping[str, object],
    keep_formats: bool,
) -> Scores:
    """Run kagglekit with an empty store; `keep_formats`: it knows the probes of earlier runs."""
    with fresh_cache(asked.work, keep_formats) as place:
        done = api.run(
            competition,
            data=data,
            settings=chosen,
            preset=preset,
            device=asked.device,
            out=place / "runs",
            display=for_people(json_output=True),
        )
        scores = done.info().scores[-1]
    return Scores(scores["test_log_loss"][0], scores["test_accuracy"][0])


def compare(name: str, asked: argparse.Namespace, contenders: Mapping[str, Contender], peers: Iterable[str]) -> None:
    """Run all contenders in turn, each run with another seed; print times, scores and ratios."""
    gc.collect()
    chosen = {who: run for who, run in contenders.items() if not asked.only or who in asked.only}
    chosen |= {peer: with_usual_allocator(chosen[peer]) for peer in peers if peer in chosen}
    taken = interleaved(chosen, asked.runs)
    report = Report(name, asked)
    for who, runs in taken.items():
        report.rows.append(row(who, runs) | ratios(who, taken, [peer for peer in peers if peer in taken]))
    report.notes += [
        "log loss and accuracy of the test images with test-time augmentation, mean over the seeds +- their standard "
        "deviation; seconds: medians",
        "a ratio counts (x) where our mean log loss is not above the peer's by more than the peer's own standard "
        "deviation; else it stands in brackets",
    ]
    report.more["runs"] = {who: [vars(run) for run in runs] for who, runs in taken.items()}
    report.finish()


def with_usual_allocator(run: Contender) -> Contender:
    """Run a peer as without kagglekit in its process, which would keep freed memory (`keep_freed_memory`)."""

    def usual(seed: int) -> Scores:
        if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
            libc.malloc_trim(0)
            for parameter, value in USUAL.values():
                libc.mallopt(parameter, value)
        return run(seed)

    return usual


def row(who: str, runs: list[Taken]) -> dict[str, Any]:
    """Make a contender's cells."""
    losses, right = ([getattr(run.answer, what) for run in runs] for what in ("log_loss", "accuracy"))
    cells = {"contender": who, "seconds": median_of(runs), "of all runs": spread([run.wall for run in runs])}
    cells |= {"CPU seconds": median_of(runs, "cpu")}
    return cells | {"log loss": with_deviation(losses), "accuracy": with_deviation(right)}


def ratios(who: str, taken: Mapping[str, list[Taken]], peers: Iterable[str]) -> dict[str, str]:
    """Format how many times faster one of ours is than each peer."""
    if not who.startswith("kagglekit"):
        return {}
    cells = {}
    for peer in peers:
        ratio = f"{median_of(taken[peer]) / median_of(taken[who]):.2f}x"
        cells[f"against {peer}"] = ratio if counts(taken[who], taken[peer]) else f"({ratio})"
    return cells


def counts(own: list[Taken], peer: list[Taken]) -> bool:
    """Return whether our mean log loss is at most the peer's plus the peer's own seed-to-seed standard deviation."""
    losses, theirs = ([run.answer.log_loss for run in runs] for runs in (own, peer))
    return mean(losses) <= mean(theirs) + deviation(theirs)


def deviation(numbers: list[float]) -> float:
    """Return the standard deviation; 0 of a single number."""
    return stdev(numbers) if len(numbers) > 1 else 0.0


def with_deviation(numbers: list[float]) -> str:
    """Format a mean and the standard deviation."""
    return f"{mean(numbers):.4f} ± {deviation(numbers):.4f}"
