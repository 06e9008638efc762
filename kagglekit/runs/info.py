"""run.json: the facts of a run, as a typed model that is read once and passed on, and written only here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kagglekit.system.files import write_text
from kagglekit.system.limits import Threads
from kagglekit.system.typed_json import first_fault, read_object, unreadable
from kagglekit.types.decoded import Decoded
from kagglekit.types.metric import Score, Spread
from kagglekit.types.pixel_form import RGB, PixelForm

SCHEMA = 1
"""The form of run.json. Older files without a number have the same form."""

NEEDED = ("competition", "plugin", "status")
"""Facts of every run: they are written before its recipe is."""

RESTORE = "restore it from a copy, or remove the run's folder"

Status = Literal["running", "finished", "failed", "interrupted", "partial"]
ScoreRow = dict[str, str | tuple[float, float]]
"""``{"member": ..., "views": ..., "valid_log_loss": (value, standard error), ...}``."""


class RecordedRequest(BaseModel):
    """The request that began a run, as far as it decides what the run does apart from recipe and data.

    The attributes are those of `kagglekit.planning.request.Request`; paths are text. `drop` is a hash of the ids,
    which are in the run's folder.
    """

    model_config = ConfigDict(frozen=True)

    competition: str
    data: str
    device: str
    threads: Threads = "auto"
    sample: str = ""
    preset: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    deterministic: bool = False
    stages: str = ""
    from_run: str = ""
    full: str = ""
    only_fold: int | None = None
    skip_bad_images: bool = False
    disable: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    save_every: float = 10.0
    drop: str = ""

    def same_as(self, other: RecordedRequest) -> bool:
        """Return whether both request the same; the place of the data and the times of checkpoints may differ."""
        free = {"data", "save_every"}
        return self.model_dump(exclude=free) == other.model_dump(exclude=free)


@dataclass(frozen=True)
class MemberInfo:
    """A member of the ensemble: its name, the stage it comes from, and the number of its cycle, from 1."""

    name: str
    stage: str
    cycle: int


@dataclass(frozen=True)
class Finished:
    """How a fine-tuned member predicts: side of its images, px, and its share of the way from the frozen network."""

    size: int
    share: float


@dataclass(frozen=True)
class FoundDecision:
    """A decision's name, what it found on valid predictions, and scores by threshold: ``{title: [(x, score)]}``."""

    name: str
    found: Any
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Repeats:
    """Names of runs that differ in their seed alone, and how far their scores scatter."""

    runs: tuple[str, ...]
    scores: tuple[Spread, ...]


