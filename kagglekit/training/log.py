"""The log of a run: for each epoch, its scores as a row of log.csv and as a printed line."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kagglekit.images.dataset import ImageSet
from kagglekit.report.pages.all_runs import refresh_history
from kagglekit.report.worsened import worsened
from kagglekit.runs.info import Record
from kagglekit.training.context import RunContext
from kagglekit.types.metric import title_of
from kagglekit.types.schedule import Schedule
from kagglekit.types.stage import Stage


def valid_scores(context: RunContext, predictions: NDArray[np.float32]) -> dict[str, float]:
    """Return the loss, and the competition's metric if it is another one, of predictions for the valid images.

    They are nan if there are no valid images.
    """
    truth, key = context.images.truth("valid"), score_key(context)
    found = {"valid_loss": context.loss.value(truth, predictions) if len(truth) else math.nan}
    if key not in found:
        table = context.images.table("valid")
        found[key] = context.scorer.value(truth, predictions, table) if len(truth) else math.nan
    return found


def score_key(context: RunContext) -> str:
    """Return the column of log.csv that has the competition's metric."""
    name = context.scorer.metric.name
    return "valid_loss" if name == context.loss.name else f"valid_{name}"


def log_epoch(
    context: RunContext,
    stage: Stage,
    place: tuple[int, int, int],
    *,
    lr: float,
    train_loss: float,
    scores: dict[str, float],
    seconds: float,
    images: int = 0,
    waited: float = 0.0,
) -> None:
    """Add an epoch to log.csv, print it, and notify the watchers.

    Args:
        context: The run.
        stage: Its stage.
        place: Numbers of the cycle and the epoch in the stage, from 1, and of its steps so far.
        lr: The head's rate in the last step.
        train_loss: Mean over the epoch, nats.
        scores: From `valid_scores`.
        seconds: Time the training took, s.
        images: Images trained on; 0 if they were not seen one by one.
        waited: Of the seconds, those spent waiting for images.
    """
    cycle, epoch, step = place
    row: dict[str, Any] = {"stage": stage.name, "size": stage.size, "cycle": cycle, "epoch": epoch, "step": step}
    row |= {"lr": lr, "train_loss": train_loss, **scores, "seconds": seconds}
    row |= {"images_per_s": images / seconds, "waited_s": waited}
    context.log.append(row)
    context.run.write_log(context.log)
    width = max(len(each.name) for each in context.recipe.stages)
    where, speed = f"{stage.name:{width}} epoch {epoch}/{stage.epochs}", f"{images / seconds:,.0f} images/s"
    line = epoch_line(where, train_loss, scores, speed if images else "", f"{seconds:.1f} s", context.display.width)
    context.display.report(line)
    context.hooks.epoch_end(context.run, stage, row)
    if context.ranks.is_first:
        refresh_history(context.run)


def warn_if_worse(context: RunContext) -> None:
    """Warn, once training is done, if its last stage ended with a clearly higher valid loss than an earlier epoch."""
    info, n_valid = context.record.info, len(context.images.rows("valid"))
    if worse := worsened(context.log, context.recipe.stages, n_valid, info.found_lrs):
        context.display.warn(f"{worse.what}: {worse.remedy}")


def epoch_line(where: str, train_loss: float, scores: dict[str, float], speed: str, took: str, width: int) -> str:
    """Return the line of an epoch; where the terminal is narrow without its speed, then words, then the train loss.

    Args:
        where: Stage and epoch.
        train_loss: Mean over the epoch, nats.
        scores: From `valid_scores`.
        speed: Images a second; may be empty.
        took: Duration.
        width: Columns of the terminal.
    """
    known = {key: value for key, value in scores.items() if not math.isnan(value)}
    loss, told = f"train loss {train_loss:.4f}", told_scores(scores).rstrip()
    short = [f"{_short(key)} {value:.4f}" for key, value in known.items()]
    lines = [(loss, told, speed, took), (loss, told, took), (loss.replace(" loss", ""), *short, took), (*short, took)]
    shown = ["  ".join(filter(None, (where, *parts))) for parts in lines]
    return next((line for line in shown if len(line) <= width), shown[-1])


def _short(key: str) -> str:
    """Return a score's title in few letters: a metric's name has fewer than its title, or as many."""
    return "valid" if key == "valid_loss" else min(title_of(key.removeprefix("valid_")), _name(key), key=len)


def _name(key: str) -> str:
    return key.removeprefix("valid_").replace("_", " ")


def told_scores(scores: dict[str, float]) -> str:
    """Return the scores that are known as text: ``valid loss 0.1234  ``."""
    known = {key: value for key, value in scores.items() if not math.isnan(value)}
    return "".join(f"{title_of(key)} {value:.4f}  " for key, value in known.items())


def log_steps(context: RunContext, stage: Stage, schedule: Schedule, last: int, losses: NDArray[np.float32]) -> None:
    """Add an epoch's steps to steps.csv.

    Args:
        context: The run.
        stage: Its stage.
        schedule: The stage's.
        last: Number of the epoch's last step in the stage, from 1.
        losses: (steps,) of the epoch, nats.
    """
    first = last - len(losses)
    columns = zip(range(first, last), schedule.lr[first:last], schedule.momentum[first:last], losses, strict=True)
    context.run.add_steps(
        [
            {"stage": stage.name, "step": step + 1, "lr": float(lr), "momentum": float(momentum), "loss": float(loss)}
            for step, lr, momentum, loss in columns
        ]
    )


def record_valid(context: RunContext) -> None:
    """Write valid.csv, the images of the valid predictions: the report needs their classes and files."""
    table = context.images.tables["labelled"].iloc[context.images.rows("valid")]
    base = f"{context.data}{os.sep}"
    columns = (table[name].astype("str").tolist() for name in ("id", "path", "label"))
    context.run.write_valid(
        [
            {"id": image, "file": path.removeprefix(base), "label": label}
            for image, path, label in zip(*columns, strict=True)
        ]
    )


def record_decoding(record: Record, images: ImageSet) -> None:
    """Add to run.json which images were decoded since the last call."""
    new = [replace(each, seconds=round(each.seconds, 3)) for each in images.decoded]
    images.decoded.clear()
    record.update(decoded=(*record.info.decoded, *new))


def last_score(context: RunContext) -> str:
    """Return the last epoch's score as text for the progress bar; empty before there is one."""
    key = score_key(context)
    title = "valid loss" if key == "valid_loss" else f"valid {_short(key)}"
    return f"{title} {context.log[-1][key]:.3f}" if context.log else ""
