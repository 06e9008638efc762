"""``kagglekit report`` and `kagglekit.report`: a run's page written again, or one that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.runs.folder import Run
    from kagglekit.system.display.console import Display


def report(
    runs: Sequence[Run],
    data: Path | None,
    plugins: Sequence[str | Path],
    file: Path | None,
    out: Path,
    display: Display,
) -> Path:
    """Write the page of a run, or of the comparison of several.

    Args:
        runs: One run, or two to five, all compared with the first.
        data: The data folder, if it was moved.
        plugins: Plugin files to use, if the runs' own were edited or come from elsewhere.
        file: The page of a comparison; None for ``comparison.html`` in `out`.
        out: Folder of all runs.
        display: Shows progress, and a warning where plugins may not be loaded.

    Returns:
        The page.

    Raises:
        UserError: A folder is not a run, the runs cannot be compared, or one of their files cannot be read.
    """
    from kagglekit.hooks.trust import UntrustedPlugin, plugins_named, trusted_plugins
    from kagglekit.runs.loaded import LoadedRun
    from kagglekit.system.files import check_writable

    if len(runs) == 1 and file:
        raise UsageError("--file names the page of a comparison, and there is one RUN", "name two runs or more")
    several = [LoadedRun.read(run) for run in runs]
    first = several[0]
    if data and not data.is_dir():
        raise UserError(f"the data folder {data} does not exist", "--data names the folder of the images")
    page = first.run.report if len(several) == 1 else file or out / "comparison.html"
    check_writable(page.parent, "choose another place with --file FILE")
    with display.status(f"writing the report of {' and '.join(each.run.name for each in several)}"):
        from kagglekit.report.page import write_page
        from kagglekit.report.pages.comparison import write_comparison
    with plugins_named(plugins):
        try:
            trusted_plugins(first.info.plugin, first.info.plugin_files)
        except UntrustedPlugin as error:
            display.warn(f"no thumbnails: {error.what}\nhint: {error.hint}")
        with display.status("reading its predictions and drawing"):
            if len(several) > 1:
                write_comparison(several, page, data)
            else:
                write_page(first, data)
    display.report(f"{'report' if len(several) == 1 else 'comparison'}: {page}")
    return page
