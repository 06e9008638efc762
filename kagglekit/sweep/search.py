"""The search: ask the sampler, run trials as jobs, stop hopeless ones, score the winner on other folds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kagglekit.data.scoring import scorer_of
from kagglekit.kaggle.credentials import masked
from kagglekit.planning.identity import Identity, request_of
from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.plan import Plan
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.runs.lock import is_led, leading
from kagglekit.runs.lookup import create_run
from kagglekit.runs.sweep_folder import Sweep, SweepInfo, Trial, all_sweeps
from kagglekit.sweep.space import settings_of
from kagglekit.system.display.console import Display
from kagglekit.system.display.live_table import LiveTable, live_table
from kagglekit.system.errors import UserError, listing
from kagglekit.types.executor import Ended, Job, JobOptions
from kagglekit.types.recipe import Recipe
from kagglekit.types.search import Parameter, Sampler, Study, Value
from kagglekit.workflows.jobs import COLUMNS, Jobs, opened, row_of
from kagglekit.workflows.parts import Part, job_of
from kagglekit.workflows.setup import planned
from kagglekit.workflows.side_by_side import for_job, need_of
from kagglekit.workflows.single import begin_in

FRESH = 1000  # added to the seed and the split's seed for the winner's second score
FRESH_RUNS = ("best", "base")


@dataclass(frozen=True)
class Wanted:
    """What a sweep is asked to do.

    Attributes:
        space: What is varied.
        trials: How many trials.
        sampler: Name of the sampler.
        pruner: How hopeless trials are found.
        seconds: Ask for no more trials after this time, s; None for no limit.
    """

    space: tuple[Parameter, ...]
    trials: int
    sampler: str
    pruner: str
    seconds: float | None = None


def begin_sweep(plan: Plan, wanted: Wanted) -> Sweep:
    """Find the sweep that the same command has begun and not finished, or make the folder of a new one."""
    info = SweepInfo(
        competition=plan.name,
        metric=plan.competition.metric,
        greater_is_better=scorer_of(plan.hooks, plan.competition, plan.recipe, plan.task).metric.greater_is_better,
        recipe=plan.recipe.model_dump(mode="json"),
        space=wanted.space,
        trials_wanted=wanted.trials,
        sampler=wanted.sampler,
        pruner=wanted.pruner,
        command=tuple(masked(part) for part in sys.argv),
    )
    if (begun := _begun(plan, info)) is not None:
        return begun
    label = plan.request.name or "sweep"
    sweep = Sweep(create_run(plan.request.out, plan.name, label, datetime.now()).folder)
    begin_in(plan, sweep.base)
    sweep.write(info)
    return sweep


def _begun(plan: Plan, info: SweepInfo) -> Sweep | None:
    """Return the latest unfinished sweep of the same recipe, data, request and space that no process works on."""
    same = ("competition", "metric", "recipe", "space", "trials_wanted", "sampler", "pruner")
    for sweep in reversed(all_sweeps(plan.request.out, plan.name)):
        with suppress(UserError):
            old = sweep.info()
            alike = all(getattr(old, name) == getattr(info, name) for name in same)
            led = is_led(Run(sweep.folder))
            if alike and not old.finished and not led and Identity.of(plan).is_of(sweep.base.info()):
                return sweep
    return None


def request_of_sweep(sweep: Sweep, data: Path | None, jobs: JobOptions) -> Request:
    """Return the request that began a sweep.

    Args:
        sweep: The sweep.
        data: Its data folder; None for the one it began with.
        jobs: How trials are run now.

    Raises:
        UserError: A file of it cannot be read, or its plugin file may not be imported.
    """
    base = sweep.base
    request = request_of(base, base.info(), data, fresh=True)
    return replace(request, recipe=Recipe.model_validate(sweep.info().recipe), jobs=jobs)


def run_sweep(plan: Plan, sweep: Sweep, display: Display, seconds: float | None = None) -> SweepInfo:
    """Do what is left of a sweep.

    Args:
        plan: The plan of the unchanged recipe, with the request's jobs.
        sweep: Its folder.
        display: Shows progress.
        seconds: Ask for no more trials after this time, s; None for no limit.

    Raises:
        UserError: No trial has finished, or some failed.
    """
    info, options = sweep.info(), plan.request.jobs
    study = Study(info.space, str(sweep.study_file), info.greater_is_better, plan.recipe.seed, info.pruner)
    sampler = plan.hooks.sampler(info.sampler, study)
    executor = plan.hooks.executor(options.on or "local", options.workers, need_of(plan))
    until = None if seconds is None else time.monotonic() + seconds
    with leading(Run(sweep.folder)), opened(executor, options, display) as jobs:
        search = Search(sweep, plan, sampler, jobs, display, info, until)
        search.run()
    return search.info


@dataclass
class Search:
    """A search that is going on.

    Attributes:
        sweep: Its folder.
        plan: The plan of the unchanged recipe.
        sampler: Proposes trials.
        jobs: Run them.
        display: Shows progress.
        info: sweep.json.
        until: When to ask for no more trials, by time.monotonic, s; None for no limit.
    """

    sweep: Sweep
    plan: Plan
    sampler: Sampler
    jobs: Jobs
    display: Display
    info: SweepInfo
    until: float | None = None

    def run(self) -> None:
        """Do the trials that are left, then score the best one and the unchanged recipe on other folds.

        Raises:
            UserError: No trial has finished; or some failed, once all else is done.
        """
        with live_table(self.display, COLUMNS) as table:
            for ended in self.jobs.work(self._trials()):
                if ended:
                    self._settle(ended)
                self._prune()
                self._show(table)
            best = self.info.best
            if best is None:
                raise self._without_best()
            for ended in self.jobs.work(self._confirmations(best)):
                if ended:
                    self._settle(ended)
                self._show(table)
        whole = len(self.info.trials) >= self.info.trials_wanted and not self.sampler.running()
        fresh = all(self.info.fresh.get(name, Trial()).state == "finished" for name in FRESH_RUNS)
        self._write(finished=whole and fresh, importance=self.sampler.importance())
        if failed := [each.job.name for each in self.jobs.failed]:
            raise UserError(
                f"{len(failed)} of {len(self.jobs.all)} runs failed: {listing(failed, 20)}",
                f"all others are scored: kagglekit sweep show {self.sweep.folder}",
            )

    def _without_best(self) -> UserError:
        """Return the error of a search in which no trial has finished."""
        if self._is_late() and not self.info.trials:
            what = "the time was over before the first trial could begin: the unchanged recipe is trained before it"
            return UserError(what, f"kagglekit sweep resume {self.sweep.folder}, with a longer --time or without it")
        return UserError(f"no trial of {self.sweep.folder} has finished", "look at the output of the failed ones")

    def _trials(self) -> Iterator[Job]:
        """Yield the unchanged recipe, the trials that were interrupted, then new ones."""
        if self.info.base is None or self.info.base.state != "finished":
            yield self._job(self.sweep.base)
        for number, values in self.sampler.running().items():
            yield self._trial(number, values)
        while len(self.info.trials) < self.info.trials_wanted and not self._is_late():
            yield self._trial(*self.sampler.ask())

    def _is_late(self) -> bool:
        return self.until is not None and time.monotonic() > self.until

    def _trial(self, number: int, values: Mapping[str, Value]) -> Job:
        settings = settings_of(values)
        run = self.sweep.trial(number)
        if not run.recipe_file.exists():
            begin_in(self._planned(apply_overrides(self.plan.recipe, settings)), run)
        trial = Trial(values=dict(values), settings=settings)
        self._write(trials={**self.info.trials, number: trial})
        self.display.report(f"trial {number}: {' '.join(settings)}")
        return self._job(run)

    def _planned(self, recipe: Recipe) -> Plan:
        return replace(self.plan, recipe=recipe)

    def _confirmations(self, best: int) -> Iterator[Job]:
        """Yield the best trial and the unchanged recipe, each with another seed on other folds."""
        for which, recipe in (("best", self.sweep.trial(best).recipe()), ("base", self.plan.recipe)):
            seeds = {"seed": recipe.seed + FRESH, "split_seed": recipe.split_by + FRESH}
            run, own = self.sweep.fresh(which), recipe.model_copy(update=seeds)
            if run.recipe_file.exists() and not _same(run, own):  # another trial was the best one then
                run = self.sweep.fresh(f"{which}-{best}")
            if not run.recipe_file.exists():
                begin_in(self._split_anew(own), run)
            yield self._job(run)

    def _split_anew(self, recipe: Recipe) -> Plan:
        """Return the plan of a recipe that holds out other images."""
        request = replace(self.plan.request, recipe=recipe, settings=(), epochs=None, size=None, zoo=None)
        return planned(request, self.display)

    def _job(self, run: Run) -> Job:
        job = job_of(Part("", run), run, for_job(self.plan, need_of(self.plan)))
        return replace(job, name=run.name)

    def _settle(self, ended: Ended) -> None:
        """Take a job's result."""
        name, state = ended.job.name, self.jobs.all[ended.job.name].state
        kind, _, number = name.rpartition("-")
        result = _result(Run(ended.job.folder), self.info.metric, state)
        if kind == "trial":
            before = self.info.trials[int(number)]
            trial = before.model_copy(update=result.model_dump(include={"state", "score", "error"}))
            self._write(trials={**self.info.trials, int(number): trial})
            self.sampler.tell(int(number), trial.score, trial.state == "pruned")
        elif name == "base":
            self._write(base=result)
        else:
            self._write(fresh={**self.info.fresh, name.split("-")[1]: result})

    def _prune(self) -> None:
        """Report the epochs of the running trials, and stop those that the sampler finds hopeless."""
        for progress in self.jobs.all.values():
            kind, _, number = progress.job.name.rpartition("-")
            if kind != "trial" or progress.state != "running" or progress.asked:
                continue
            for step, score in epochs_of(Run(progress.job.folder), self.info.metric):
                if self.sampler.report(int(number), step, score):
                    self.display.report(f"trial {number}: stopped after {step} epochs, it is behind the others")
                    self.jobs.stop(progress.job.name)
                    break

    def _show(self, table: LiveTable) -> None:
        if not table.is_due and any(each.state == "running" for each in self.jobs.all.values()):
            return
        rows = [each for each in self.jobs.all.values() if each.state in ("running", "lost")]
        done = [each for each in self.jobs.all.values() if each not in rows]
        table.show([row_of(each) for each in [*(done if table.live is None else done[-3:]), *rows]])

    def _write(self, **facts: object) -> None:
        self.info = self.info.model_copy(update=facts)
        self.sweep.write(self.info)


def _same(run: Run, recipe: Recipe) -> bool:
    seeds = ("seed", "split_seed")
    return all(getattr(run.recipe(), name) == getattr(recipe, name) for name in seeds) and run.recipe() == recipe


def _result(run: Run, metric: str, state: str) -> Trial:
    """Return a job's result: its state, and the score if it has finished."""
    score = run.info().ensemble_scores.get(f"valid_{metric}") if state == "finished" else None
    if score is None:
        return Trial(state="pruned" if state == "stopped" else "failed")
    return Trial(state="finished", score=score.value, error=score.error)


def epochs_of(run: Run, metric: str) -> Iterator[tuple[int, float]]:
    """Yield number, from 1, and valid score of each finished epoch of a run; of folds, those of the first one."""
    first = run.fold(1)
    try:
        rows = (first if first.folder.exists() else run).log_rows()
    except (UserError, OSError):
        return
    for step, row in enumerate(rows, 1):
        text = row.get(f"valid_{metric}") or row.get("valid_loss") or ""
        try:
            score = float(text)
        except ValueError:
            continue
        if score == score:  # not nan
            yield step, score
