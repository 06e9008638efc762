"""Blend finished runs: combine all their members, score them, and write a checked submission as a new run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kagglekit.hooks.manager import disabled_in
from kagglekit.hooks.trust import record_plugins, trusted_plugins
from kagglekit.planning.blends import check_blend
from kagglekit.planning.identity import plugin_name
from kagglekit.planning.make import make_plan
from kagglekit.planning.plan import Plan, labels_of
from kagglekit.planning.request import Request
from kagglekit.prediction.alternatives import report_alternatives
from kagglekit.prediction.results import candidates, finish_run
from kagglekit.prediction.scores import Results, Scored
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.info import MemberInfo, Record, RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import create_run
from kagglekit.runs.place import RUNS
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError
from kagglekit.system.limits import Threads
from kagglekit.types.ensemble import Member
from kagglekit.types.predictions import difference, load_predictions
from kagglekit.workflows.facts import reported_failures


@dataclass(frozen=True)
class BlendRequest:
    """The user's request.

    Attributes:
        runs: Paths, names, or unique prefixes of names.
        ensemble: How to combine their members.
        data: The data folder; None for the first run's.
        out: Folder of all runs.
        name: Label of the new run's folder.
        threads: How many threads compute on the CPU, where a soup predicts.
    """

    runs: Sequence[str]
    ensemble: str = "hill-climbing"
    data: Path | None = None
    out: Path = RUNS
    name: str = "blend"
    threads: Threads = "auto"


def blend(request: BlendRequest, display: Display) -> Run:
    """Combine the members of finished runs.

    Raises:
        UserError: A run is not finished, or its images or classes are not those of the first one.
    """
    runs = check_blend(request.runs, request.ensemble, request.data, request.out)
    members = [member for finished in runs for member in members_of(finished.run, finished.info)]
    _check_same_images(members)
    plan = _plan(request, runs[0], display)
    labels = labels_of(plan, members[0].valid)
    run = create_run(request.out, plan.name, request.name, datetime.now())
    record = Record(run.info_file)
    display.report(f"{len(members)} members of {len(runs)} runs; {len(members[0].valid):,} valid images")
    with reported_failures(plan, run, record, display):
        _record_start(plan, runs, record)
        run.write_recipe(plan.recipe)
        results = Results(plan, run, record, display, labels)
        lines = [Scored(member.name, "as predicted", member.valid, member.test) for member in members]
        with display.status("trying every ensemble"):
            others = candidates(results, members)
        finish_run(results, members, [*lines, *others])
        report_alternatives(results, others, [each.run.folder for each in runs])
        run.write_valid(runs[0].run.valid())
        record.update(status="finished")
        leave_report(run, display)
    display.report(f"blended: {run.folder}")
    return run


def members_of(run: Run, info: RunInfo) -> list[Member]:
    """Return a run's members, named after the run; of a blend its ensemble alone."""
    if info.blend_of:
        return [_member(run, MemberInfo("ensemble", "blend", 1))]
    return [_member(run, each) for each in info.members]


def _member(run: Run, info: MemberInfo) -> Member:
    valid, test = (load_predictions(run.predictions(info.name, split)) for split in ("valid", "test"))
    return Member(f"{run.name}/{info.name}", valid, test, run.name, info.stage, info.cycle)


def _plan(request: BlendRequest, first: LoadedRun, display: Display) -> Plan:
    plugin, files = trusted_plugins(first.info.plugin, first.info.plugin_files)
    return make_plan(
        Request(
            plugin,
            data=request.data or first.info.data_folder,
            sample=first.info.sample_file,
            recipe=first.recipe.model_copy(
                update={"ensemble": request.ensemble, "measured": "none", "targets": "labels", "teacher": ""}
            ),
            device="cpu",
            out=request.out,
            disable=disabled_in(first.info),
            plugins=files,
        ),
        display,
    )


def _check_same_images(members: Sequence[Member]) -> None:
    first = members[0]
    for member in members:
        if bool(len(member.valid)) != bool(len(first.valid)):
            without = member if not len(member.valid) else first
            raise UserError(
                f"{without.run} was trained on all labelled images and has no valid predictions",
                "blend such runs with each other, with --ensemble mean",
            )
        for split, own, like, hint in (
            ("valid", member.valid, first.valid, "runs must hold out the same images: same seed (or split_seed), "
             "valid, limit and folds"),
            ("test", member.test, first.test, "runs must predict the same images: same data, same limit"),
        ):  # fmt: skip
            if how := difference(own.index, like.index):
                raise UserError(f"the {split} images of {member.run} differ from those of {first.run}: {how}", hint)


def _record_start(plan: Plan, runs: Sequence[LoadedRun], record: Record) -> None:
    copied = ("competition", "title", "slug", "metric", "task", "classes", "task_state", "versions")
    record.update(
        status="running",
        **{name: getattr(runs[0].info, name) for name in copied},
        plugin=plugin_name(plan.request.competition),
        plugins=tuple(map(plugin_name, plan.request.plugins)),
        plugin_hashes=record_plugins([plan.request.competition, *plan.request.plugins], record.file.parent / "plugins"),
        data=str(plan.data),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        disable=plan.request.disable,
        blend_of=[each.run.name for each in runs],
    )
