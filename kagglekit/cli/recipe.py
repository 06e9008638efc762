"""``kagglekit recipe``."""

from __future__ import annotations

from typing import Any

import click

from kagglekit.cli.recipe_options import recipe_options, shorthand_settings


@click.command()
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, as recipe.json has it.")
def recipe(as_json: bool, **options: Any) -> None:
    """Print COMPETITION's recipe with every override applied, without training."""
    from kagglekit.hooks import Hooks
    from kagglekit.manager import load
    from kagglekit.plan import Request, choose_recipe, stage_numbers
    from kagglekit.run_folder import find_run

    request = Request(settings=shorthand_settings(options), **options)
    plugins = load(request.competition, request.disable)
    for line in plugins.warnings:
        click.echo(f"warning: {line}", err=True)
    hooks = Hooks(plugins)
    base = find_run(request.from_run, request.out) if request.from_run else None
    preset, chosen = choose_recipe(hooks, hooks.competition(), request, base)
    numbers = stage_numbers(request.stages, chosen)
    if as_json:
        click.echo(chosen.to_json())
        return
    from kagglekit.describe import describe_preset, describe_recipe
    from kagglekit.progress import for_people

    display = for_people(False)
    describe_preset(preset, request.preset, display)
    describe_recipe(chosen, display, numbers)
