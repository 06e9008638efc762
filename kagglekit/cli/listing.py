"""``kagglekit competitions`` and ``kagglekit plugins``: what is installed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import json_option
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.failures import one_line
from kagglekit.hooks.manager import survey
from kagglekit.hooks.plugin import Kind, Plugin
from kagglekit.system.display.console import for_people
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError
from kagglekit.types.metric import title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from kagglekit.types.competition import Competition

    Returned = TypeVar("Returned")


@click.command()
def competitions() -> None:
    """List the installed competitions."""
    listed = list(_survey("competition", Hooks.competition))
    rows = [(plugin.name, *_facts(plugin, facts), plugin.origin) for plugin, facts in listed]
    for_people(False).table(("name", "title", "metric", "data", "plugin"), rows)
    _print_problems([plugin for plugin, _ in listed])


@click.command()
@json_option("Print everything as JSON.")
def plugins(as_json: bool) -> None:
    """List the installed plugins and the hooks they implement."""
    listed = [*_survey("shared", Hooks.provides), *_survey("competition", Hooks.provides)]
    found = [plugin for plugin, _ in listed]
    if as_json:
        rows = [
            asdict(plugin)
            | {"status": _status(plugin), "provides": provides and provides.model_dump(exclude_defaults=True)}
            for plugin, provides in listed
        ]
        click.echo(json.dumps(rows, indent=1, default=str))
        return
    columns = ("name", "kind", "distribution", "version", "status", "hooks")
    for_people(False).table(
        columns, [(p.name, p.kind, p.distribution, p.version, _status(p), _hooks(p)) for p in found]
    )
    _print_problems(found)


def _survey(kind: Kind, call: Callable[[Hooks], Returned]) -> Iterator[tuple[Plugin, Returned | None]]:
    """Yield each plugin with what it returns, or with its problem and None."""
    for loaded in survey(kind):
        plugin = loaded.plugins[0]
        if plugin.problem:
            yield plugin, None
            continue
        try:
            yield plugin, call(Hooks(loaded))
        except UserError as error:
            yield replace(plugin, problem=str(error)), None


def _facts(plugin: Plugin, facts: Competition | None) -> tuple[str, str, str]:
    if facts is None:
        return f"({_status(plugin)})", "", ""
    return facts.title, title_of(facts.metric), f"kaggle: {facts.slug}" if facts.slug else facts.url


def _status(plugin: Plugin) -> str:
    return "broken" if plugin.problem else "ok"


def _hooks(plugin: Plugin) -> str:
    return ", ".join(hook.removeprefix("kagglekit_") for hook in plugin.hooks)


def _print_problems(found: Sequence[Plugin]) -> None:
    for plugin in found:
        if plugin.problem:
            click.echo(printable(one_line(plugin.problem)), err=True)
