"""kagglekit: from an image competition to a checked submission.

Everything a plugin or a notebook needs is imported from here; each name is loaded when it is first used, so
``from kagglekit import hookimpl, Competition, Recipe, Stage`` imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.api import predict as predict
    from kagglekit.api import run as run
    from kagglekit.archive import unpacked as unpacked
    from kagglekit.competition import Competition as Competition
    from kagglekit.competition import Provides as Provides
    from kagglekit.competition import RemoteFile as RemoteFile
    from kagglekit.ensemble import Ensemble as Ensemble
    from kagglekit.ensemble import Member as Member
    from kagglekit.errors import UserError as UserError
    from kagglekit.hookspecs import hookimpl as hookimpl
    from kagglekit.labels import labels_from_csv as labels_from_csv
    from kagglekit.labels import labels_from_folders as labels_from_folders
    from kagglekit.labels import labels_from_list as labels_from_list
    from kagglekit.labels import labels_from_mat as labels_from_mat
    from kagglekit.labels import labels_from_names as labels_from_names
    from kagglekit.labels import unlabelled_images as unlabelled_images
    from kagglekit.metric import Metric as Metric
    from kagglekit.metric import Score as Score
    from kagglekit.model import DataConfig as DataConfig
    from kagglekit.recipe import Recipe as Recipe
    from kagglekit.recipe import Stage as Stage
    from kagglekit.recipe import progressive_stages as progressive_stages
    from kagglekit.run_folder import Run as Run
    from kagglekit.schedule import Schedule as Schedule
    from kagglekit.table import split_off as split_off
    from kagglekit.view import View as View
    from kagglekit.view import uniforms as uniforms

__version__ = "0.1.0"

_HOMES = {
    "predict": "api",
    "run": "api",
    "Run": "run_folder",
    "unpacked": "archive",
    "Competition": "competition",
    "Provides": "competition",
    "RemoteFile": "competition",
    "Ensemble": "ensemble",
    "Member": "ensemble",
    "UserError": "errors",
    "hookimpl": "hookspecs",
    "labels_from_csv": "labels",
    "labels_from_folders": "labels",
    "labels_from_list": "labels",
    "labels_from_mat": "labels",
    "labels_from_names": "labels",
    "unlabelled_images": "labels",
    "Metric": "metric",
    "Score": "metric",
    "DataConfig": "model",
    "Recipe": "recipe",
    "Stage": "recipe",
    "progressive_stages": "recipe",
    "Schedule": "schedule",
    "split_off": "table",
    "View": "view",
    "uniforms": "view",
}
__all__ = sorted(set(_HOMES) - {"predict", "run"})  # these two import torch: not for a plugin's star import


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
