"""kagglekit: from an image competition to a checked submission.

Plugins and notebooks import everything from here. A name is loaded at its first use, so that
``from kagglekit import hookimpl, Competition, Recipe, Stage`` imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from kagglekit._version import __version__ as __version__

if TYPE_CHECKING:
    from kagglekit.api import blend as blend
    from kagglekit.api import predict as predict
    from kagglekit.api import resume as resume
    from kagglekit.api import run as run
    from kagglekit.compute.finite import check_finite as check_finite
    from kagglekit.compute.network import round_sizes as round_sizes
    from kagglekit.compute.timm_names import timm_names as timm_names
    from kagglekit.containers.opening import read_member as read_member
    from kagglekit.data.archive.cached import unpacked as unpacked
    from kagglekit.data.json_file import read_json as read_json
    from kagglekit.data.labels.containers import labels_from_containers as labels_from_containers
    from kagglekit.data.labels.containers import members as members
    from kagglekit.data.labels.containers import unlabelled_members as unlabelled_members
    from kagglekit.data.labels.folders import labels_from_folders as labels_from_folders
    from kagglekit.data.labels.folders import labels_from_list as labels_from_list
    from kagglekit.data.labels.folders import labels_from_names as labels_from_names
    from kagglekit.data.labels.folders import unlabelled_images as unlabelled_images
    from kagglekit.data.labels.long_form import labels_from_long_csv as labels_from_long_csv
    from kagglekit.data.labels.matlab import labels_from_mat as labels_from_mat
    from kagglekit.data.labels.tables import labels_from_csv as labels_from_csv
    from kagglekit.data.labels.tables import labels_from_json as labels_from_json
    from kagglekit.data.long_form import split_ids as split_ids
    from kagglekit.data.parts import assign_parts as assign_parts
    from kagglekit.data.splits import split_off as split_off
    from kagglekit.explore import history as history
    from kagglekit.explore import look as look
    from kagglekit.explore import lr_find as lr_find
    from kagglekit.explore import report as report
    from kagglekit.hooks.specs import ViewMode as ViewMode
    from kagglekit.hooks.specs import hookimpl as hookimpl
    from kagglekit.images.opening import UnreadableImage as UnreadableImage
    from kagglekit.images.opening import open_image as open_image
    from kagglekit.images.opening import reading_image as reading_image
    from kagglekit.kaggle.data_folder import download_files as download_files
    from kagglekit.kaggle.data_folder import download_from_kaggle as download_from_kaggle
    from kagglekit.kaggle.kernels.machines import KaggleMachines as KaggleMachines
    from kagglekit.notebook.run import Run as Run
    from kagglekit.runs.archive import pack_folder as pack_folder
    from kagglekit.runs.archive import unpack_folder as unpack_folder
    from kagglekit.system.errors import NotForTask as NotForTask
    from kagglekit.system.errors import UsageError as UsageError
    from kagglekit.system.errors import UserError as UserError
    from kagglekit.system.errors import listing as listing
    from kagglekit.system.errors import unknown as unknown
    from kagglekit.system.job_process import JobProcess as JobProcess
    from kagglekit.system.job_process import start_process as start_process
    from kagglekit.system.limits import cores as cores
    from kagglekit.system.members import member_of as member_of
    from kagglekit.system.pixel_limit import check_pixels as check_pixels
    from kagglekit.tasks.confident_learning import label_errors as label_errors
    from kagglekit.tasks.log_pool import fit_log_pool as fit_log_pool
    from kagglekit.tasks.multi_label import MultiLabel as MultiLabel
    from kagglekit.tasks.ordinal import Ordinal as Ordinal
    from kagglekit.tasks.regression import Regression as Regression
    from kagglekit.tasks.several import Several as Several
    from kagglekit.tasks.single_label import SingleLabel as SingleLabel
    from kagglekit.tasks.targets import Targets as Targets
    from kagglekit.tasks.targets import Teacher as Teacher
    from kagglekit.tasks.task import FittedHead as FittedHead
    from kagglekit.tasks.task import Task as Task
    from kagglekit.types.competition import Competition as Competition
    from kagglekit.types.competition import Provides as Provides
    from kagglekit.types.competition import RemoteFile as RemoteFile
    from kagglekit.types.data_config import DataConfig as DataConfig
    from kagglekit.types.data_config import SourceClassifier as SourceClassifier
    from kagglekit.types.data_config import Tap as Tap
    from kagglekit.types.decision import Decision as Decision
    from kagglekit.types.download import DownloadOptions as DownloadOptions
    from kagglekit.types.ensemble import Ensemble as Ensemble
    from kagglekit.types.ensemble import Member as Member
    from kagglekit.types.ensemble import Metadata as Metadata
    from kagglekit.types.executor import Ended as Ended
    from kagglekit.types.executor import Executor as Executor
    from kagglekit.types.executor import Job as Job
    from kagglekit.types.executor import Need as Need
    from kagglekit.types.image_table import group_numbers as group_numbers
    from kagglekit.types.metric import BUILT_IN_METRICS as BUILT_IN_METRICS
    from kagglekit.types.metric import Metric as Metric
    from kagglekit.types.metric import Score as Score
    from kagglekit.types.metric import needs as needs
    from kagglekit.types.pixel_form import as_rgb as as_rgb
    from kagglekit.types.pixel_range import PixelRange as PixelRange
    from kagglekit.types.pixel_range import range_of as range_of
    from kagglekit.types.pixel_range import to_8_bits as to_8_bits
    from kagglekit.types.predictions import aligned as aligned
    from kagglekit.types.predictions import average as average
    from kagglekit.types.predictions import check_predictions as check_predictions
    from kagglekit.types.predictions import difference as difference
    from kagglekit.types.predictions import free_name as free_name
    from kagglekit.types.predictions import make_predictions as make_predictions
    from kagglekit.types.predictions import truth_numbers as truth_numbers
    from kagglekit.types.presets import progressive_stages as progressive_stages
    from kagglekit.types.presets import quick_stages as quick_stages
    from kagglekit.types.randomness import image_keys as image_keys
    from kagglekit.types.randomness import uniforms as uniforms
    from kagglekit.types.recipe import Recipe as Recipe
    from kagglekit.types.schedule import Schedule as Schedule
    from kagglekit.types.search import Parameter as Parameter
    from kagglekit.types.search import Sampler as Sampler
    from kagglekit.types.search import Study as Study
    from kagglekit.types.stage import Stage as Stage
    from kagglekit.types.view import Augmentation as Augmentation
    from kagglekit.types.view import CropMode as CropMode
    from kagglekit.types.view import View as View

_HOMES = {
    "blend": "api",
    "predict": "api",
    "resume": "api",
    "run": "api",
    "history": "explore",
    "look": "explore",
    "lr_find": "explore",
    "report": "explore",
    "check_finite": "compute.finite",
    "round_sizes": "compute.network",
    "timm_names": "compute.timm_names",
    "read_member": "containers.opening",
    "unpacked": "data.archive.cached",
    "read_json": "data.json_file",
    "labels_from_csv": "data.labels.tables",
    "labels_from_folders": "data.labels.folders",
    "labels_from_json": "data.labels.tables",
    "labels_from_long_csv": "data.labels.long_form",
    "labels_from_list": "data.labels.folders",
    "labels_from_containers": "data.labels.containers",
    "members": "data.labels.containers",
    "unlabelled_members": "data.labels.containers",
    "labels_from_mat": "data.labels.matlab",
    "labels_from_names": "data.labels.folders",
    "unlabelled_images": "data.labels.folders",
    "split_ids": "data.long_form",
    "assign_parts": "data.parts",
    "split_off": "data.splits",
    "ViewMode": "hooks.specs",
    "hookimpl": "hooks.specs",
    "UnreadableImage": "images.opening",
    "open_image": "images.opening",
    "reading_image": "images.opening",
    "PixelRange": "types.pixel_range",
    "range_of": "types.pixel_range",
    "as_rgb": "types.pixel_form",
    "to_8_bits": "types.pixel_range",
    "download_files": "kaggle.data_folder",
    "download_from_kaggle": "kaggle.data_folder",
    "KaggleMachines": "kaggle.kernels.machines",
    "pack_folder": "runs.archive",
    "unpack_folder": "runs.archive",
    "Run": "notebook.run",
    "NotForTask": "system.errors",
    "UsageError": "system.errors",
    "UserError": "system.errors",
    "listing": "system.errors",
    "unknown": "system.errors",
    "JobProcess": "system.job_process",
    "start_process": "system.job_process",
    "cores": "system.limits",
    "member_of": "system.members",
    "check_pixels": "system.pixel_limit",
    "label_errors": "tasks.confident_learning",
    "Targets": "tasks.targets",
    "Teacher": "tasks.targets",
    "FittedHead": "tasks.task",
    "fit_log_pool": "tasks.log_pool",
    "MultiLabel": "tasks.multi_label",
    "Ordinal": "tasks.ordinal",
    "Regression": "tasks.regression",
    "Several": "tasks.several",
    "SingleLabel": "tasks.single_label",
    "Task": "tasks.task",
    "Competition": "types.competition",
    "Provides": "types.competition",
    "RemoteFile": "types.competition",
    "DataConfig": "types.data_config",
    "SourceClassifier": "types.data_config",
    "Tap": "types.data_config",
    "Decision": "types.decision",
    "DownloadOptions": "types.download",
    "Ensemble": "types.ensemble",
    "Member": "types.ensemble",
    "Metadata": "types.ensemble",
    "Ended": "types.executor",
    "Executor": "types.executor",
    "Job": "types.executor",
    "Need": "types.executor",
    "group_numbers": "types.image_table",
    "BUILT_IN_METRICS": "types.metric",
    "Metric": "types.metric",
    "Score": "types.metric",
    "needs": "types.metric",
    "aligned": "types.predictions",
    "average": "types.predictions",
    "check_predictions": "types.predictions",
    "difference": "types.predictions",
    "free_name": "types.predictions",
    "make_predictions": "types.predictions",
    "truth_numbers": "types.predictions",
    "progressive_stages": "types.presets",
    "quick_stages": "types.presets",
    "image_keys": "types.randomness",
    "uniforms": "types.randomness",
    "Recipe": "types.recipe",
    "Stage": "types.stage",
    "Schedule": "types.schedule",
    "Parameter": "types.search",
    "Sampler": "types.search",
    "Study": "types.search",
    "Augmentation": "types.view",
    "CropMode": "types.view",
    "View": "types.view",
}
_HEAVY = (
    "api",
    "explore",
    "compute.network",
    "kaggle.data_folder",
    "types.predictions",
    "tasks",
)  # not for a plugin's star import
__all__ = sorted(name for name, home in _HOMES.items() if not home.startswith(_HEAVY))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted([*_HOMES, "__version__", "__doc__"])


class _FrontDoor(ModuleType):
    """This module: `report` is the function, also after the package of that name was imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
