"""List all runs from their folders, and compare two of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from kagglekit.runs.folder import Run
from kagglekit.runs.history_index import Index
from kagglekit.runs.info import RunInfo, read_known
from kagglekit.runs.sweep_folder import Sweep
from kagglekit.system.errors import UserError, listing
from kagglekit.system.typed_json import unreadable
from kagglekit.types.metric import Score, greater_is_better
from kagglekit.types.stage import MOST_CYCLES, MOST_EPOCHS, Stage

DAMAGED = "restore it from a copy, or use the version of kagglekit that wrote it"
CLEAR = 2.0  # a difference is significant beyond so many of its standard errors
FACTS = (  # of run.json: what may explain a difference between two runs; the seed is in the recipe
    *("competition", "plugin", "metric", "preset", "status", "stages", "from_run", "data", "images", "versions"),
    *("device", "cpu", "train_format", "infer_format", "weights", "licence"),
)
PROSE = ("exposure", "licence", "source", "measured")  # fields of the recipe that describe it and change nothing
ABSENT = "none"
_STAGE_FIELDS = ("size", "cycles", "cycle_len", "cycle_mult", "precompute", "solver")


@dataclass(frozen=True)
class Entry:
    """One run as the list of runs shows it; None for unknown values.

    Attributes:
        run: The folder's name.
        competition: The competition's name.
        date: When the run began.
        arch: The network's architecture; of a zoo the first one's, and the number of the others.
        px: Image side of the last stage, px.
        stages: Number of stages that were run.
        epochs: Number of epochs of gradient steps, in all stages.
        preset: The preset that the recipe came from.
        limit: The largest number of images to use; None for all.
        status: ``running``, ``finished``, ``failed`` or ``interrupted``.
        metric: The competition's metric.
        valid: The ensemble's score on the valid images.
        test: The ensemble's score on the test images, if their labels were known.
        public: Kaggle's public score of the last submission that has one.
        private: Its private score.
        best: The best public score of all submissions, if there were several.
        gap: valid - public.
        time: Time of the run, s.
    """

    run: str
    competition: str
    date: datetime | None
    arch: str
    px: int
    stages: int
    epochs: int
    preset: str
    limit: int | None
    status: str
    metric: str
    valid: Score | None
    test: Score | None
    public: float | None
    private: float | None
    best: float | None
    gap: float | None
    time: float | None


COLUMNS = tuple(column.name for column in fields(Entry))
SCORES = ("valid", "test", "public", "private", "best")


@dataclass(frozen=True)
class Difference:
    """A score of two runs.

    Attributes:
        a: The first run's.
        b: The second's.
        change: b - a.
        error: The standard error of `change`, both scores taken as independent; None if it is unknown.
    """

    a: Score | float
    b: Score | float
    change: float
    error: float | None

    @property
    def clear(self) -> bool | None:
        """True if the scores differ by more than 2 standard errors; None if these are unknown."""
        return None if self.error is None else abs(self.change) > CLEAR * self.error


def read_entry(run: Run) -> Entry:
    """Read a run's folder.

    Raises:
        UserError: It has no recipe, or a file cannot be read.
    """
    recipe, info, kaggle = run.raw_recipe(), read_known(run.info_file), _kaggle_scores(run)
    with _naming(run.recipe_file):
        return _entry(run, recipe, info, kaggle)


def all_entries(root: Path) -> tuple[list[Entry], list[str]]:
    """Read the folders of all runs below `root`, the newest first; also return warnings of skipped folders."""
    folders = sorted(root.glob("[!.]*/[!.]*"))
    runs = [Run(folder) for folder in folders if Run(folder).recipe_file.is_file()]
    known = {run.folder for run in runs}
    others = [folder for folder in folders if folder not in known and folder.is_dir()]
    foreign = [folder for folder in others if not Sweep(folder).info_file.is_file()]
    entries, warnings = [], [f"skipped, not a run: {listing(foreign)}"] if foreign else []
    index = Index(root, len(runs))
    for run in runs:
        try:
            if (entry := index.entry(run, Entry)) is None:
                entry = read_entry(run)
                index.add(run, entry)
            entries.append(entry)
        except UserError as error:
            warnings.append(f"skipped: {error.what}")
    index.write()
    return sort_entries(entries, "date"), warnings


def sort_entries(entries: Sequence[Entry], column: str) -> list[Entry]:
    """Sort by a column: the newest first, a competition's best score first, all else ascending; None comes last."""
    there = [entry for entry in entries if getattr(entry, column) not in (None, "")]
    ordered = sorted(there, key=lambda entry: _place(entry, column), reverse=column == "date")
    return ordered + [entry for entry in entries if getattr(entry, column) in (None, "")]


