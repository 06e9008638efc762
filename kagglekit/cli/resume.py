"""``kagglekit resume``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click


@click.command()
@click.argument("run")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Where the data lie, if they were moved.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("submissions"),
    show_default=True,
    metavar="DIR",
    help="Folder of all runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; everything else goes to stderr.")
def resume(run: str, data: Path | None, out: Path, as_json: bool) -> None:
    """Go on with RUN, which was stopped or failed, from its last checkpoint.

    RUN is a path, a run folder's name, a unique beginning of it, or latest. A finished run is left as it is.
    """
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.console import for_people

    folder, display = find_run(run, out), for_people(as_json)
    with display.console.status("loading torch and timm") if display.console.is_terminal else nullcontext():
        from kagglekit.workflows import start
    finished = start.resume(folder, display, data)
    if as_json:
        click.echo(json.dumps({"run": str(finished.folder), "estimate_s": None, **finished.info().to_dict()}))
