"""Build a finished run's networks from its folder alone, without training data or network access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from kagglekit.compute.device import Compute, Format
from kagglekit.compute.forward import predict_pass
from kagglekit.compute.heads.stacked_head import for_split, load_network
from kagglekit.compute.network import data_config, set_input_size, set_normalisation
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.images.decode import built_store
from kagglekit.images.loader import Loader, Passes
from kagglekit.images.store import ImageStore, StoreSpec, bad_images_error
from kagglekit.images.warp import copy_side
from kagglekit.prediction.finish import size_of
from kagglekit.prediction.ready import check_weights
from kagglekit.prediction.sizes import mean_of_sizes
from kagglekit.prediction.tta import predicting_views
from kagglekit.runs.info import RunInfo
from kagglekit.runs.loaded import LoadedRun
from kagglekit.tasks.task import Task
from kagglekit.types.data_config import DataConfig
from kagglekit.types.pixel_form import RGB, PixelForm
from kagglekit.types.predictions import make_predictions
from kagglekit.types.randomness import image_keys
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage
from kagglekit.types.view import CropMode


@dataclass(frozen=True)
class LoadedModel:
    """A finished run's network, ready to predict.

    Attributes:
        hooks: The run's plugins.
        recipe: Its recipe.
        stage: The stage that the weights come from.
        task: What is predicted.
        model: The network, on the device.
        config: What it expects of its input.
        compute: Device and format.
        size: Side of the images at prediction, px.
        form: Of the stored images.
    """

    hooks: Hooks
    recipe: Recipe
    stage: Stage
    task: Task
    model: nn.Module
    config: DataConfig
    compute: Compute
    size: int
    form: PixelForm = RGB


@dataclass(frozen=True)
class FilePredictions:
    """Predictions of image files.

    Attributes:
        rows: (M,) int64: positions of the files that could be decoded.
        values: (M, C) float32.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def restore(
    loaded: LoadedRun, device: torch.device, member: str = "final", nth_size: int = 0, *, valid: bool = False
) -> LoadedModel:
    """Build a run's network with its final weights, or those of one of its members.

    Args:
        loaded: The run.
        device: Where it computes.
        member: Its name; ``final`` for the last weights.
        valid: Predict as valid images are predicted: by heads that have not seen those of the run.
        nth_size: Number of the size to predict at, 0 for its own (`Recipe.predicting_sizes`).

    Raises:
        UserError: The run has no such weights.
    """
    folder, recipe, info = loaded.run, loaded.recipe, loaded.info
    check_weights(folder, member)
    hooks = Hooks(load_for(info))
    bare = recipe.model_copy(update={"pretrained": False, "weights": ""})
    task = task_of(hooks, info)
    model = hooks.model(bare, task.n_outputs)
    if info.mean:
        set_normalisation(model, info.mean, info.std)
    last = recipe.stages[info.stages[-1] - 1]
    stage = next((stage for stage in recipe.stages if stage.name == member.rpartition("-cycle")[0]), last)
    set_input_size(model, stage.size)
    groups = hooks.layer_groups(model, bare)
    own = size_of(recipe, info, member, stage)
    size = recipe.predicting_sizes(stage, data_config(model).multiple, own)[nth_size]
    network = load_network(model, groups, folder.snapshot(member), size)
    network = for_split(network.to(memory_format=torch.channels_last).to(device), valid=valid)
    fp32 = Format("fp32", channels_last=True)
    compute = Compute(device, fp32, fp32, "as the weights are saved")
    return LoadedModel(hooks, recipe, stage, task, network, data_config(model), compute, size, info.form)


def predict_at_sizes(
    loaded: LoadedRun,
    device: torch.device,
    member: str,
    files: Sequence[Path],
    names: Sequence[str],
    *,
    tta: bool,
    skip_bad: bool = False,
) -> pd.DataFrame:
    """Predict image files with a member; under test-time augmentation, at all sizes of the recipe, pooled as it was.

    The arguments are those of `restore` and `predict_files`.

    Returns:
        Predictions by position in `files`, without those that could not be decoded.
    """
    restored, tables = restore(loaded, device, member), {}
    sizes = loaded.recipe.predicting_sizes(restored.stage, restored.config.multiple, restored.size)
    for nth, size in enumerate(sizes if tta else sizes[:1]):
        restored = restore(loaded, device, member, nth) if nth else restored
        found = predict_files(restored, files, names, tta=tta, skip_bad=skip_bad)
        tables[size] = make_predictions(map(str, found.rows), restored.task.columns, found.values)
    if len(tables) == 1:
        return tables[sizes[0]]
    known = loaded.info.size_weights
    return mean_of_sizes(tables, known.get(member) or next(reversed(known.values()), {}))


def task_of(hooks: Hooks, info: RunInfo) -> Task:
    """Return what a run predicts."""
    return hooks.task(info.task).load(info.classes, info.task_state)


def predict_files(
    restored: LoadedModel, files: Sequence[Path], names: Sequence[str], *, tta: bool, skip_bad: bool = False
) -> FilePredictions:
    """Predict image files, plain or averaged with the recipe's augmented views.

    Args:
        restored: The network.
        files: (N) absolute paths.
        names: (N) names that the randomness of the views depends on.
        tta: Average in the augmented views.
        skip_bad: Leave out files that cannot be decoded.

    Raises:
        UserError: A file cannot be decoded.
    """
    config = restored.config
    views = predicting_views(restored.hooks, restored.recipe, restored.stage, config, tta=tta)
    stores = {fit: _store(restored, files, fit) for fit in dict.fromkeys(view.fit for view, _ in views)}
    bad = next((store for store in stores.values() if store.bad), None)
    if bad and not skip_bad:
        raise bad_images_error(bad, "leave them out of the list")
    rows = np.setdiff1d(np.arange(len(files)), list(bad.bad) if bad else []).astype(np.int64)
    keys = image_keys(names, restored.recipe.seed, "tta")
    device = restored.compute.device
    loaders = [(Loader(stores[view.fit], view, restored.size, config, keys, device), number) for view, number in views]
    passes = Passes(loaders, rows)
    task = restored.task
    passed = predict_pass(restored.model, passes, passes.places, 0, restored.compute, task.activate)
    found = np.concatenate([*(part.numpy() for part in passed), np.zeros((0, task.n_outputs), np.float32)])
    return FilePredictions(rows, task.mean_of_passes(found.reshape(len(loaders), len(rows), task.n_outputs)))


def _store(restored: LoadedModel, files: Sequence[Path], fit: CropMode) -> ImageStore:
    root, hooks = Path(files[0].anchor), restored.hooks
    spec = StoreSpec(tuple(files), root, copy_side(restored.size), fit, hooks.reader(), form=restored.form)
    return built_store(spec, hooks.read_values)
