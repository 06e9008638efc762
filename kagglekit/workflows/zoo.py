"""A zoo: train several networks on the same images, one after the other, and pool their predictions.

Each network is a run of its own, in a subfolder, with folds if the recipe has any. The zoo's folder is a blend of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from kagglekit.compute.memory import give_back
from kagglekit.planning.describe import weights_and_licence
from kagglekit.planning.identity import check_same_data
from kagglekit.planning.plan import Plan, labels_of
from kagglekit.planning.zoo import networks
from kagglekit.prediction.results import candidates, finish_run
from kagglekit.prediction.scores import Results, Scored
from kagglekit.report.page import leave_report
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.runs.lock import locked
from kagglekit.runs.lookup import create_run
from kagglekit.system.display.console import Display, duration
from kagglekit.types.metric import Score
from kagglekit.workflows.blend import members_of
from kagglekit.workflows.facts import record_dropped, record_start, reported_failures
from kagglekit.workflows.folds import TrainAll, run_folds
from kagglekit.workflows.setup import settled
from kagglekit.workflows.single import train


def run_zoo(plan: Plan, display: Display, folder: Run | None = None, train_all: TrainAll | None = None) -> Run:
    """Train the networks that are not finished, then pool all of them.

    All networks are built before the first one is trained, so that a name, a file of weights or a size that does not
    fit is found at once.

    Args:
        plan: The plan of the whole zoo.
        display: Shows progress.
        folder: The interrupted zoo to resume; None for a new one.
        train_all: Trains the networks, or the folds of each, as jobs; None to train one after the other here.

    Raises:
        UserError: A network cannot be built, or a training fails.
    """
    plans, about = prepared_networks(plan, display)
    folder = folder or create_run(plan.request.out, plan.name, plan.request.name or "zoo", datetime.now())
    display.report(f"results: {folder.folder}")
    parts = [network_run(folder, number, one.recipe.arch) for number, one in enumerate(plans, 1)]
    with locked(folder) as record:
        if folder.recipe_file.exists():
            check_same_data(folder, record.info, plan)
        with reported_failures(plan, folder, record, display):
            record_start(plan, settled(plans[0])[0], record)
            record.update(blend_of=[part.name for part in parts], weights=", ".join(about))
            record_dropped(plan, folder, record)
            folder.write_recipe(plan.recipe)
            if train_all and (failure := train_all(plan, folder)):
                raise failure
            for number, (one, part) in enumerate(zip(plans, parts, strict=True), 1):
                display.report(f"network {number} of {len(parts)}: {one.recipe.arch}")
                train_network(one, part, folder, display)
                give_back()
            scores = pool(plan, folder, record, parts, display)
            seconds = sum(part.info().seconds or 0.0 for part in parts)
            record.update(status="finished", seconds=round(seconds, 1), threads=parts[-1].info().last_threads)
            leave_report(folder, display)
            plan.hooks.run_end(folder, scores)
    folder.remove_checkpoints()  # only the lock is left
    folder.remove_parts()  # of killed processes
    display.report(f"finished in {duration(seconds)}: {folder.folder}")
    return folder


def prepared_networks(plan: Plan, display: Display) -> tuple[list[Plan], list[str]]:
    """Build each network once, and list them; return their plans, with sizes that they accept, and their weights.

    Raises:
        UserError: One of them cannot be built, or its weights are not available.
    """
    plans: list[Plan] = []
    rows: list[tuple[str, ...]] = []
    for one in networks(plan):
        model, own = settled(one)
        weights, licence = weights_and_licence(own, model)
        size = sum(parameter.numel() for parameter in model.parameters())
        px = ", ".join(f"{side}" for side in own.recipe.sizes)
        rows.append((str(len(rows) + 1), own.recipe.arch, f"{size / 1e6:.1f}", px, weights, licence))
        plans.append(own)
    folds = f", each in {plan.recipe.folds} folds" if plan.recipe.folds else ""
    display.report(
        f"zoo: {len(plans)} networks, one after the other on the same images{folds}; pooled: {plan.recipe.ensemble}"
    )
    display.table(("", "network", "million weights", "px", "pretrained", "licence"), rows, keys=2)
    return plans, [row[4] for row in rows]


def network_run(folder: Run, number: int, arch: str) -> Run:
    """Return the run, with a folder of its own in the zoo's, that trains one network."""
    return Run(folder.folder / f"{number}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', arch)}")


def train_network(plan: Plan, part: Run, zoo: Run, display: Display) -> None:
    """Train one network, or what is left of it, unless it is finished."""
    ranks = plan.ranks
    if ranks.of_first(lambda: part.info().status == "finished"):
        if plan.threads:
            plan.threads.take_over(part.info().last_threads)
        part.remove_checkpoints()  # left by a process that was killed at the very end
        display.report(f"it is finished: {part.folder}")
        return
    ranks.of_first(lambda: Record.of(part.info_file).update(part_of=zoo.name))
    if not plan.recipe.folds:
        train(plan, part, display)
        return
    if part.recipe_file.exists():
        plan = replace(plan, request=replace(plan.request, into=str(part.folder)))
    run_folds(plan, settled(plan)[0], display, part)


def pool(plan: Plan, folder: Run, record: Record, parts: Sequence[Run], display: Display) -> dict[str, Score]:
    """Combine the members of all networks, score them, and write the submission."""
    members = [member for part in parts for member in members_of(part, part.info())]
    results = Results(plan, folder, record, display, labels_of(plan, members[0].valid))
    folder.write_valid(parts[0].valid())
    lines = [Scored(member.name, "as predicted", member.valid, member.test) for member in members]
    return finish_run(results, members, [*lines, *candidates(results, members)])
