"""kagglekit from Python, for notebooks: the same runs as from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from kagglekit.device import Compute, Format, choose_device
from kagglekit.errors import UserError
from kagglekit.hooks import Hooks
from kagglekit.loader import Loader
from kagglekit.manager import load
from kagglekit.members import n_passes
from kagglekit.model import data_config, load_weights, set_input_size
from kagglekit.passes import mean_over_passes, predict_pass
from kagglekit.pictures import built_store
from kagglekit.plan import Request
from kagglekit.predictions import make_predictions
from kagglekit.progress import Display, for_people
from kagglekit.recipe import Recipe, Stage
from kagglekit.run_folder import RUNS, Run, find_run
from kagglekit.store import StoreSpec, bad_images_error
from kagglekit.view import View, image_keys
from kagglekit.warp import copy_side

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

    Args:
        competition: A competition's name or a plugin file.
        data: The unpacked data; None for the usual places, or a download.
        settings: Recipe fields to change, for example ``{"arch": "resnet34", "stage.2.size": 224}``.
        out: Folder of all runs.
        display: Where it shows itself; None for standard output.
        **options: Further fields of `kagglekit.plan.Request`, for example ``preset`` or ``device``.

    Returns:
        The finished run's folder.

    Raises:
        UserError: Something the user can mend.
    """
    from kagglekit.start import start

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


def predict(
    run: Run | str | Path, paths: Sequence[str | Path], *, tta: bool = False, device: str = "auto"
) -> pd.DataFrame:
    """Predict the classes of image files with a finished run's final weights.

    Needs nothing but the run's folder and the plugins: no training data, no hub.

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
    trained = _restore(folder, choose_device(device))
    files = tuple(Path(path).absolute() for path in paths)
    passes = [
        np.concatenate([part.numpy() for part in _predict_view(trained, files, view, turn)])
        for view, turn in _views(trained, tta)
    ]
    return make_predictions([str(path) for path in paths], trained.classes, mean_over_passes(passes))


@dataclass(frozen=True)
class _Trained:
    """A finished run's network, ready to predict."""

    hooks: Hooks
    recipe: Recipe
    stage: Stage
    classes: list[str]
    model: nn.Module
    compute: Compute

    @property
    def size(self) -> int:
        return self.recipe.predict_size or self.stage.size


def _restore(folder: Run, device: torch.device) -> _Trained:
    """Build a run's network from its folder alone."""
    recipe, info = folder.recipe(), folder.info()
    if not folder.final_weights.exists():
        raise UserError(f"{folder.folder} has no final weights", "only a run that has finished training predicts")
    hooks = Hooks(load(info["plugin"]))
    model = hooks.model(recipe.model_copy(update={"pretrained": False, "weights": ""}), len(info["classes"]))
    stage = recipe.stages[info["stages"][-1] - 1]
    set_input_size(model, stage.size)
    load_weights(model, folder.final_weights)
    set_input_size(model, recipe.predict_size or stage.size)
    model.to(memory_format=torch.channels_last).to(device)
    fp32 = Format("fp32", channels_last=True)
    return _Trained(hooks, recipe, stage, info["classes"], model, Compute(device, fp32, fp32, "as weights are kept"))


def _views(trained: _Trained, tta: bool) -> Iterator[tuple[View, int]]:
    """Yield each view with its pass: the plain one, then the augmented ones if asked for."""
    recipe, stage, config = trained.recipe, trained.stage, data_config(trained.model)
    yield trained.hooks.views(recipe, stage, "plain", config), 0
    if tta and recipe.tta:
        view = trained.hooks.views(recipe, stage, "tta", config)
        yield from ((view, turn) for turn in range(1, n_passes(view, recipe.tta) + 1))


def _predict_view(trained: _Trained, files: tuple[Path, ...], view: View, turn: int) -> Iterator[Tensor]:
    spec = StoreSpec(files, Path(files[0].anchor), copy_side(trained.size), view.fit, trained.hooks.reader())
    store = built_store(spec, trained.hooks.read_image)
    if store.bad:
        raise bad_images_error(store, "leave them out of the list")
    keys = image_keys([path.stem for path in files], trained.recipe.seed, "tta")
    loader = Loader(store, view, trained.size, data_config(trained.model), keys, trained.compute.device)
    return predict_pass(trained.model, loader, np.arange(len(files)), turn, trained.compute)
