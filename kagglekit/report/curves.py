"""From a run's logs: curves over all steps, a verdict and the time of each stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kagglekit.types.decoded import Decoded
from kagglekit.types.stage import Stage

Row = Mapping[str, str]
RISE = 1.05  # ratio of the last to the lowest valid loss of a stage, above which it over-fits
GAP = 1.1  # ratio of training to valid loss, above which a stage under-fits

RULE = (
    f"Over-fitting: the last valid loss is more than {RISE - 1:.0%} above the stage's lowest, and the training loss "
    "fell after that epoch. A gap between the two losses alone is not over-fitting. Under-fitting: the valid loss fell "
    f"until the last epoch, whose training loss is still more than {GAP - 1:.0%} above it. Under-fitting is not judged "
    "with mixup, CutMix, label smoothing or oversampling, which change the training loss itself. A single epoch is too "
    "short for a verdict, and there is none without valid images or for a head found by regression."
)


@dataclass(frozen=True)
class Line:
    """Points of a curve; x in optimizer steps since the run began."""

    xs: list[float] = field(default_factory=list)
    ys: list[float] = field(default_factory=list)

    def add(self, x: float, y: str) -> None:
        """Add a point."""
        self.xs.append(x)
        self.ys.append(float(y))


@dataclass(frozen=True)
class Span:
    """A stage's range on the axis of steps.

    Attributes:
        name: The stage's name.
        start: Steps before it.
        end: Steps at its end; equal to `start` for a head found by regression.
        cycles: Steps at which its cycles end, without the last one.
    """

    name: str
    start: int
    end: int
    cycles: tuple[int, ...]


@dataclass(frozen=True)
class Curves:
    """All curves of a run.

    Attributes:
        spans: Its stages, in order.
        loss: Training loss of each step, nats.
        lr: Learning rate of the head.
        momentum: SGD's momentum, or beta1 of Adam-like optimizers.
        epochs: The valid scores after each epoch, by column of log.csv.
    """

    spans: list[Span]
    loss: Line
    lr: Line
    momentum: Line
    epochs: dict[str, Line]

    def known(self, key: str) -> Line:
        """Return a score's points, without the epochs that lack it."""
        line = self.epochs.get(key, Line())
        there = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if not math.isnan(y)]
        return Line([x for x, _ in there], [y for _, y in there])


@dataclass(frozen=True)
class Timing:
    """A stage's time, s.

    Attributes:
        name: The stage's name.
        total: The whole stage, without decoding.
        decode: Decoding the copies that this stage is the first to need; done before the first stage.
        decoded_per_s: Images decoded per second; 0 if none were.
        compute: Training steps, without waiting.
        wait: Waiting for images in training.
        rest: Validation after each epoch, and writing weights.
        images_per_s: Images trained per second; 0 if the stage did not train image by image.
    """

    name: str
    total: float
    decode: float
    decoded_per_s: float
    compute: float
    wait: float
    rest: float
    images_per_s: float


def curves(log: Sequence[Row], steps: Sequence[Row]) -> Curves:
    """Place the steps of all stages on one axis.

    Args:
        log: The rows of log.csv.
        steps: The rows of steps.csv.
    """
    spans = _spans(log)
    start = {span.name: span.start for span in spans}
    found = Curves(spans, Line(), Line(), Line(), {key: Line() for key in _scores(log)})
    for row in steps:
        if row["stage"] in start:
            x = start[row["stage"]] + int(row["step"])
            for name in ("loss", "lr", "momentum"):
                getattr(found, name).add(x, row[name])
    for row in log:
        for key, line in found.epochs.items():
            line.add(start[row["stage"]] + int(row["step"]), row[key])
    return found


def _scores(log: Sequence[Row]) -> list[str]:
    return [key for key in (log[0] if log else {}) if key.startswith("valid_")]


def _spans(log: Sequence[Row]) -> list[Span]:
    spans: list[Span] = []
    for name, rows in by_stage(log).items():
        start = spans[-1].end if spans else 0
        ends = [start + int(row["step"]) for row in rows]
        cycles = [
            end for end, (row, later) in zip(ends, pairwise(rows), strict=False) if row["cycle"] != later["cycle"]
        ]
        spans.append(Span(name, start, ends[-1], tuple(cycles)))
    return spans


def by_stage(log: Sequence[Row]) -> dict[str, list[Row]]:
    """Group the rows of log.csv by stage, in order."""
    groups: dict[str, list[Row]] = {}
    for row in log:
        groups.setdefault(row["stage"], []).append(row)
    return groups


def verdict(rows: Sequence[Row], stage: Stage, *, one_unit: bool = True) -> str:
    """Judge a stage by `RULE`: ``over-fitting``, ``under-fitting``, ``fitting``, or why there is no verdict.

    A stage without gradient steps, whose head was found by regression, has none at all: an empty text.

    Args:
        rows: The stage's rows of log.csv.
        stage: Its settings.
        one_unit: Training and valid loss are the same quantity, so that they can be compared.
    """
    if int(rows[-1]["step"]) == 0:
        return ""
    train, valid = ([float(row[key]) for row in rows] for key in ("train_loss", "valid_loss"))
    if any(math.isnan(value) for value in valid):
        return "no valid images"
    if len(rows) < 2:
        return "too short"
    best = valid.index(min(valid))
    if valid[-1] > RISE * valid[best] and train[-1] < train[best]:
        return "over-fitting"
    comparable = one_unit and not (stage.mixup or stage.cutmix or stage.label_smoothing or stage.oversample)
    if comparable and best == len(valid) - 1 and train[-1] > GAP * valid[-1]:
        return "under-fitting"
    return "fitting"


def timings(log: Sequence[Row], totals: Mapping[str, float], decoded: Sequence[Decoded]) -> list[Timing]:
    """Break down each stage's time.

    Args:
        log: The rows of log.csv.
        totals: Seconds of each stage, from run.json.
        decoded: The decoded copies, from run.json.
    """
    return [_timing(name, rows, totals.get(name), decoding(decoded, name)) for name, rows in by_stage(log).items()]


def decoding(decoded: Sequence[Decoded], stage: str) -> tuple[float, float]:
    """Return seconds and images per second of decoding for a stage; for the predictions if `stage` is empty."""
    own = [each for each in decoded if each.stage == stage]
    seconds = sum(each.seconds for each in own)
    return seconds, sum(each.n for each in own) / seconds if seconds else 0.0


def _timing(name: str, rows: Sequence[Row], total: float | None, decode: tuple[float, float]) -> Timing:
    seconds = [float(row["seconds"]) for row in rows]
    train, wait = sum(seconds), sum(float(row["waited_s"]) for row in rows)
    images = sum(float(row["images_per_s"]) * second for row, second in zip(rows, seconds, strict=True))
    whole = train if total is None else max(total, train)
    speed = images / train if train else 0.0
    return Timing(name, whole, *decode, max(0.0, train - wait), wait, whole - train, speed)


def thinned(line: Line, most: int) -> Line:
    """Average neighbouring points, to leave at most `most`."""
    size = -(-len(line.xs) // most) if line.xs else 1
    parts = range(0, len(line.xs), size)
    means = ([sum(part) / len(part) for part in (v[i : i + size] for i in parts)] for v in (line.xs, line.ys))
    return Line(*means)
