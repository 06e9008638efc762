"""`kagglekit leaderboard`: show the top of the public leaderboard and our place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import json_option, out_option, timeout_option, top_option
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.kaggle.leaderboard import Leaderboard
    from kagglekit.system.display.console import Display


@click.command()
@click.argument("competition")
@top_option(10, "N", "Teams to show.")
@click.option("--refresh", is_flag=True, help="Fetch the leaderboard again even if it is less than an hour old.")
@out_option()
@timeout_option("a response")
@json_option("Print everything as JSON.")
def leaderboard(competition: str, top: int, refresh: bool, out: Path, timeout: float, as_json: bool) -> None:
    """Show COMPETITION's public leaderboard: the top teams, the place of our best score, and what medals need."""
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.kaggle.follow import connected
    from kagglekit.kaggle.leaderboard import get_leaderboard, our_scores, standing
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    facts = Hooks(load(competition)).competition()
    if facts.slug is None:
        what = f"{facts.title} is not on Kaggle and has no leaderboard"
        raise UserError(what, "kagglekit history lists your runs with their scores")
    slug = facts.slug
    board = get_leaderboard(
        slug, facts.metric, lambda: connected(timeout, display).leaderboard(slug), refresh, display.warn
    )
    found = standing(board, our_scores(out, slug), top)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _show(facts.title, board, found, display)


def _show(title: str, board: Leaderboard, found: dict[str, Any], display: Display) -> None:
    display.report(f"{title}: {len(board.teams):,} teams, fetched {board.age / 60:.0f} min ago")
    rows = [(team["rank"], f"{team['score']:.5f}", team["name"]) for team in found["top"]]
    display.table(("rank", "score", "team"), rows)
    display.report("medals by Kaggle's rule, if the competition awards them:")
    for medal, place in found["medals"].items():
        display.report(f"  {medal}: place {place['place']:,} or better, {place['score']:.5f}")
    if found["best"] is None:
        display.report("no local run has a public score yet: kagglekit submit")
        return
    place, teams = found["place"], found["teams"]
    where = f"place {place:,} of {teams:,}, top {100 * place / teams:.1f} %"
    display.report(f"our best: {found['best']:.5f} ({found['run']}), {where}")
