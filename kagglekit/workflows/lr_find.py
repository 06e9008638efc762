"""Find the learning rate of a stage with a range test: earlier stages run first, or their weights are a run's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kagglekit.compute.memory import memory_returned
from kagglekit.compute.threads import threads_restored
from kagglekit.eda.canvas import name_in_figure, new_figure, save_figure
from kagglekit.planning.choose import stage_to_test
from kagglekit.planning.make import make_plan
from kagglekit.planning.request import Request
from kagglekit.runs.info import Record
from kagglekit.runs.lookup import create_run
from kagglekit.system.display.console import Display
from kagglekit.training.large_networks import large_network
from kagglekit.training.lr_range_test import Sweep, suggestions, sweep
from kagglekit.training.stage import fit_of, set_up
from kagglekit.workflows.setup import build_model, prepare
from kagglekit.workflows.single import timed_stage

MOST_COLUMNS = 6  # of the table of rates


@dataclass(frozen=True)
class FoundRates:
    """The result of a range test.

    Attributes:
        name: The competition's name.
        number: The stage's number, from 1.
        stage: Its name.
        sweep: The range test.
        rates: Suggested rates of the head by name.
    """

    name: str
    number: int
    stage: str
    sweep: Sweep
    rates: Mapping[str, float]


@memory_returned()
def find_rates(request: Request, requested: int | None, display: Display) -> FoundRates:
    """Test the learning rates of one stage, and leave nothing behind but decoded images.

    Args:
        request: As for a run; with `from_run`, no stage is run first.
        requested: The stage's number; None for the first one that takes gradient steps.
        display: Shows progress.

    Raises:
        UserError: There is no such stage, it has no learning rate, or a run would fail.
    """
    plan = make_plan(request, display)
    number = stage_to_test(plan.recipe, requested)
    earlier = () if plan.base else tuple(range(1, number))
    labelled = plan.table[plan.table["split"] != "test"].reset_index(drop=True)
    model, recipe = build_model(replace(plan, stages=(*earlier, number)))
    plan = replace(plan, stages=(*earlier, number), table=labelled, recipe=recipe)
    with tempfile.TemporaryDirectory(prefix="kagglekit-lr-find-") as place, threads_restored(request.threads):
        folder = create_run(Path(place), plan.name, "lr-find", datetime.now())
        folder.write_recipe(recipe)
        context = prepare(plan, model, folder, Record(folder.info_file), display, time.perf_counter())
        context.estimate.seconds = 0.0  # an estimate of a whole run would mislead
        for before in earlier:
            timed_stage(context, before)
        stage = recipe.stages[number - 1].model_copy(update={"find_lr": False})
        set_up(context, stage)
        with large_network(context, number, stage):
            fit, _ = fit_of(context, number, stage)
            found = sweep(fit)
    display.report(
        f"{number} {stage.name}: range test of {len(found.rates)} steps, up to a diverged loss or the highest rate"
    )
    return FoundRates(plan.name, number, stage.name, found, suggestions(found))


def rate_table(found: FoundRates) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the suggested rates of each layer group, as the heads and rows of a table."""
    ratios = found.sweep.ratios
    ratios = ratios if len(ratios) <= MOST_COLUMNS else (ratios[0], ratios[-1])  # with layer_decay, one a layer
    heads = ("rate", *(f"group at 1/{1 / ratio:.3g}" for ratio in ratios[:-1]), "head")
    return heads, [(name, *(f"{rate * ratio:.2g}" for ratio in ratios)) for name, rate in found.rates.items()]


def draw(found: FoundRates, folder: Path) -> tuple[Path, Path]:
    """Write the two plots into a folder; return their paths."""
    stem = f"lr-find-{found.number}-{found.stage}"
    files = folder / f"{stem}-loss.png", folder / f"{stem}-rate.png"
    draw_sweep(found.sweep, found.rates, f"{found.name}, stage {found.number} {found.stage}", *files)
    return files


def draw_sweep(found: Sweep, marks: Mapping[str, float], title: str, loss_file: Path, rate_file: Path) -> None:
    """Draw loss against rate, with the suggested rates, and rate against step."""
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, color="tab:blue", alpha=0.3, label="each step")
    axes.plot(found.rates, found.smooth, color="tab:blue", label="smoothed")
    for number, (name, rate) in enumerate(marks.items(), 1):
        axes.axvline(rate, color=f"C{number}", linestyle="--", label=f"{name} {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate of the head", ylabel="loss, nats")
    axes.set_title(name_in_figure(title), parse_math=False)  # the ticks of the rates are formulas
    start, lowest = float(found.smooth[0]), float(min(found.losses.min(), found.smooth.min()))
    room = max(start - lowest, 0.1)
    axes.set_ylim(lowest - 0.1 * room, start + 1.5 * room)  # divergence goes up without end
    axes.legend()
    save_figure(figure, loss_file)
    figure = new_figure(8, 3)
    axes = figure.add_subplot()
    axes.plot(range(1, len(found.rates) + 1), found.rates)
    axes.set(yscale="log", xlabel="step", ylabel="learning rate of the head")
    axes.set_title(name_in_figure(title), parse_math=False)
    save_figure(figure, rate_file)
