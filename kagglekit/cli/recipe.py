"""`kagglekit recipe`: print a recipe."""

from __future__ import annotations

from typing import Any

import click

from kagglekit.cli.options import json_option, recipe_options, shorthand_settings
from kagglekit.cli.sections import SectionCommand
from kagglekit.system.display.printable import printable_lines


@click.command(cls=SectionCommand)
@recipe_options
@json_option("Print the recipe as JSON, in the form of recipe.json.")
def recipe(as_json: bool, **options: Any) -> None:
    """Print COMPETITION's recipe with all overrides, without training."""
    from kagglekit.authoring.from_folder import recognised
    from kagglekit.planning.choose import choose
    from kagglekit.planning.request import Request
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    request = Request(settings=shorthand_settings(options), **options)
    request = recognised(request, display)
    choice = choose(request, lambda line: click.echo(f"warning: {printable_lines(line)}", err=True))
    if as_json:
        click.echo(choice.recipe.to_json())
        return
    from kagglekit.planning.describe import describe_choice

    describe_choice(choice, display)
