"""``kagglekit lr-find``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kagglekit.cli.options import recipe_options, shorthand_settings
from kagglekit.system.errors import UsageError


@click.command("lr-find")
@recipe_options
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The unpacked data.")
@click.option(
    "--stage",
    type=click.IntRange(1),
    metavar="N",
    help="Default the first one with a rate; those before it are run first, unless --from is given.",
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), metavar="DIR", help="For the plots; default pictures/COMPETITION."
)
def lr_find(stage: int | None, pictures: Path | None, **options: Any) -> None:
    """Find learning rates for a stage of COMPETITION: the rate grows each step until the loss diverges."""
    from kagglekit.planning.choose import choose
    from kagglekit.planning.request import Request
    from kagglekit.system.console import for_people

    if options["stages"]:
        raise UsageError("lr-find looks at one stage", "name it: --stage N")
    request = Request(settings=shorthand_settings(options), **options)
    display = for_people(False)
    from kagglekit.workflows.lr_find import draw, find_rates, stage_number

    stage_number(choose(request).recipe, stage)  # what was typed wrongly is told before anything slow is done
    found = find_rates(request, stage, display)
    groups = [*(f"group at 1/{1 / ratio:.3g}" for ratio in found.sweep.ratios[:-1]), "head"]
    rows = [(name, *(f"{rate * ratio:.2g}" for ratio in found.sweep.ratios)) for name, rate in found.rates.items()]
    display.table(("rate", *groups), rows)
    for file in draw(found, pictures or Path("pictures") / found.name):
        display.report(f"plot: {file}")
    valley = f"{found.rates['valley']:.2g}"
    display.report(f"hint: use one with --set stage.{found.number}.lr={valley}, or let the run search: lr=auto")
