"""The Python interface beside runs, for notebooks: data, learning rates, reports and past runs, shown in the cell."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.called import for_notebooks
from kagglekit.notebook.request import name_of, path_of, request_of, settings_of
from kagglekit.runs.place import RUNS
from kagglekit.system.display.console import Display, for_people
from kagglekit.system.display.notebook import kernel, show
from kagglekit.system.errors import UsageError
from kagglekit.system.limits import Threads, wait_passively

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.notebook.run import Run
    from kagglekit.runs.folder import Run as RunFolder

LARGE = 300_000  # bytes of a plot that a notebook shows as JPEG
COARSE = 2.0  # s by which the time of a file may be off


@for_notebooks
def look(
    competition: str | Path,
    *,
    data: str | Path | None = None,
    sample: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    pictures: str | Path | None = None,
    no_pictures: bool = False,
    preset: str = "auto",
    settings: Mapping[str, object] | None = None,
    display: Display | None = None,
) -> None:
    """Summarize a competition's images: targets, counts, sizes, near-duplicates, anomalies.

    In a notebook the plots are shown below the text: targets, sizes, samples, near-duplicates, and one image as each
    stage sees it.

    Args:
        competition: A competition's name, a plugin file, or a data folder, whose layout is then recognised.
        data: The data folder, packed or not.
        sample: The sample submission, if the data have several or none.
        plugins: Plugin files to load besides the competition's.
        pictures: Folder for the plots; None for ``pictures/COMPETITION``.
        no_pictures: Show text only: no plots, no search for near-duplicates.
        preset: The preset whose stages are drawn.
        settings: Changes of its recipe.
        display: Where to report progress; None for the notebook's cell or standard output.

    Raises:
        UserError: There are no data, the plugin's image table is invalid, or a setting does not fit.
    """
    display = display or for_people(json_output=False)
    with display.status(f"looking at {competition}: loading its plugin"):
        from kagglekit.authoring.from_folder import recognised
        from kagglekit.planning.request import Request
        from kagglekit.workflows.look import look as summarize
    changed, files = settings_of(settings), tuple(map(str, plugins))
    asked = Request(str(competition), data=path_of(data), preset=preset, settings=changed, plugins=files)
    asked = recognised(asked, display)
    began = time.time()
    place = summarize(
        asked.competition,
        asked.data,
        display,
        plugins=files,
        sample=path_of(sample),
        plots=path_of(pictures),
        preset=None if no_pictures else preset,
        settings=changed,
    )
    if place:
        _show_plots(file for file in sorted(place.glob("*.png")) if file.stat().st_mtime >= began - COARSE)


@for_notebooks
def lr_find(
    competition: str | Path = "",
    *,
    stage: int | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    group_duplicates: bool = False,
    preset: str = "auto",
    arch: str | None = None,
    zoo: int | None = None,
    size: int | None = None,
    epochs: int | None = None,
    settings: Mapping[str, object] | None = None,
    seed: int | None = None,
    from_run: RunFolder | str | Path = "",
    plugins: Sequence[str | Path] = (),
    disable: Sequence[str] = (),
    device: str = "auto",
    threads: Threads = "auto",
    folds: int | None = None,
    pictures: str | Path | None = None,
    out: str | Path = RUNS,
    display: Display | None = None,
) -> dict[str, float]:
    """Suggest learning rates for a stage by a range test: the rate grows with each step until the loss diverges.

    In a notebook, loss against rate is shown below the table.

    Args:
        competition: A competition's name, a plugin file, or a data folder.
        stage: Number of the stage to test; None for the first one with a learning rate. Earlier stages run first,
            except with `from_run`.
        data: See `kagglekit.run`, as for all other arguments.
        limit: At most so many labelled images.
        group_duplicates: Keep near-duplicates together.
        preset: The preset whose stage is tested.
        arch: Name of a timm model.
        zoo: As in `kagglekit.run`.
        size: Largest image side, px.
        epochs: Epochs of the last stage.
        settings: Recipe fields to set.
        seed: Seed of the split and of all randomness.
        from_run: A run whose recipe and weights to start from.
        plugins: Plugin files to load besides the competition's.
        disable: Names of shared plugins to leave out.
        device: Device to compute on.
        threads: How many threads compute on the CPU.
        folds: Number of folds of the recipe.
        pictures: Folder for the plots; None for ``pictures/COMPETITION``.
        out: Folder of all runs.
        display: Where to report progress; None for the notebook's cell or standard output.

    Returns:
        Suggested rates of the head by the name of the rule that found them, ``valley`` among them.

    Raises:
        UserError: There is no such stage, it has no learning rate, or a run would fail.
    """
    given = dict(locals())
    wait_passively()
    display = display or for_people(json_output=False)
    from kagglekit.commands import lr_find as command

    title = str(competition or "lr_find")
    found, plots = command.lr_find(lambda: request_of(given), title, stage, path_of(pictures), display)
    _show_plots(plots[:1])
    key, valley = f"stage.{found.number}.lr", f"{found.rates['valley']:.2g}"
    display.report(
        f'hint: set a rate with settings={{"{key}": {valley}}}, or let the run find it: settings={{"{key}": "auto"}}'
    )
    return dict(found.rates)


@for_notebooks
def report(
    *runs: RunFolder | str | Path,
    data: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    file: str | Path | None = None,
    out: str | Path = RUNS,
    display: Display | None = None,
) -> Run | Path:
    """Write a run's report.html again, or a page that compares several runs of a competition.

    Args:
        *runs: The run, its folder, its name in `out`, a unique prefix of that, or ``latest``, as without one; or two to
            five of them, all compared with the first.
        data: The data folder, if that was moved.
        plugins: Plugin files to use, if its own were edited or come from elsewhere.
        file: The page of a comparison; None for ``comparison.html`` in `out`.
        out: Folder of all runs.
        display: Where to report progress; None for the notebook's cell or standard output.

    Returns:
        The run, which shows itself with a link to the page; of a comparison the path of the page.

    Raises:
        UserError: A folder is not a run, the runs cannot be compared, or one of their files cannot be read.
    """
    from kagglekit.commands import report as command
    from kagglekit.notebook.run import Run

    found = [Run.of(run, out) for run in runs or ("latest",)]
    display = display or for_people(json_output=False)
    page = command.report(found, path_of(data), plugins, path_of(file), Path(out), display)
    return found[0] if len(found) == 1 else page


@for_notebooks
def history(*which: RunFolder | str | Path, sort: str = "date", out: str | Path = RUNS) -> pd.DataFrame:
    """List runs with their scores, or compare two.

    Args:
        *which: A competition or a run, to list these alone; two runs, to compare them; nothing for all runs.
        sort: Column to sort by: the newest first, a competition's best score first. Of no use to a comparison.
        out: Folder of all runs.

    Returns:
        A row a run, by its name: competition, date, arch, px, status, metric, valid and test with their standard errors
        in valid_error and test_error, Kaggle's public and private scores, time in s, and more. What is unknown is NaN.

        Of two runs a row for each thing in which they differ, by its kind (``recipe``, ``run``, ``score``) and name,
        with the values of the first and the second one. Scores have their difference, second - first, with its standard
        error if they were independent, and whether it is clear: larger than twice the error.

    Raises:
        UserError: There is no such competition or run, or a run's files cannot be read.
        UsageError: There is no such column, or there are more than two runs.
    """
    from kagglekit.commands.history import listed
    from kagglekit.notebook.run import Run
    from kagglekit.runs.history import COLUMNS, sort_entries
    from kagglekit.system.errors import unknown

    if sort not in COLUMNS:
        raise UsageError(unknown("column", sort, COLUMNS))
    if len(which) > 2:
        raise UsageError(f"cannot compare {len(which)} runs: history compares two", "kagglekit.history(RUN, RUN)")
    if len(which) == 2:
        return _comparison(*(Run.of(run, out) for run in which))
    entries = listed(name_of(which[0]) if which else "", Path(out), for_people(json_output=False).warn)
    rows = []
    for entry in sort_entries(entries, sort):
        row = {name: getattr(entry, name) for name in COLUMNS}
        for name in ("valid", "test"):
            score = row[name]
            row[name], row[f"{name}_error"] = (score.value, score.error) if score else (None, None)
        rows.append(row)
    return _table(rows, COLUMNS)


def _table(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    columns = [each for name in names for each in (name, *([f"{name}_error"] if name in ("valid", "test") else []))]
    table = pd.DataFrame(rows, columns=columns).set_index("run")
    numbers = ("valid", "valid_error", "test", "test_error", "public", "private", "best", "gap", "time")
    return table.astype(dict.fromkeys(numbers, "float64"))


def _comparison(a: RunFolder, b: RunFolder) -> pd.DataFrame:
    import pandas as pd

    from kagglekit.runs.history import compared_scores, differing_facts, differing_recipe
    from kagglekit.types.metric import Score

    rows: list[tuple[object, ...]] = [("run", "name", a.name, b.name, None, None, None)]
    for kind, found in (("recipe", differing_recipe(a, b)), ("run", differing_facts(a, b))):
        rows += [(kind, name, *pair, None, None, None) for name, pair in found.items()]
    for name, each in compared_scores(a, b).items():
        pair = [score.value if isinstance(score, Score) else score for score in (each.a, each.b)]
        rows.append(("score", name, *pair, each.change, each.error, each.clear))
    columns = ["kind", "name", "first", "second", "difference", "difference_error", "clear"]
    table = pd.DataFrame(rows, columns=columns).set_index(["kind", "name"])
    return table.astype({"difference": "float64", "difference_error": "float64"})


def _show_plots(files: Iterable[Path]) -> None:
    """Show plots below the output of a notebook's cell; large ones as JPEG, since the notebook keeps them."""
    if not kernel():
        return
    for file in files:
        kind, content = "image/png", file.read_bytes()
        if len(content) > LARGE:
            kind, content = "image/jpeg", _as_jpeg(content)
        show({kind: content, "text/plain": file.stem})


def _as_jpeg(content: bytes) -> bytes:
    from PIL import Image

    smaller = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(smaller, "JPEG", quality=80)
    return smaller.getvalue()
