"""`kagglekit lr-find`: a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import data_option, option, pictures_option, recipe_options, shorthand_settings
from kagglekit.cli.sections import RECIPE, SectionCommand
from kagglekit.system.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.planning.request import Request


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
    from kagglekit.system.display.console import for_people

    if options["stages"]:
        raise UsageError("lr-find tests one stage: --stages does not apply", "choose it with --stage N")
    display = for_people(False)
    from kagglekit.commands import lr_find as command

    title, settings = options["competition"] or "lr-find", shorthand_settings(options)

    def request() -> Request:
        from kagglekit.planning.request import Request

        return Request(settings=settings, **options)

    found, plots = command.lr_find(request, title, stage, pictures, display)
    for file in plots:
        display.report(f"plot: {file}")
    key, valley = f"stage.{found.number}.lr", f"{found.rates['valley']:.2g}"
    display.report(f"hint: set a rate with --set {key}={valley}, or let the run find it: --set {key}=auto")
