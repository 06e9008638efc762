"""``kagglekit resume``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kagglekit.cli.options import (
    chosen_jobs,
    data_option,
    job_options,
    json_option,
    option,
    out_option,
    places_of_job,
    plugin_option,
)
from kagglekit.cli.sections import FOLDS, SectionCommand
from kagglekit.system.job_process import is_launched
from kagglekit.system.process import process_began


@click.command(cls=SectionCommand)
@click.argument("run")
@data_option("Data folder, if it was moved.")
@plugin_option()
@option(FOLDS, "--part", default="", metavar="PART", help="Train one part alone: fold-3, or a zoo's 2-resnet18/fold-3.")
@places_of_job
@job_options
@out_option()
@json_option()
def resume(
    run: str, data: Path | None, plugin: tuple[str, ...], part: str, out: Path, as_json: bool, **options: Any
) -> None:
    """Resume RUN, which was interrupted or failed, from its last checkpoint.

    RUN is a path, the name of a run folder, a unique prefix of it, latest, or a competition: its latest run. A finished
    run is not changed.
    """
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.planning.choose import choose
    from kagglekit.planning.identity import request_of, unfinished_info
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.display.console import for_people

    folder, display = find_run(run, out), for_people(as_json)
    with plugins_named(plugin):
        if info := unfinished_info(folder, display):
            choose(request_of(folder, info, data, fresh=False))  # reports what is missing before anything slow
            with display.status(f"{'' if is_launched() else f'resuming {folder.name}: '}loading torch and timm"):
                from kagglekit.workflows.start import Resumed
                from kagglekit.workflows.start import resume as resume_run
            how = Resumed(jobs=chosen_jobs(options), **options)
            folder = resume_run(folder, display, data, process_began(), part, how)
    if as_json:
        click.echo(json.dumps({"run": str(folder.folder), "estimate_s": None, **folder.info().to_dict()}))
