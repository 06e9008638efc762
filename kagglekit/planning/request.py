"""The user's request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.runs.place import RUNS
from kagglekit.system.limits import Threads
from kagglekit.types.executor import IN_TURN, JobOptions
from kagglekit.types.recipe import Recipe

if TYPE_CHECKING:
    from kagglekit.compute.compile import Compile
    from kagglekit.images.placement import Keep


@dataclass(frozen=True)
class Request:
    """The user's request.

    Attributes:
        competition: A competition's name or a plugin file.
        data: The data folder; None for the usual places, or a download.
        sample: The sample submission: a file, or its name in the data folder; None to look for one.
        preset: ``auto`` or one of `kagglekit.hooks.calls.PRESETS`.
        settings: ``KEY=VALUE`` overrides of the recipe, applied in order.
        epochs: Shorthand for the epochs of the last stage that is run.
        size: Shorthand for the largest image side, px.
        zoo: How many networks to train and pool: the first ones of the recipe's `zoo`, or else of the preset ``zoo``;
            None for all that the recipe names.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        threads: How many threads compute on the CPU; ``auto`` for the fastest number beside what else runs there.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16``.
        store: Where decoded images are kept: ``auto``, ``device``, ``ram``, ``map``; ``stream`` decodes the test images
            block by block.
        compile: Whether training steps are compiled: ``auto`` (on a CUDA GPU, in stages long enough), ``off``, ``on``.
        out: Folder of all runs.
        name: Label of the run's folder; empty for the architecture's name.
        from_run: A finished run whose weights, and recipe unless a preset is named, to start from.
        stages: Which stages to run: ``3``, ``2-3``, ``3-``; empty for all.
        full: A finished run to retrain on all labelled images (see `kagglekit.workflows.full_data`).
        only_fold: The one fold to run; None for all of them.
        into: A run whose folds are to be completed.
        drop: A CSV whose column ``id`` names labelled images that no training sees; None for none.
        repeats: How often to run, each time with the next seed.
        skip_bad_images: Leave undecodable train images out instead of failing.
        disable: Shared plugins to leave out.
        plugins: Further plugin files to load.
        deterministic: Use torch's deterministic algorithms, and benchmark nothing.
        save_every: Time between two checkpoints in the middle of an epoch, minutes.
        max_unpacked: Bytes that a download may unpack to; None for 100 times its size.
        no_submission: Train and score without test images, even if a submission is expected.
        jobs: How several trainings are run side by side, or on other machines.
        command: The command line that asks for the same, if it was asked for from Python; empty for this process's own.
        recipe: The recipe of a run to resume or retrain, in place of preset, settings and shorthands.
    """

    competition: str
    data: Path | None = None
    sample: Path | None = None
    preset: str = "auto"
    settings: Sequence[str] = ()
    epochs: int | None = None
    size: int | None = None
    zoo: int | None = None
    device: str = "auto"
    threads: Threads = "auto"
    precision: str = "auto"
    store: Keep = "auto"
    compile: Compile = "auto"
    out: Path = RUNS
    name: str = ""
    from_run: str = ""
    stages: str = ""
    full: str = ""
    only_fold: int | None = None
    into: str = ""
    repeats: int = 1
    skip_bad_images: bool = False
    drop: Path | None = None
    disable: Sequence[str] = field(default_factory=tuple)
    plugins: Sequence[str] = ()
    deterministic: bool = False
    save_every: float = 10.0
    max_unpacked: int | None = None
    no_submission: bool = False
    jobs: JobOptions = IN_TURN
    command: tuple[str, ...] = ()
    recipe: Recipe | None = None