class RunInfo(BaseModel):
    """The content of run.json; an attribute keeps its default until it is known.

    Attributes:
        status: None before the run begins.
        error: Why it failed; None if it did not.
        process: Number of the process that last worked on it.
        competition: Short name of the competition.
        plugin: The competition's name, or the path of its plugin file.
        title: The competition's title.
        slug: Its name in Kaggle's addresses; None if it is not on Kaggle.
        metric: Name of the metric that counts.
        preset: Empty if the recipe is another run's.
        stages: Numbers of the stages that run, from 1.
        from_run: Name of the run whose weights it started from.
        full_of: Name of the run that it repeats on all labelled images.
        blend_of: Names of the runs that it blends: in its folder, if it is a zoo, else beside it.
        part_of: Name of the zoo that it is one network of.
        blend_of: Names of the runs that it blends.
        soup_of: Names of the runs whose weights were averaged into this one's.
        disable: Shared plugins left out of a blend; another run has them in `request`.
        plugins: Further plugin files of a blend; another run has them in `request`.
        plugin_hashes: SHA-256 of each plugin file, by its path.
        fold: Its number, from 1, if it is one fold of a run.
        folds: Numbers of the folds that are joined so far.
        started: When it began, ISO 8601.
        versions: Of Python and the packages that matter.
        device: Name of the device.
        ranks: How many processes share the training, one for each GPU; of folds, how many share each.
        threads: Number of threads that it began to compute with on the CPU.
        thread_changes: The changes of that number since: the stage, its finished steps at the change, the new number.
        cpu: Name of the CPU.
        seed: The recipe's seed.
        task: What is predicted, `Competition.task`.
        classes: Names of the columns of predictions in their order: of one label an image, the classes.
        task_state: What the task consists of beside its columns.
        data: The data folder.
        data_key: Hash of the image table and the classes.
        images: Number of images in each split.
        dropped: Number of labelled images that no training saw, see ``--drop``; None without it.
        targets: What training images were learnt as beside their labels; empty for their labels alone.
        weights: Where the weights came from before any training here; `licence` is theirs.
        command: The command line, without secrets.
        request: The user's request; None before it is known, and for blends.
        train_format: Precision and layout of training steps.
        infer_format: Precision and layout of predictions.
        formats: How they were found.
        predict_batch: Images of a forward pass without gradients.
        found_batches: Batch sizes that a search found, by stage.
        found_lrs: Learning rates that a search found, by stage.
        parts: Number of parts that gradients are accumulated over, by stage.
        compiled: Time that compiling a stage's steps, or recording them, took, s, by stage.
        form: Of the stored images: channels, bits, range of the numbers, channels shown.
        mean: Mean of each channel over the training images; empty where the network's own normalisation is used.
        std: Standard deviation of each channel, likewise.
        decoded: The copies of images made for it.
        decode_seconds: Time of decoding.
        predict_seconds: Time of predictions.
        seconds: Time of the whole run.
        stage_seconds: Time of each stage.
        estimate_s: Estimated time of the whole run; None if there was none.
        finished: By member, how it predicts, where that was chosen on valid images.
        members: Of the ensemble.
        size_weights: By member, the weight of each size at which it predicts (`Recipe.tta_sizes`).
        scores: Of each member and the ensemble.
        fitted: Values that the ensemble fitted.
        decision: How predictions become labels or grades: name, what was found, and curves for the report.
        answered: By hook, the plugins whose values were used.
        repeats: Set if the run is one of several seeds.
    """

    model_config = ConfigDict(frozen=True, extra="allow")  # what other versions and plugins add is kept

    schema_: int = Field(SCHEMA, alias="schema", strict=True, ge=1, le=SCHEMA)
    status: Status | None = None
    error: str | None = None
    process: int | None = None
    competition: str = ""
    plugin: str = ""
    title: str = ""
    slug: str | None = None
    metric: str = ""
    preset: str = ""
    stages: tuple[int, ...] = ()
    from_run: str | None = None
    full_of: str | None = None
    blend_of: tuple[str, ...] = ()
    part_of: str | None = None
    soup_of: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    plugin_hashes: dict[str, str] = Field(default_factory=dict)
    fold: int | None = None
    folds: tuple[int, ...] = ()
    started: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    ranks: int = 1
    threads: int | None = None
    thread_changes: tuple[tuple[str, int, int], ...] = ()
    cpu: str = ""
    seed: int | None = None
    task: str = "single-label"
    classes: tuple[str, ...] = ()
    task_state: dict[str, Any] = Field(default_factory=dict)
    data: str = ""
    data_key: str = ""
    images: dict[str, int] = Field(default_factory=dict)
    dropped: int | None = None
    targets: str = ""
    weights: str = ""
    licence: str = ""
    command: tuple[str, ...] = ()
    request: RecordedRequest | None = None
    train_format: str = ""
    infer_format: str = ""
    formats: str = ""
    predict_batch: int | None = None
    found_batches: dict[str, int] = Field(default_factory=dict)
    found_lrs: dict[str, float] = Field(default_factory=dict)
    parts: dict[str, int] = Field(default_factory=dict)
    compiled: dict[str, float] = Field(default_factory=dict)
    form: PixelForm = RGB
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    decoded: tuple[Decoded, ...] = ()
    decode_seconds: float | None = None
    predict_seconds: float | None = None
    seconds: float | None = None
    stage_seconds: dict[str, float] = Field(default_factory=dict)
    estimate_s: float | None = None
    members: tuple[MemberInfo, ...] = ()
    size_weights: dict[str, dict[str, float]] = Field(default_factory=dict)
    scores: tuple[ScoreRow, ...] = ()
    fitted: dict[str, Any] = Field(default_factory=dict)
    decision: FoundDecision | None = None
    finished: dict[str, Finished] = Field(default_factory=dict)
    answered: dict[str, str] = Field(default_factory=dict)
    repeats: Repeats | None = None

    @property
    def disabled(self) -> tuple[str, ...]:
        """Names of the shared plugins that were left out."""
        return self.request.disable if self.request else self.disable

    @property
    def plugin_files(self) -> tuple[str, ...]:
        """Paths of the plugin files that were loaded besides the competition's."""
        return self.request.plugins if self.request else self.plugins

    @property
    def sample_file(self) -> Path | None:
        """The sample submission that the request named; None if it named none."""
        return Path(self.request.sample) if self.request and self.request.sample else None

    @property
    def last_threads(self) -> int | None:
        """The number of threads that it computed with last; None if it is unknown."""
        return self.thread_changes[-1][2] if self.thread_changes else self.threads

    @property
    def data_folder(self) -> Path | None:
        """The data folder, if it is still there."""
        return Path(self.data) if self.data and Path(self.data).is_dir() else None

    @property
    def ensemble_scores(self) -> dict[str, Score]:
        """The finite scores of the ensemble, which is what the submission contains, by ``SPLIT_METRIC``."""
        row = next((row for row in reversed(self.scores) if row.get("member") == "ensemble"), {})
        pairs = {key: pair for key, pair in row.items() if isinstance(pair, tuple) and math.isfinite(pair[0])}
        return {key: Score(value, error if math.isfinite(error) else 0.0) for key, (value, error) in pairs.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the known facts as plain data, as in run.json."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def with_facts(self, **facts: Any) -> Self:
        """Return the info with further facts.

        Raises:
            TypeError: There is no attribute of that name.
            pydantic.ValidationError: A fact is not of its attribute's type.
        """
        if strange := facts.keys() - type(self).model_fields.keys():
            raise TypeError(f"run.json has no {', '.join(sorted(strange))}")
        return type(self).model_validate({**self.to_dict(), **facts, "schema": SCHEMA})


def read_info(file: Path) -> RunInfo:
    """Read run.json; return no facts if there is no such file yet.

    Raises:
        UserError: It is damaged, edited into something else, or written by a newer version.
    """
    return _read(file) if file.exists() else RunInfo()


def _read(file: Path) -> RunInfo:
    content = read_object(file, RESTORE)
    try:
        return RunInfo.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema",) and first["type"] == "less_than_equal":
            raise unreadable(file, "a newer version of kagglekit wrote it", "upgrade kagglekit") from error
        raise unreadable(file, first_fault(error), RESTORE) from error


def read_known(file: Path) -> RunInfo:
    """Read the run.json of a run that has begun, which has what every such run has.

    Raises:
        UserError: It is missing, lacks one of these facts, or see `read_info`.
    """
    if not file.exists():
        raise unreadable(file, "there is no such file", RESTORE)
    info = _read(file)
    if missing := [name for name in NEEDED if not getattr(info, name)]:
        raise unreadable(
            file, f"it lacks {' and '.join(filter(None, [', '.join(missing[:-1]), missing[-1]]))}", RESTORE
        )
    return info


@dataclass
class Record:
    """A run's info while a process works on the run: in memory, and in run.json after each `update`.

    Whoever shares the run's folder with other processes reads a new record under the run's lock.

    Attributes:
        file: run.json.
        info: What is known so far.
    """

    file: Path
    info: RunInfo = field(default_factory=RunInfo)

    @classmethod
    def of(cls, file: Path) -> Self:
        """Read the file.

        Raises:
            UserError: See `read_info`.
        """
        return cls(file, read_info(file))

    def update(self, **facts: Any) -> None:
        """Add facts, and write them all."""
        self.info = self.info.with_facts(**facts)
        write_text(self.file, json.dumps(self.info.to_dict(), indent=1) + "\n")