def _place(entry: Entry, column: str) -> Any:
    value = getattr(entry, column)
    if column not in SCORES:
        return value
    return entry.competition, _value(value) * (1 if greater_is_better(entry.metric) is False else -1)


def differing_recipe(a: Run, b: Run) -> dict[str, tuple[str, str]]:
    """Return the recipe's fields in which two runs differ, with both values; a stage's are ``stage.2.size``.

    Raises:
        UserError: A run cannot be read.
    """
    recipes, fields = [run.raw_recipe() for run in (a, b)], []
    for run, recipe in zip((a, b), recipes, strict=True):
        with _naming(run.recipe_file):
            n_stages = min(len(each["stages"]) for each in recipes)
            fields.append(dict(_recipe_fields(recipe, n_stages)))
    return _differing(*fields)


def differing_facts(a: Run, b: Run) -> dict[str, tuple[str, str]]:
    """Return the facts of run.json in which two runs differ: versions, device, images and the like.

    Raises:
        UserError: A run cannot be read.
    """
    infos = [run.info() for run in (a, b)]
    return _differing(
        *({key: text for name in FACTS for key, text in _flat(name, getattr(info, name))} for info in infos)
    )


def compared_scores(a: Run, b: Run) -> dict[str, Difference]:
    """Return the scores that two runs of a competition both have: ``valid_log_loss``, ..., ``public``, ``private``.

    Raises:
        UserError: A run cannot be read.
    """
    entries = [read_entry(run) for run in (a, b)]
    if entries[0].competition != entries[1].competition:
        return {}
    first, second = (
        {**run.info().ensemble_scores, **{name: getattr(entry, name) for name in ("public", "private")}}
        for run, entry in zip((a, b), entries, strict=True)
    )
    both = [name for name in first if first[name] is not None and second.get(name) is not None]
    return {name: _difference(first[name], second[name]) for name in both}


def _difference(a: Score | float, b: Score | float) -> Difference:
    errors = [score.error for score in (a, b) if isinstance(score, Score)]
    return Difference(a, b, _value(b) - _value(a), math.hypot(*errors) if errors else None)


def _value(score: Score | float) -> float:
    return score.value if isinstance(score, Score) else score


@dataclass(frozen=True)
class _KaggleScores:
    """A run's scores on Kaggle: of its last submission that was scored, and the public ones of all."""

    public: float | None = None
    private: float | None = None
    all_public: tuple[float | None, ...] = ()


def _kaggle_scores(run: Run) -> _KaggleScores:
    complete = [each for each in run.submissions() if each["status"] == "complete"]
    if not complete:
        return _KaggleScores()
    with _naming(run.score_file):
        public, private = (_number(complete[-1].get(name)) for name in ("public", "private"))
        return _KaggleScores(public, private, tuple(_number(each.get("public")) for each in complete))


