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
from kagglekit.workflows.full_data import full_request

if TYPE_CHECKING:
    from kagglekit.prediction.shown import Predictions


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

    On a CPU the process keeps freed memory during the run, and returns it at the end (`memory_returned`).

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
    images: Any,
    *,
    tta: bool = False,
    top: int = 5,
    device: str = "auto",
    plugins: Sequence[str | Path] = (),
) -> Predictions:
    """Predict images with a finished run: ``predict("latest", "cat.jpg")``.

    A cross-validated run predicts with the members of all folds. A blend predicts with the members of its runs, whose
    folders must still be beside its own. The run's fitted ensemble combines them; an ensemble of ranks ranks these
    images among one another. Only the run's folder and the plugins are needed: no training data, no hub.

    Args:
        run: A run, its folder, or its name in ``submissions``; ``latest`` for the last one.
        images: A path, a folder, a PIL image, an array (H, W) or (H, W, 3) of uint8, or a list of these.
        tta: Average the plain view with the recipe's augmented ones.
        top: Classes that a notebook shows for an image.
        device: Device to compute on.
        plugins: Plugin files to use; none for the run's own, if they were used for a run here and have not been edited.

    Returns:
        Float32 predictions, shape (images, columns): rows are named by path. Columns are the classes or labels, with
        probabilities, or the targets, with numbers. In a notebook the table shows each image beside its best classes;
        ``answers`` has them as plain data.

    Raises:
        UserError: The run has not finished, or an image cannot be decoded.
    """
    found = run if isinstance(run, Run) else find_run(str(run))
    from kagglekit.compute.device import choose_device
    from kagglekit.compute.memory import memory_returned
    from kagglekit.prediction.shown import predict_given

    with memory_returned(), plugins_named(plugins):
        return predict_given(found, images, choose_device(device), tta=tta, top=top)
