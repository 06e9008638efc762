"""A run's folder: the only module with the names of the files in it, but for the two in `kagglekit.runs.place`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.runs.csv_rows import read_rows, write_rows
from kagglekit.runs.info import RunInfo, read_info, read_known
from kagglekit.runs.place import INFO, RECIPE
from kagglekit.runs.uploads import Uploads
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.system.typed_json import read_model, read_object
from kagglekit.types.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

DAMAGED_RECIPE = "it is damaged, or another version of kagglekit wrote it: use that version, or run again"


@dataclass(frozen=True)
class Run:
    """The folder of one run, finished or not.

    Attributes:
        folder: Its path.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def recipe_file(self) -> Path:
        """The whole recipe, overrides applied."""
        return self.folder / RECIPE

    @property
    def info_file(self) -> Path:
        """Versions, device, seeds, the plugins used for each hook, timings, scores."""
        return self.folder / INFO

    @property
    def log_file(self) -> Path:
        """One row per epoch."""
        return self.folder / "log.csv"

    @property
    def output_file(self) -> Path:
        """The output of the jobs that trained the run."""
        return self.folder / "run.log"

    @property
    def steps_file(self) -> Path:
        """One row per optimizer step."""
        return self.folder / "steps.csv"

    @property
    def valid_file(self) -> Path:
        """Id, file and class of every valid image."""
        return self.folder / "valid.csv"

    @property
    def test_images_file(self) -> Path:
        """Id and file of the test images that were predicted most and least surely."""
        return self.folder / "test-images.csv"

    @property
    def label_errors_file(self) -> Path:
        """The valid images whose label is probably wrong."""
        return self.folder / "label-errors.csv"

    @property
    def dropped_file(self) -> Path:
        """Ids of labelled images that training never saw."""
        return self.folder / "dropped.csv"

    @property
    def report(self) -> Path:
        """The report, a single page."""
        return self.folder / "report.html"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures for the report: augmented images, and where a network looks."""
        return self.folder / "pictures"

    @property
    def submission(self) -> Path:
        """The CSV to upload."""
        return self.folder / "submission.csv"

    @property
    def score_file(self) -> Path:
        """The uploads to Kaggle and their scores: see `submissions`."""
        return self.folder / "score.json"

    @property
    def final_weights(self) -> Path:
        """The weights at the end of training."""
        return self.folder / "snapshots" / "final.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints that an unfinished run resumes from; removed at its end."""
        return self.folder / "checkpoint"

    @property
    def plugin_copies(self) -> Path:
        """The folder of copies of its plugin files."""
        return self.folder / "plugins"

    @property
    def kernel(self) -> Path:
        """The folder of the kernel that predicts with it on Kaggle's machines."""
        return self.folder / "kernel"

    @property
    def on_kaggle(self) -> Path:
        """The folder of the kernel that trains its parts on Kaggle's machines; removed once they are back."""
        return self.folder / "kaggle"

    def snapshot(self, member: str) -> Path:
        """Return the file of a member's weights."""
        return self.folder / "snapshots" / f"{member}.safetensors"

    def predictions(self, member: str, split: str) -> Path:
        """Return the file of a member's, or the ensemble's, predictions for ``valid`` or ``test``."""
        return self.folder / "predictions" / f"{member}-{split}.npz"

    def plain_predictions(self, member: str, split: str) -> Path:
        """Return the file of a member's predictions without test-time augmentation."""
        return self.folder / "predictions" / f"{member}-plain-{split}.npz"

    def fitted_on(self, member: str) -> Path:
        """Return the file of a member's predictions that the ensemble is fitted on: valid ones, or another run's."""
        others = self.folder / "predictions" / f"{member}-fitted-on.npz"
        return others if self.fitted_file.exists() else self.predictions(member, "valid")

    @property
    def fitted_file(self) -> Path:
        """Id and class of every image that the ensemble is fitted on, if these are another run's valid images."""
        return self.folder / "fitted-on.csv"

    @property
    def metadata_file(self) -> Path:
        """Columns beside the images that the ensemble is fitted on; only if the competition names some."""
        return self.folder / "metadata.csv"

    def remove_checkpoints(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def remove_predictions(self) -> None:
        """Remove all predictions before they are made again."""
        shutil.rmtree(self.folder / "predictions", ignore_errors=True)

    def remove_parts(self) -> None:
        """Remove the unfinished files of a process that died."""
        for file in self.folder.rglob(".*.part"):
            file.unlink(missing_ok=True)

    def fold(self, number: int) -> Run:
        """Return the run, with a folder of its own, that trains without fold `number`, from 1."""
        return Run(self.folder / f"fold-{number}")

    def blended(self, name: str) -> Run:
        """Return a run that this one blends: in its folder, as a zoo's networks are, or else beside it."""
        inside = Run(self.folder / name)
        return inside if inside.info_file.exists() else Run(self.folder.parent / name)

    def recipe(self) -> Recipe:
        """Read the recipe.

        Raises:
            UserError: There is none, or it is damaged or of another version.
        """
        self._check_is_run()
        return read_model(Recipe, self.recipe_file, DAMAGED_RECIPE)

    def raw_recipe(self) -> dict[str, Any]:
        """Read the recipe unchecked: one of an older version may no longer be valid.

        Raises:
            UserError: There is none, or it is damaged.
        """
        try:
            return read_object(self.recipe_file, DAMAGED_RECIPE)
        except UserError:
            self._check_is_run()
            raise

    def _check_is_run(self) -> None:
        if not self.recipe_file.exists():
            what = f"{self.folder} is not a run: it has no {self.recipe_file.name}"
            raise UserError(what, "list your runs: kagglekit history")

    def info(self) -> RunInfo:
        """Read run.json; return no facts if the run has not begun.

        Raises:
            UserError: It is damaged, or missing although the run has begun; see `kagglekit.runs.info.read_known`.
        """
        return read_known(self.info_file) if self.recipe_file.exists() else read_info(self.info_file)

    def submissions(self) -> list[dict[str, Any]]:
        """Read the uploads to Kaggle, oldest first, from score.json; empty if there is no such file.

        Each has ``token`` (in the description, unique), ``ref`` (Kaggle's number; None until it is known), ``sent``
        (ISO, UTC), ``message``, ``status`` (``sending``, ``pending``, ``complete``, ``error``), ``public`` and
        ``private`` (scores, or None), ``error`` (Kaggle's reason) and ``sha256`` (of the file).

        Raises:
            UserError: The file is damaged.
        """
        if not self.score_file.exists():
            return []
        hint = "restore it from a copy: without it, a submission could be sent twice"
        uploads = read_model(Uploads, self.score_file, hint).submissions
        return [upload.model_dump(exclude_unset=True) for upload in uploads]

    def write_submissions(self, submissions: Sequence[Mapping[str, Any]]) -> None:
        """Write score.json."""
        write_text(self.score_file, json.dumps({"submissions": list(submissions)}, indent=1) + "\n")

    def write_recipe(self, recipe: Recipe) -> None:
        """Write recipe.json, unless it is there: the time of the file says which run began first."""
        text = recipe.to_json() + "\n"
        with suppress(OSError, ValueError):
            if self.recipe_file.read_text(encoding="utf-8") == text:
                return
        write_text(self.recipe_file, text)

    def write_log(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the whole log.csv."""
        write_rows(self.log_file, list(rows))

    def log(self) -> pd.DataFrame:
        """Read log.csv: a row an epoch, with stage, size (px), cycle, epoch, step, rates, losses and scores as numbers.

        A run in folds has the rows of all its folds, with their number in the column ``fold``. Empty if there is none
        yet.

        Raises:
            UserError: The file is damaged.
        """
        import pandas as pd

        rows = [{"fold": run.name[5:], **row} for run in self.logged_folds() for row in run.log_rows()]
        rows = rows or self.log_rows()
        table = pd.DataFrame(rows)
        try:
            numbers = {name: pd.to_numeric(table[name]) for name in table.columns if name != "stage"}
        except ValueError as error:
            raise UserError(f"{self.log_file} is damaged: {error}", "restore it, or remove it") from error
        return table.assign(**numbers)

    def logged_folds(self) -> list[Run]:
        """Return the runs of the folds that have finished an epoch, in order."""
        folds = [file.parent for file in self.folder.glob(f"fold-*/{self.log_file.name}")]
        return [Run(folder) for folder in sorted(folds, key=lambda folder: int(folder.name[5:]))]

    def log_rows(self) -> list[dict[str, str]]:
        """Read log.csv as text; empty if there is none yet."""
        return read_rows(self.log_file)

    def add_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add steps of one stage to steps.csv, in place of its rows from the first of them on.

        Each has ``stage``, ``step`` (in the stage, from 1), ``lr`` (the head's), ``momentum`` and ``loss``.
        """
        stage, first = rows[0]["stage"], rows[0]["step"]
        kept = [row for row in self.steps() if row["stage"] != stage or int(row["step"]) < first]
        write_rows(self.steps_file, [*kept, *rows])

    def steps(self) -> list[dict[str, str]]:
        """Read steps.csv; empty if there is none."""
        return read_rows(self.steps_file)

    def write_valid(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write valid.csv: ``id``, ``file`` (relative if it is in the data folder) and ``label``."""
        write_rows(self.valid_file, rows)

    def valid(self) -> list[dict[str, str]]:
        """Read valid.csv; empty if there is none."""
        return read_rows(self.valid_file)

    def write_test_images(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write test-images.csv: ``id``, ``file`` (relative if in the data folder) and ``sure``: most or least."""
        write_rows(self.test_images_file, rows)

    def test_images(self) -> list[dict[str, str]]:
        """Read test-images.csv; empty if there is none."""
        return read_rows(self.test_images_file)

    def write_label_errors(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write label-errors.csv: ``id`` and whatever else is known; remove it if there are none."""
        if rows:
            write_rows(self.label_errors_file, rows)
        else:
            self.label_errors_file.unlink(missing_ok=True)

    def write_dropped(self, ids: Sequence[str]) -> None:
        """Write dropped.csv: ``id``."""
        write_rows(self.dropped_file, [{"id": image} for image in ids])

    def dropped(self) -> list[str]:
        """Read dropped.csv; empty if there is none."""
        return [row["id"] for row in read_rows(self.dropped_file)]

    def write_fitted_rows(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write fitted-on.csv: ``id`` and ``label``."""
        write_rows(self.fitted_file, rows)

    def fitted_rows(self) -> list[dict[str, str]]:
        """Read fitted-on.csv; empty if there is none."""
        return read_rows(self.fitted_file)

    def write_metadata(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write metadata.csv: ``id``, and the columns that `Competition.metadata` names."""
        write_rows(self.metadata_file, rows)

    def metadata(self) -> list[dict[str, str]]:
        """Read metadata.csv; empty if there is none."""
        return read_rows(self.metadata_file)


def run_key(run: Run, info: RunInfo) -> str:
    """Hash what a run's checkpoints must have in common with it: recipe, data and stages, but not its location.

    Args:
        run: The run.
        info: Its run.json; a dry run has none.
    """
    recipe = run.recipe_file.read_text(encoding="utf-8") if run.recipe_file.exists() else ""
    parts = [recipe, info.data_key, info.stages]
    return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
