"""A new run out of finished ones: all their members combined, scored, and written as a checked submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kagglekit.hooks.manager import disabled_in
from kagglekit.planning.make import make_plan
from kagglekit.planning.plan import Plan, labels_of
from kagglekit.planning.request import Request
from kagglekit.prediction.results import Results, Scored, candidates, finish_run
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import RUNS, create_run, find_run
from kagglekit.system.console import Display
from kagglekit.system.errors import UserError, listing
from kagglekit.types.ensemble import Member
from kagglekit.types.predictions import difference, load_predictions
from kagglekit.workflows.facts import reported_failures


@dataclass(frozen=True)
class BlendRequest:
    """What the user asked for.

    Attributes:
        runs: Paths, names, or unique beginnings of names.
        ensemble: How their members are combined.
        data: The data folder; None for the one of the first run.
        out: Folder of all runs.
        name: Label of the new run's folder.
    """

    runs: Sequence[str]
    ensemble: str = "hill-climbing"
    data: Path | None = None
    out: Path = RUNS
    name: str = "blend"


def blend(request: BlendRequest, display: Display) -> Run:
    """Combine the members of finished runs.

    Raises:
        UserError: A run is not finished, or its images or classes are not those of the first one.
    """
    runs = [find_run(text, request.out) for text in request.runs]
    _check_runs(runs)
    members = [member for run in runs for member in members_of(run)]
    _check_same_images(members)
    plan = _plan(request, runs[0], display)
    labels = labels_of(plan, members[0].valid)
    folder = create_run(request.out, plan.name, request.name, datetime.now())
    display.report(f"{len(members)} members of {len(runs)} runs; {len(members[0].valid):,} valid images")
    with reported_failures(plan, folder, display):
        folder.write_recipe(plan.recipe)
        folder.update_info(status="running", **_facts(plan, runs))
        outcome = Results(plan, folder, display, labels)
        lines = [Scored(member.name, "as predicted", member.valid, member.test) for member in members]
        finish_run(outcome, members, [*lines, *candidates(outcome, members)])
        folder.write_valid(runs[0].valid())
        folder.update_info(status="finished")
        leave_report(folder, display)
    display.report(f"blended: {folder.folder}")
    return folder


def members_of(run: Run) -> list[Member]:
    """Return a run's members, named after it; of a blend its ensemble alone."""
    info = run.info()
    if info.get("blend_of"):
        return [_member(run, "ensemble", "blend", 1)]
    return [_member(run, entry["name"], entry["stage"], entry["cycle"]) for entry in info["members"]]


def _member(run: Run, name: str, stage: str, cycle: int) -> Member:
    valid, test = (load_predictions(run.predictions(name, split)) for split in ("valid", "test"))
    return Member(f"{run.name}/{name}", valid, test, run.name, stage, cycle)


def _plan(request: BlendRequest, first: Run, display: Display) -> Plan:
    info = first.info()
    known = Path(info.get("data", ""))
    return make_plan(
        Request(
            info["plugin"],
            data=request.data or (known if info.get("data") and known.is_dir() else None),
            recipe=first.recipe().model_copy(update={"ensemble": request.ensemble, "measured": "none"}),
            device="cpu",
            out=request.out,
            disable=disabled_in(first),
        ),
        display,
    )


def _check_runs(runs: Sequence[Run]) -> None:
    """Check that the runs are several, finished, and of one competition with the same classes."""
    names = [run.name for run in runs]
    if len({run.folder.resolve() for run in runs}) < len(names) or len(names) < 2:
        raise UserError(f"a blend needs two different runs or more, not {listing(names)}", "name each run once")
    if len(set(names)) < len(names):
        raise UserError(
            f"two of the runs have the same name: {listing(names)}", "a blend knows its runs by name: rename a folder"
        )
    first = runs[0].info()
    for run in runs:
        info = run.info()
        if info.get("status") != "finished" or "members" not in info:
            status = info.get("status", "unknown")
            raise UserError(f"{run.folder} is not finished (its status is {status})", "blend finished runs only")
        if info["competition"] != first["competition"]:
            raise UserError(
                f"{run.folder} is of {info['competition']}, {runs[0].folder} of {first['competition']}",
                "blend runs of one competition",
            )
        if info["classes"] != first["classes"]:
            words = difference(info["classes"], first["classes"]) or "they are in another order"
            raise UserError(f"{run.folder} has other classes than {runs[0].folder}: {words}", "they can't be blended")


def _check_same_images(members: Sequence[Member]) -> None:
    first = members[0]
    for member in members:
        if bool(len(member.valid)) != bool(len(first.valid)):
            without = member if not len(member.valid) else first
            raise UserError(
                f"{without.run} was trained on all labelled images and has no valid predictions",
                "blend such runs with one another, by --ensemble mean",
            )
        for split, own, like, hint in (
            ("valid", member.valid, first.valid, "runs must hold out the same images: same seed (or split_seed), "
             "valid, limit and folds"),
            ("test", member.test, first.test, "runs must predict the same images: same data, same limit"),
        ):  # fmt: skip
            if words := difference(own.index, like.index):
                raise UserError(f"{member.run} has other {split} images than {first.run}: {words}", hint)


def _facts(plan: Plan, runs: Sequence[Run]) -> dict[str, object]:
    first = runs[0].info()
    copied = ("competition", "plugin", "title", "slug", "metric", "classes", "versions")
    return {
        **{key: first[key] for key in copied},
        "data": str(plan.data),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "disable": list(plan.request.disable),
        "blend_of": [run.name for run in runs],
        "stages": [],
    }
