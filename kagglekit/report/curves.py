"""What the logs of a run say: curves over all its steps, a verdict and the time of each stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kagglekit.types.decoded import Decoded
from kagglekit.types.recipe import Stage

Row = Mapping[str, str]
RISE = 1.05  # of the valid loss over its lowest in the stage: more is over-fitting
GAP = 1.1  # of the training loss over the valid loss: more is under-fitting

RULE = (
    f"Over-fitting: the last valid loss is more than {RISE - 1:.0%} above the stage's lowest, and the training loss "
    "fell since that epoch; a gap between the two alone is none. Under-fitting: the valid loss fell to the last epoch, "
    f"and that epoch's training loss is still more than {GAP - 1:.0%} above it; this is not judged with mixup, CutMix, "
    "label smoothing or another draw of the classes, which change the training loss itself. Else the stage is fitting. "
    "One epoch is too short to tell, and without valid images nothing is."
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
    """Where a stage lies on the axis of steps.

    Attributes:
        name: The stage's.
        start: Steps before it.
        end: Steps at its end; `start` for a head found by regression.
        cycles: Steps at which its cycles but the last one end.
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
        loss: Training loss of every step, nats.
        lr: The head's rate.
        momentum: Of SGD, or beta1 of Adam's family.
        epochs: By the columns of log.csv: the valid scores after each epoch.
    """

    spans: list[Span]
    loss: Line
    lr: Line
    momentum: Line
    epochs: dict[str, Line]


@dataclass(frozen=True)
class Timing:
    """A stage's time, s.

    Attributes:
        name: The stage's.
        total: Of the stage, all that follows but decoding.
        decode: Of the copies that no stage before it needed, all made before the first stage.
        decoded_per_s: Images a second of that; 0 where none were made.
        compute: Of its training steps without the waiting.
        wait: For images, in training.
        rest: Validation after each epoch, writing weights.
        images_per_s: In training; 0 where images were not seen one by one.
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
    """Lay the steps of all stages on one axis.

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


def verdict(rows: Sequence[Row], stage: Stage) -> str:
    """Judge a stage by `RULE`: ``over-fitting``, ``under-fitting``, ``fitting``, or why it can't be told.

    Args:
        rows: Of log.csv, of this stage.
        stage: Its settings.
    """
    train, valid = ([float(row[key]) for row in rows] for key in ("train_loss", "valid_loss"))
    if any(math.isnan(value) for value in valid):
        return "no valid images"
    if len(rows) < 2:
        return "too short to tell"
    best = valid.index(min(valid))
    if valid[-1] > RISE * valid[best] and train[-1] < train[best]:
        return "over-fitting"
    comparable = not (stage.mixup or stage.cutmix or stage.label_smoothing or stage.oversample)
    if comparable and best == len(valid) - 1 and train[-1] > GAP * valid[-1]:
        return "under-fitting"
    return "fitting"


def timings(log: Sequence[Row], totals: Mapping[str, float], decoded: Sequence[Decoded]) -> list[Timing]:
    """Split each stage's time.

    Args:
        log: The rows of log.csv.
        totals: Seconds of each stage, from run.json.
        decoded: What was decoded, from run.json.
    """
    return [_timing(name, rows, totals.get(name), decoding(decoded, name)) for name, rows in by_stage(log).items()]


def decoding(decoded: Sequence[Decoded], stage: str) -> tuple[float, float]:
    """Return the seconds, and images a second, of the copies made for a stage; if it has no name, for predictions."""
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
    """Average neighbouring points so that at most `most` are left."""
    size = -(-len(line.xs) // most) if line.xs else 1
    parts = range(0, len(line.xs), size)
    means = ([sum(part) / len(part) for part in (v[i : i + size] for i in parts)] for v in (line.xs, line.ys))
    return Line(*means)
