"""The Python interface, for notebooks: the same runs as from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.authoring.from_folder import competition_of
from kagglekit.hooks.trust import plugins_named
from kagglekit.planning.choose import check_request, choose
from kagglekit.planning.request import Request
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import RUNS, find_run
from kagglekit.system.console import Display, for_people
from kagglekit.system.errors import UserError
from kagglekit.system.limits import Threads, check_threads, wait_passively
from kagglekit.workflows.full_data import full_request

if TYPE_CHECKING:
    import pandas as pd


def run(
    competition: str,
    *,
    data: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    out: str | Path = RUNS,
    display: Display | None = None,
    **options: Any,
) -> Run:
    """Train on a competition's images and write a checked submission: ``kagglekit run`` from Python.

    On a CPU the process keeps freed memory during the run, and returns it at the end (`memory_returned`). Threads wait
    for one another asleep, if torch has not been loaded before (`wait_passively`).

    Args:
        competition: A competition's name, a plugin file, or a data folder, whose layout is then recognised.
        data: The unpacked data; None for the default folders, then a download.
        settings: Recipe fields to set, for example ``{"arch": "resnet34", "stage.2.size": 224}``.
        out: Folder of all runs.
        display: Where to report progress; None for standard output.
        **options: Further fields of `kagglekit.planning.request.Request`, for example ``preset`` or ``device``.

    Returns:
        The finished run's folder.

    Raises:
        UserError: The user can fix it: the message says how.
    """
    wait_passively()
    began, display = time.perf_counter(), display or for_people(json_output=False)
    competition, folder = competition_of(competition, Path(data) if data is not None else None, display)
    request = Request(
        competition,
        data=folder,
        settings=tuple(
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in (settings or {}).items()
        ),
        out=Path(out),
        **options,
    )
    request = full_request(request) if request.full else request
    check_request(request)  # here and below: errors are reported before anything slow
    choose(request)
    with display.status("loading torch and timm"):
        from kagglekit.workflows.start import start
    return start(request, display, began=began)


def predict(
    run: Run | str | Path,
    paths: Sequence[str | Path],
    *,
    tta: bool = False,
    device: str = "auto",
    threads: Threads = "auto",
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """Predict image files with a finished run's final weights.

    A cross-validated run predicts with the members of all folds. A blend predicts with the members of its runs, whose
    folders must still be beside its own. The run's fitted ensemble combines them; an ensemble of ranks ranks these
    files among one another. Only the run's folder and the plugins are needed: no training data, no hub.

    Args:
        run: A run, its folder, or its name in ``submissions``.
        paths: Image files.
        tta: Average the plain view with the recipe's augmented ones.
        device: Device to compute on.
        threads: How many threads compute on the CPU; ``auto`` for one for each core that is free now.
        plugins: Plugin files to use; none for the run's own, if they were used for a run here and have not been edited.

    Returns:
        Float32 predictions, shape (files, columns): rows are named by path. Columns are the classes or labels, with
        probabilities, or the targets, with numbers.

    Raises:
        UserError: The run has not finished, or a file cannot be decoded.
    """
    check_threads(threads)
    if not paths:
        raise UserError("no images to predict", "name at least one file")
    found = run if isinstance(run, Run) else find_run(str(run))
    wait_passively()
    from kagglekit.compute.device import choose_device
    from kagglekit.compute.memory import memory_returned
    from kagglekit.compute.threads import free_threads
    from kagglekit.prediction.new_images import Family, predict_paths

    with memory_returned():
        family = Family.read(found)
        chosen = choose_device(device)
        with plugins_named(plugins), free_threads(threads, chosen):
            return predict_paths(family, paths, chosen, tta=tta)
