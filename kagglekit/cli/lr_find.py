"""`kagglekit lr-find`: a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kagglekit.cli.options import data_option, option, pictures_option, recipe_options, shorthand_settings
from kagglekit.cli.sections import RECIPE, SectionCommand
from kagglekit.system.errors import UsageError


@click.command("lr-find", cls=SectionCommand)
@data_option("Data folder, packed or not.")
@recipe_options
@option(
    RECIPE,
    "--stage",
    type=click.IntRange(1),
    metavar="N",
    help="Stage to test; default the first one with a learning rate. Earlier stages run first, except with --from.",
)
@pictures_option("the plots")
def lr_find(stage: int | None, pictures: Path | None, **options: Any) -> None:
    """Suggest learning rates for a stage of COMPETITION by a range test.

    The rate grows with each step until the loss diverges.
    """
    from kagglekit.system.console import for_people

    if options["stages"]:
        raise UsageError("lr-find tests one stage: --stages does not apply", "choose it with --stage N")
    display = for_people(False)
    with display.status(f"{options['competition'] or 'lr-find'}: loading its plugin and recipe"):
        from kagglekit.authoring.from_folder import competition_of
        from kagglekit.planning.choose import check_request, choose, stage_to_test
        from kagglekit.planning.request import Request
    options["competition"], options["data"] = competition_of(options["competition"], options["data"], display)
    request = Request(settings=shorthand_settings(options), **options)
    check_request(request)  # here and below: errors are reported before anything slow
    choice = choose(request)
    stage_to_test(choice.recipe, stage)
    with display.status(f"{choice.name}: loading torch and timm"):
        from kagglekit.workflows.lr_find import draw, find_rates, rate_table
    found = find_rates(request, stage, display)
    display.table(*rate_table(found))
    for file in draw(found, pictures or Path("pictures") / found.name):
        display.report(f"plot: {file}")
    valley = f"{found.rates['valley']:.2g}"
    display.report(f"hint: set a rate with --set stage.{found.number}.lr={valley}, or let the run find it: lr=auto")
