"""The part of a finished run that predicts new images: its files, and the time that they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import UserError


@dataclass(frozen=True)
class Predictor:
    """A run with the runs that predict for it.

    Attributes:
        run: The run.
        info: Its run.json.
        folds: Its folds; empty for other runs.
        blended: The runs that it blends; empty for other runs.
    """

    run: Run
    info: RunInfo
    folds: tuple[Predictor, ...] = ()
    blended: tuple[Predictor, ...] = ()

    @classmethod
    def read(cls, run: Run) -> Predictor:
        """Read the run.json of all of them.

        Raises:
            UserError: One of them is missing, cannot be read or is not finished.
        """
        info = run.info()
        if not info.status:
            what = f"{run.folder}, which predicts for another run, is not there"
            raise UserError(what, "put its folder back, or choose another run")
        if info.status != "finished":
            raise UserError(f"{run.folder} has not finished ({info.status})", f"kagglekit resume {run.folder}")
        folds = tuple(cls.read(run.fold(number)) for number in info.folds)
        return cls(run, info, folds, tuple(cls.read(run.blended(name)) for name in info.blend_of))

    def trainings(self) -> Iterator[Predictor]:
        """Yield the trainings whose networks predict."""
        for part in (*self.folds, *self.blended):
            yield from part.trainings()
        if not (self.folds or self.blended):
            yield self

    def files(self, root: Path) -> dict[str, Path]:
        """Return the files that predictions need, by their paths relative to `root`, the folder of all these runs.

        Images, predictions of test images, logs, reports and scores are not among them.
        """
        found: dict[str, Path] = {}
        for part in (*self.folds, *self.blended):
            found |= part.files(root)
        for file in _files(self.run, trained=not (self.folds or self.blended)):
            found[file.absolute().relative_to(root.absolute()).as_posix()] = file
        return found

    def seconds_per_image(self) -> float | None:
        """Return how long an image takes to decode and predict, as measured while the run was made; None if unknown."""
        parts = [part.info for part in self.trainings()]
        each = [_predicting(info) for info in parts]
        if not each or None in each:
            return None
        decoding = max(sum(one.seconds / max(1, one.n) for one in info.decoded) for info in parts)
        return sum(value for value in each if value is not None) + decoding


def _files(run: Run, trained: bool) -> list[Path]:
    """Return a run's files that predictions need; `trained` ones have weights of their own."""
    tables = run.predictions("", "valid").parent
    found = [run.recipe_file, run.info_file, run.valid_file, run.fitted_file, run.metadata_file]
    found += sorted({*tables.glob("*-valid.npz"), *tables.glob("*-fitted-on.npz")} - set(tables.glob("*-plain-*")))
    found += sorted(run.final_weights.parent.glob("*.safetensors")) if trained else []
    found += sorted(run.plugin_copies.glob("*.py"))
    return [file for file in found if file.is_file()]


def _predicting(info: RunInfo) -> float | None:
    """Return the seconds that predictions of an image took."""
    images = sum(info.images.get(split, 0) for split in ("valid", "test"))
    return info.predict_seconds / images if info.predict_seconds and images else None
