"""kagglekit from Python, for notebooks: the same runs as from the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.compute.device import choose_device
from kagglekit.compute.memory import memory_returned
from kagglekit.planning.request import Request
from kagglekit.prediction.load import predict_files, restore
from kagglekit.prediction.new_images import NewImages, has_parts, predict_new_images
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import RUNS, find_run
from kagglekit.system.console import Display, for_people
from kagglekit.system.errors import UserError
from kagglekit.types.predictions import make_predictions

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

    On a CPU this process keeps freed memory meanwhile; what is kept is given back at the end (`memory_returned`).

    Args:
        competition: A competition's name or a plugin file.
        data: The unpacked data; None for the usual places, or a download.
        settings: Recipe fields to change, for example ``{"arch": "resnet34", "stage.2.size": 224}``.
        out: Folder of all runs.
        display: Where it shows itself; None for standard output.
        **options: Further fields of `kagglekit.planning.request.Request`, for example ``preset`` or ``device``.

    Returns:
        The finished run's folder.

    Raises:
        UserError: Something the user can mend.
    """
    from kagglekit.workflows.start import start

    request = Request(
        competition,
        data=Path(data) if data is not None else None,
        settings=tuple(
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in (settings or {}).items()
        ),
        out=Path(out),
        **options,
    )
    return start(request, display or for_people(json_output=False))


@memory_returned()
def predict(
    run: Run | str | Path, paths: Sequence[str | Path], *, tta: bool = False, device: str = "auto"
) -> pd.DataFrame:
    """Predict the classes of image files with a finished run's final weights.

    A run of folds predicts with the members of all folds, a blend with those of its runs, whose folders must still lie
    beside it; the run's ensemble combines them, with what it has found (an ensemble of ranks ranks these files among
    each other). Needs nothing but the run's folder and the plugins: no training data, no hub.

    Args:
        run: A run, its folder, or its name in ``submissions``.
        paths: Image files.
        tta: Average the plain view with the recipe's augmented ones.
        device: Where to compute.

    Returns:
        A row a file, named by its path, a column a class, float32 probabilities.

    Raises:
        UserError: The run is not finished, or a file can't be decoded.
    """
    if not paths:
        raise UserError("there are no images to predict", "name at least one file")
    folder = run if isinstance(run, Run) else find_run(str(run))
    files = [Path(path).absolute() for path in paths]
    if has_parts(folder):
        by_path = {str(path): file for path, file in zip(paths, files, strict=True)}
        stems = [file.stem for file in by_path.values()]
        images = NewImages(list(by_path), stems, list(by_path.values()), choose_device(device), tta=tta)
        return predict_new_images(folder, images).loc[[str(path) for path in paths]]
    restored = restore(folder, choose_device(device))
    found = predict_files(restored, files, [file.stem for file in files], tta=tta)
    return make_predictions([str(path) for path in paths], restored.classes, found.probabilities)
