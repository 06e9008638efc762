"""`kagglekit history`: list the runs with their scores, or compare two."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.options import json_option, out_option
from kagglekit.commands.history import listed
from kagglekit.runs.folder import Run
from kagglekit.runs.history import COLUMNS, SCORES, Entry
from kagglekit.runs.lookup import find_run
from kagglekit.system.errors import UsageError
from kagglekit.types.metric import Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kagglekit.runs.history import Difference
    from kagglekit.system.display.console import Display

SHORT = ("run", "competition", "metric", "valid", "test", "public", "time", "status")  # fit 80 columns, mostly
ALWAYS = ("run", "competition", "date", "arch", "px", "stages", "epochs", "preset", "status", "metric", "valid", "time")


@click.command()
@click.argument("which", nargs=-1, metavar="[COMPETITION | RUN RUN]")
@click.option(
    "--sort", type=click.Choice(COLUMNS), metavar="COLUMN", help="Column to sort by; default date, newest first."
)
@click.option("--wide", is_flag=True, help="Show all columns: network, sizes, epochs, all scores on Kaggle.")
@click.option("--html", "as_page", is_flag=True, help="Write history.html in --out DIR: a page of all runs.")
@json_option("Print everything as JSON.")
@out_option()
def history(which: tuple[str, ...], sort: str | None, wide: bool, as_page: bool, as_json: bool, out: Path) -> None:
    """List all runs, or those of COMPETITION, newest first; or compare two runs.

    valid and test are the ensemble's scores, with standard errors where the terminal is wide enough. public is the
    score of the last scored submission. With --wide, so is private, best is the best public score of several, and gap
    is valid - public. Columns that are empty in all runs are left out. If sorted by a score, each competition's best
    run comes first.

    With --html, the runs are on a page with curves, filters, and public against valid scores. Once it is there, runs
    write it again while they train, and it reloads itself where it is open.
    """
    from kagglekit.system.display.console import for_people

    display = for_people(as_json)
    if as_page:
        _write_page(which, sort, as_json, out, display)
        return
    if len(which) > 2:
        raise UsageError(f"cannot compare {len(which)} runs: history compares two", "kagglekit history RUN RUN")
    if len(which) == 2:
        if sort:
            raise UsageError("--sort does not apply to the comparison of two runs")
        _compare(find_run(which[0], out), find_run(which[1], out), as_json, display)
        return
    _list(listed(which[0] if which else "", out, display.warn), sort or "date", wide, as_json, out, display)


def _write_page(which: Sequence[str], sort: str | None, as_json: bool, out: Path, display: Display) -> None:
    if which or sort or as_json:
        raise UsageError(
            "--html writes a page of all runs, with filters: leave out the rest", "kagglekit history --html"
        )
    from kagglekit.report.pages.all_runs import write_history
    from kagglekit.system.files import check_writable

    check_writable(out, "choose another place with --out DIR")
    display.report(f"all runs: {write_history(out)}")


def _list(entries: Sequence[Entry], sort: str, wide: bool, as_json: bool, out: Path, display: Display) -> None:
    from kagglekit.runs.history import sort_entries
    from kagglekit.types.metric import greater_is_better

    unknown = sorted({entry.metric for entry in entries if greater_is_better(entry.metric) is None})
    if sort in SCORES and unknown:
        display.warn(f"cannot tell whether a greater {', '.join(unknown)} is better: sorting the largest first")
    ordered = sort_entries(entries, sort)
    if as_json:
        lines = ",\n ".join(json.dumps(_plain(entry)) for entry in ordered)  # an indent takes ten times as long
        click.echo(f"[\n {lines}\n]" if lines else "[]")
    elif ordered and wide:
        _show(ordered, display)
    elif ordered:
        _show_short(ordered, display)
    else:
        display.report(f"no runs in {out.resolve()}\nhint: start one with kagglekit run COMPETITION")


def _show(entries: Sequence[Entry], display: Display) -> None:
    columns, rows = _all_columns(entries)
    display.table(columns, rows)


def _all_columns(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    columns = [name for name in COLUMNS if name in ALWAYS or any(getattr(entry, name) is not None for entry in entries)]
    return columns, [[_cell(name, getattr(entry, name)) for name in columns] for entry in entries]


def _show_short(entries: Sequence[Entry], display: Display) -> None:
    """Show run, score, public score, time and state; what is the same in all runs once, above the table."""
    from kagglekit.types.metric import title_of

    same = {name for name in ("competition", "metric") if len({getattr(entry, name) for entry in entries}) == 1}
    if "competition" in same:
        display.report(
            f"{entries[0].competition}, metric {title_of(entries[0].metric)}"
            if same > {"competition"}
            else entries[0].competition
        )
    there = [name for name in SHORT if name not in same and any(getattr(one, name) is not None for one in entries)]
    titles = {"status": "state", "valid": "valid score", "test": "test score"}
    rows = [[_cell(name, _shown(one, name)) for name in there] for one in entries]
    if not display.fits(there, rows):
        rows = [[_brief(name, _shown(one, name)) for name in there] for one in entries]
    if not display.fits(there, rows) and {"competition", "metric"} <= {*there}:
        place = there.index("competition")  # each has its metric, so that one column can hold both
        titles["competition"] = "competition, metric"
        there = [name for name in there if name != "metric"]
        rows = [[*row[:place], ", ".join(row[place : place + 2]), *row[place + 2 :]] for row in rows]
    display.table([titles.get(name, name) for name in there], rows)


def _shown(entry: Entry, column: str) -> Any:
    """Return a column's value; the state of a run of few images says so, since its scores are no run's of all."""
    limited = column == "status" and entry.limit
    return f"{entry.status}, limit {entry.limit:,}" if limited else getattr(entry, column)


def _brief(column: str, value: Any) -> str:
    """Return a cell of a table that is too wide: scores without errors, times to a minute or a tenth of an hour."""
    if column == "time" and value and value >= 120:
        return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
    if isinstance(value, (Score, float)) and column != "time":
        return f"{value.value if isinstance(value, Score) else value:.4f}"
    return _cell(column, value)


def _cell(column: str, value: Any) -> str:
    from kagglekit.system.display.console import duration

    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if column == "time":
        return duration(value)
    if column == "gap":
        return f"{value:+.4f}"
    if column == "metric":
        from kagglekit.types.metric import title_of

        return title_of(value)
    return f"{value:.5f}" if isinstance(value, float) else str(value)


def _plain(entry: Entry) -> dict[str, Any]:
    plain = {name: vars(value) if isinstance(value, Score) else value for name, value in vars(entry).items()}
    return {**plain, "date": entry.date.isoformat() if entry.date else None}


def _compare(a: Run, b: Run, as_json: bool, display: Display) -> None:
    from kagglekit.runs.history import compared_scores, differing_facts, differing_recipe, read_entry

    entries = [read_entry(run) for run in (a, b)]
    recipe, facts, scores = differing_recipe(a, b), differing_facts(a, b), compared_scores(a, b)
    if as_json:
        click.echo(json.dumps(_plain_comparison(entries, recipe, facts, scores), indent=1))
        return
    _show_both(entries, display)
    _show_differing("recipe", recipe, display)
    _show_differing("run", facts, display)
    if entries[0].competition != entries[1].competition:
        display.report("scores of different competitions cannot be compared")
    elif scores:
        _show_scores(scores, display)
    else:
        display.report("the runs have no score in common")


def _show_both(entries: Sequence[Entry], display: Display) -> None:
    """Show two runs as rows; where a terminal is too narrow for that, as columns."""
    columns, rows = _all_columns(entries)
    if display.fits(columns, rows):
        display.table(columns, rows)
    else:
        display.table(("", "first", "second"), list(zip(columns, *rows, strict=True)))


def _plain_comparison(
    entries: Sequence[Entry],
    recipe: Mapping[str, tuple[str, str]],
    facts: Mapping[str, tuple[str, str]],
    scores: Mapping[str, Difference],
) -> dict[str, Any]:
    compared = {name: {**asdict(score), "clear": score.clear} for name, score in scores.items()}
    return {"runs": [_plain(entry) for entry in entries], "recipe": recipe, "facts": facts, "scores": compared}


def _show_differing(what: str, differing: Mapping[str, tuple[str, str]], display: Display) -> None:
    display.report("")
    if differing:
        display.table((what, "first", "second"), [(name, *pair) for name, pair in differing.items()])
    else:
        display.report(f"{what}: no difference")


def _show_scores(scores: Mapping[str, Difference], display: Display) -> None:
    from kagglekit.types.metric import title_of

    display.report("")
    rows = []
    for name, score in scores.items():
        error = "" if score.error is None else f" ± {score.error:.4f}"
        cells = (_cell("", score.a), _cell("", score.b), f"{score.change:+.4f}{error}", _verdict(name, score))
        rows.append((title_of(name), *cells))
    display.table(("score", "first", "second", "difference", ""), rows)
    display.report(
        "clear: more than 2 standard errors of the difference, if the scores were independent; on the same images they "
        "are not, and a smaller difference may be significant"
    )


def _verdict(name: str, score: Difference) -> str:
    """Return which run is better, or why that is unknown."""
    from kagglekit.types.metric import greater_is_better

    if not score.clear:
        return "" if score.clear is None else "not clear"
    greatest = greater_is_better(name.partition("_")[2])
    if greatest is None:
        return "clear"
    return f"the {'second' if (score.change > 0) == greatest else 'first'} is better"
