"""`kagglekit leaderboard`: the head of the public leaderboard, and where we stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import json_option, out_option, timeout_option
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.kaggle.leaderboard import Leaderboard
    from kagglekit.system.console import Display


@click.command()
@click.argument("competition")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Teams to show.")
@click.option("--refresh", is_flag=True, help="Fetch it even if it was fetched within the hour.")
@out_option()
@timeout_option("a response")
@json_option("Print everything as JSON.")
def leaderboard(competition: str, top: int, refresh: bool, out: Path, timeout: float, as_json: bool) -> None:
    """Show the public leaderboard of COMPETITION: its head, our place by our best score, and what medals would need."""
    from kagglekit.hooks.calls import Hooks
    from kagglekit.hooks.manager import load
    from kagglekit.kaggle.leaderboard import get_leaderboard, our_scores
    from kagglekit.system.console import for_people

    display = for_people(as_json)
    facts = Hooks(load(competition)).competition()
    if facts.slug is None:
        raise UserError(f"{facts.title} is not on Kaggle: it has no leaderboard", "kagglekit history shows your runs")
    slug = facts.slug
    board = get_leaderboard(slug, facts.metric, lambda: _fetch(slug, timeout, display), refresh, display.warn)
    found = _facts(board, our_scores(out, slug), top)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    display.report(f"{facts.title}: {len(board.teams):,} teams, fetched {board.age / 60:.0f} min ago")
    display.table(
        ("rank", "score", "team"), [(team["rank"], f"{team['score']:.5f}", team["name"]) for team in found["top"]]
    )
    display.report("by Kaggle's rule, where a competition gives medals:")
    for medal, place in found["medals"].items():
        display.report(f"  {medal}: place {place['place']:,} or better, {place['score']:.5f}")
    display.report(_place(found))


def _fetch(slug: str, timeout: float, display: Display) -> bytes:
    from kagglekit.kaggle.login import connect
    from kagglekit.kaggle.retry import RetryPolicy

    return connect(RetryPolicy(timeout, display.report)).leaderboard(slug)


def _facts(board: Leaderboard, ours: list[tuple[float, str]], top: int) -> dict[str, Any]:
    from kagglekit.kaggle.leaderboard import medal_places

    best = board.best([score for score, _ in ours]) if ours else None
    return {
        "teams": len(board.teams),
        "top": [vars(team) for team in board.teams[:top]],
        "medals": {
            medal: {"place": place, "score": board.teams[place - 1].score}
            for medal, place in medal_places(len(board.teams)).items()
        },
        "best": best,
        "run": next((run for score, run in ours if score == best), None),
        "place": board.place(best) if best is not None else None,
    }


def _place(found: dict[str, Any]) -> str:
    if found["best"] is None:
        return "no run here has a public score yet: kagglekit submit"
    place, teams = found["place"], found["teams"]
    where = f"place {place:,} of {teams:,}, top {100 * place / teams:.1f} %"
    return f"our best: {found['best']:.5f} ({found['run']}), {where}"
