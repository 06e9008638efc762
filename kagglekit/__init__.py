"""kagglekit: from an image competition to a checked submission.

Everything a plugin or a notebook needs is imported from here; each name is loaded when it is first used, so
``from kagglekit import hookimpl, Competition, Recipe, Stage`` imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kagglekit._version import __version__ as __version__

if TYPE_CHECKING:
    from kagglekit.api import predict as predict
    from kagglekit.api import run as run
    from kagglekit.data.archive.extract import unpacked as unpacked
    from kagglekit.data.labels import labels_from_csv as labels_from_csv
    from kagglekit.data.labels import labels_from_folders as labels_from_folders
    from kagglekit.data.labels import labels_from_list as labels_from_list
    from kagglekit.data.labels import labels_from_mat as labels_from_mat
    from kagglekit.data.labels import labels_from_names as labels_from_names
    from kagglekit.data.labels import unlabelled_images as unlabelled_images
    from kagglekit.data.splits import split_off as split_off
    from kagglekit.hooks.specs import hookimpl as hookimpl
    from kagglekit.runs.folder import Run as Run
    from kagglekit.system.errors import UserError as UserError
    from kagglekit.types.competition import Competition as Competition
    from kagglekit.types.competition import Provides as Provides
    from kagglekit.types.competition import RemoteFile as RemoteFile
    from kagglekit.types.data_config import DataConfig as DataConfig
    from kagglekit.types.ensemble import Ensemble as Ensemble
    from kagglekit.types.ensemble import Member as Member
    from kagglekit.types.metric import Metric as Metric
    from kagglekit.types.metric import Score as Score
    from kagglekit.types.presets import progressive_stages as progressive_stages
    from kagglekit.types.randomness import uniforms as uniforms
    from kagglekit.types.recipe import Recipe as Recipe
    from kagglekit.types.recipe import Stage as Stage
    from kagglekit.types.schedule import Schedule as Schedule
    from kagglekit.types.view import View as View

_HOMES = {
    "predict": "api",
    "run": "api",
    "unpacked": "data.archive.extract",
    "labels_from_csv": "data.labels",
    "labels_from_folders": "data.labels",
    "labels_from_list": "data.labels",
    "labels_from_mat": "data.labels",
    "labels_from_names": "data.labels",
    "unlabelled_images": "data.labels",
    "split_off": "data.splits",
    "hookimpl": "hooks.specs",
    "Run": "runs.folder",
    "UserError": "system.errors",
    "Competition": "types.competition",
    "Provides": "types.competition",
    "RemoteFile": "types.competition",
    "DataConfig": "types.data_config",
    "Ensemble": "types.ensemble",
    "Member": "types.ensemble",
    "Metric": "types.metric",
    "Score": "types.metric",
    "progressive_stages": "types.presets",
    "uniforms": "types.randomness",
    "Recipe": "types.recipe",
    "Stage": "types.recipe",
    "Schedule": "types.schedule",
    "View": "types.view",
}
__all__ = sorted(set(_HOMES) - {"predict", "run"})  # these two import torch: not for a plugin's star import


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