class _Unusable(ValueError):
    """A value that makes no sense, with the reason."""


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Report values of a file that the block cannot use."""
    try:
        yield
    except _Unusable as error:
        raise unreadable(file, str(error), DAMAGED) from error
    except _BROKEN as error:
        raise unreadable(file, "a value in it cannot be used", DAMAGED) from error


def _networks(recipe: Mapping[str, Any]) -> str:
    others = len(recipe.get("zoo") or ()) - 1
    return f"{recipe['arch']} +{others}" if others > 0 else str(recipe["arch"])


def _entry(run: Run, recipe: Mapping[str, Any], info: RunInfo, kaggle: _KaggleScores) -> Entry:
    stages = [_stage(stage) for stage in recipe["stages"]]
    if not stages:
        raise _Unusable("it has no stages")
    with _naming(run.info_file):
        done = [stages[number - 1] for number in info.stages or range(1, len(stages) + 1)]
    metric, scores = info.metric, info.ensemble_scores
    valid = scores.get(f"valid_{metric}")
    return Entry(
        run=run.name,
        competition=run.folder.parent.name,
        date=_date(run, info),
        arch=_networks(recipe),
        px=int(done[-1].size),
        stages=len(done),
        epochs=sum(stage.epochs for stage in done if stage.by_gradient),
        preset=info.preset,
        limit=int(recipe.get("limit") or 0) or None,
        status=info.status or "unknown",
        metric=metric,
        valid=valid,
        test=scores.get(f"test_{metric}"),
        public=kaggle.public,
        private=kaggle.private,
        best=_best(kaggle.all_public, metric),
        gap=valid.value - kaggle.public if valid and kaggle.public is not None else None,
        time=_number(info.seconds),
    )


def _stage(fields: Mapping[str, Any]) -> Stage:
    """Return a stage of any version with the fields that the list shows, unchecked but for the number of its epochs."""
    return _shown_stage(*((name, fields[name]) for name in _STAGE_FIELDS if name in fields))


@lru_cache(maxsize=1000)  # most runs have the stages of another one; ten thousand took a third of the time of the list
def _shown_stage(*fields: tuple[str, Any]) -> Stage:
    stage = Stage.model_construct(**dict(fields))
    few = stage.cycles <= MOST_CYCLES and max(stage.cycle_len, stage.cycle_mult) <= MOST_EPOCHS
    if not few or stage.epochs > MOST_EPOCHS:
        raise _Unusable(f"a stage of more than {MOST_EPOCHS:,} epochs")
    return stage


def _number(value: object) -> float | None:
    """Return a finite number, also from text as Kaggle sends it; None otherwise."""
    number = math.nan if value in (None, "") else float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def _best(scores: Sequence[float | None], metric: str) -> float | None:
    known, greatest = [score for score in scores if score is not None], greater_is_better(metric)
    if len(known) < 2 or greatest is None:
        return None
    return max(known) if greatest else min(known)


def _date(run: Run, info: RunInfo) -> datetime | None:
    """Return when a run began: by run.json, else by its folder's name, which is in local time."""
    try:
        if info.started:
            return datetime.fromisoformat(info.started).astimezone()
        return datetime.strptime(run.name[:15], "%Y%m%d-%H%M%S").astimezone()
    except (ValueError, OverflowError):  # the year 1 in another time zone
        return None


def _recipe_fields(recipe: Mapping[str, Any], n_stages: int) -> Iterator[tuple[str, str]]:
    """Yield the fields under dotted names; of stages after the first `n_stages`, only name and size."""
    for name, value in recipe.items():
        if name not in (*PROSE, "stages"):
            yield from _flat(name, value)
    for number, stage in enumerate(recipe["stages"], 1):
        if number <= n_stages:
            yield from _flat(f"stage.{number}", stage)
        else:
            yield f"stage.{number}", f"{stage['name']}, {stage['size']} px"


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the values in nested facts as text, under dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value if isinstance(value, str) else ABSENT if value is None else json.dumps(value)


def _differing(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys((*a, *b))
    both = {name: (a.get(name, ABSENT), b.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


_BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Raised by files with unexpected content."""
