"""The Python interface, for notebooks: the same runs as from the command line."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from kagglekit.called import for_notebooks
from kagglekit.hooks.trust import plugins_named
from kagglekit.notebook.request import command_of, jobs_of, name_of, path_of, request_of
from kagglekit.runs.place import RUNS
from kagglekit.system.display.console import Display, for_people
from kagglekit.system.display.notebook import kernel
from kagglekit.system.errors import UsageError
from kagglekit.system.limits import Threads, wait_passively
from kagglekit.types.executor import RETRIES

if TYPE_CHECKING:  # nor is anything else that builds models: the first line of a cell comes within a second
    from kagglekit.notebook.run import Run as ShownRun
    from kagglekit.prediction.shown import Predictions
    from kagglekit.runs.folder import Run


@for_notebooks
def run(
    competition: str | Path = "",
    *,
    data: str | Path | None = None,
    sample: str | Path | None = None,
    limit: int | None = None,
    group_duplicates: bool = False,
    drop: str | Path | None = None,
    skip_bad_images: bool = False,
    max_unpacked: int | None = None,
    preset: str = "auto",
    arch: str | None = None,
    zoo: int | None = None,
    size: int | None = None,
    epochs: int | None = None,
    stages: str = "",
    settings: Mapping[str, object] | None = None,
    seed: int | None = None,
    from_run: Run | str | Path = "",
    plugins: Sequence[str | Path] = (),
    disable: Sequence[str] = (),
    device: str = "auto",
    threads: Threads = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    store: Literal["auto", "device", "ram", "map", "stream"] = "auto",
    compile: Literal["auto", "off", "on"] = "auto",  # noqa: A002 - the option's name
    deterministic: bool = False,
    folds: int | None = None,
    only_fold: int | None = None,
    into: Run | str | Path = "",
    repeats: int = 1,
    full: Run | str | Path = "",
    resume: bool = False,
    save_every: float = 10.0,
    on: str = "",
    workers: int | Literal["auto"] | None = None,
    gpus: int | None = None,
    retries: int = RETRIES,
    maxfail: int | None = None,
    accelerator: str = "",
    hours: float | None = None,
    yes_licence: bool = False,
    out: str | Path = RUNS,
    name: str = "",
    no_submission: bool = False,
    dry_run: bool = False,
    submit: bool = False,
    message: str = "",
    yes: bool = False,
    display: Display | None = None,
) -> ShownRun:
    """Train on a competition's images and write a checked submission: ``kagglekit run`` from Python.

    Every option of the command line is a keyword of the same name. On a CPU the process keeps freed memory during the
    run, and returns it at the end (`memory_returned`). Threads wait for one another asleep, if torch has not been
    loaded before (`wait_passively`). An interrupted run is resumed by the same call with ``resume=True``, or by
    `resume`.

    Args:
        competition: A competition's name, a plugin file, or a data folder, whose layout is then recognised.
        data: The data folder, packed or not; None for the default folders, then a download.
        sample: The sample submission, if the data have several or none.
        limit: Use at most so many labelled and so many test images, stratified.
        group_duplicates: Keep near-duplicates together: in train or in valid, and in one fold.
        drop: CSV with a column ``id`` of images to leave out of training, such as a run's ``label-errors.csv``.
        skip_bad_images: Skip images that cannot be decoded instead of failing.
        max_unpacked: Bytes that a download may unpack to; None for 100 times its size.
        preset: ``auto``, ``features``, ``quick``, ``standard``, ``best``, ``zoo`` or ``lesson``.
        arch: Name of a timm model.
        zoo: Train and pool the first so many of several networks.
        size: Largest image side, px; scales the others.
        epochs: One cycle of so many epochs in the last stage.
        stages: Run only these stages: ``3``, ``2-3`` or ``3-``.
        settings: Recipe fields to set: ``{"tta": 2, "stage.2.size": 224}``; ``--set`` of the command line.
        seed: Seed of the split and of all randomness.
        from_run: A run whose recipe and weights to start from; ``--from`` of the command line.
        plugins: Plugin files to load besides the competition's.
        disable: Names of shared plugins to leave out.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: How many threads compute on the CPU; ``auto`` for the fastest number beside what else runs there.
        precision: Number format; ``auto`` benchmarks a few steps of each.
        store: Where decoded images are kept; ``stream`` decodes the test images block by block.
        compile: When to compile training steps; ``auto`` on a CUDA GPU, in stages that take minutes.
        deterministic: Use deterministic algorithms only, and fp32 unless set.
        folds: Number of folds of cross-validation.
        only_fold: Train this fold alone, from 1.
        into: A run whose remaining folds to add.
        repeats: Train with so many seeds and report how much the scores vary.
        full: A run to retrain on all labelled images; needs no competition.
        resume: Resume the latest interrupted run with this recipe and data, if there is one.
        save_every: Minutes between checkpoints within an epoch.
        on: Where to train: ``local``, ``ray``, ``ray://HOST:PORT``, ``kaggle``, or an executor of a plugin.
        workers: How many of them run side by side; ``auto`` for as many as fit.
        gpus: GPUs that share each training, by a process each; with device ``cpu``, processes that do.
        retries: How often one whose process or machine was lost is started again.
        maxfail: Start no more after so many have failed.
        accelerator: On Kaggle's machines: ``NvidiaTeslaT4``, the default, or ``none``.
        hours: On Kaggle's machines: the limit of a session; None for 9.
        yes_licence: On Kaggle's machines: upload weights even if their licence may forbid sharing them.
        out: Folder of all runs.
        name: Suffix of the run folder's name; empty for the model's name.
        no_submission: Train and score even if the data lack test images.
        dry_run: Try everything on two batches and leave nothing behind.
        submit: Upload the submission at the end; limits are checked first.
        message: With `submit`: the description of the submission.
        yes: With `submit`: upload even the day's last submission.
        display: Where to report progress; None for the notebook's cell or standard output.

    Returns:
        The finished run; of repeats the last one; of a dry run None.

    Raises:
        UserError: The user can fix it: the message says how. Wrong keywords are a `UsageError`.
        KeyboardInterrupt: The user interrupted the run; it can be resumed.
    """
    given = dict(locals())
    usual = {name: keyword.default for name, keyword in inspect.signature(run).parameters.items()}
    wait_passively()
    began, display = time.perf_counter(), display or for_people(json_output=False)
    if (message or yes) and not submit:
        raise UsageError("message and yes need submit=True", "add submit=True, or omit them")
    from kagglekit.commands import run as command

    finished = command.run(
        lambda: replace(request_of(given), command=command_of(given, usual)),
        str(competition or full or "run"),
        display,
        began,
        resume=resume,
        dry_run=dry_run,
        submission=command.Submission(message, (lambda _: True) if yes else None) if submit else None,
    )
    if finished is None:
        return cast("ShownRun", None)  # nothing is left of a dry run
    from kagglekit.notebook.run import Run as ShownRun

    return ShownRun.of(finished)


@for_notebooks
def resume(
    run: Run | str | Path = "latest",
    *,
    data: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    part: str = "",
    on: str = "",
    workers: int | Literal["auto"] | None = None,
    gpus: int | None = None,
    retries: int = RETRIES,
    maxfail: int | None = None,
    accelerator: str = "",
    hours: float | None = None,
    yes_licence: bool = False,
    out: str | Path = RUNS,
    display: Display | None = None,
) -> ShownRun:
    """Resume a run that was interrupted or failed, from its last checkpoint; a finished run is not changed.

    Args:
        run: The run, its folder, its name in `out`, a unique prefix of that, ``latest``, or a competition: its latest
            run.
        data: Its data folder, if that was moved.
        plugins: Plugin files to use, if its own were edited or come from elsewhere.
        part: Train one part alone: ``fold-3``, or a zoo's ``2-resnet18/fold-3``.
        on: The executor of several trainings, as for `run`.
        workers: How many of them run side by side.
        gpus: GPUs that share each training; None for as many as before.
        retries: How often a lost one is started again.
        maxfail: Start no more after so many have failed.
        accelerator: On Kaggle's machines: ``NvidiaTeslaT4``, the default, or ``none``.
        hours: On Kaggle's machines: the limit of a session; None for 9.
        yes_licence: On Kaggle's machines: upload weights even if their licence may forbid sharing them.
        out: Folder of all runs.
        display: Where to report progress; None for the notebook's cell or standard output.

    Returns:
        The finished run.

    Raises:
        UserError: There is no such run, or its data, plugins or checkpoints do not allow it.
        KeyboardInterrupt: The user interrupted it again.
    """
    wait_passively()
    began, display = time.perf_counter(), display or for_people(json_output=False)
    from kagglekit.notebook.run import Run as ShownRun

    folder = ShownRun.of(run, out)
    with display.status(f"resuming {folder.name}: loading torch and timm"):
        from kagglekit.workflows.start import Resumed
        from kagglekit.workflows.start import resume as go_on
    how = Resumed(jobs=jobs_of(on, workers, gpus, retries, maxfail, accelerator, hours, yes_licence))
    with plugins_named(plugins):
        return ShownRun.of(go_on(folder, display, path_of(data), began, part, how))


@for_notebooks
def blend(
    *runs: Run | str | Path,
    ensemble: str = "hill-climbing",
    soup: bool = False,
    data: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    threads: Threads = "auto",
    out: str | Path = RUNS,
    name: str = "",
    display: Display | None = None,
) -> ShownRun:
    """Combine the members of finished runs into a new run with its own submission.

    Args:
        *runs: Two runs or more that held out the same images: runs, their folders, or their names in `out`.
        ensemble: How to combine the members: any `ensemble` of a recipe.
        soup: Average the weights of runs of one network instead, best run first, as long as the valid loss falls.
        data: The data folder; None for the first run's.
        plugins: Plugin files to use, if those of the runs were edited or come from elsewhere.
        threads: How many threads compute on the CPU, where a soup predicts.
        out: Folder of all runs.
        name: Suffix of the new run folder's name; empty for ``blend`` or ``soup``.
        display: Where to report progress; None for the notebook's cell or standard output.

    Returns:
        The new run.

    Raises:
        UserError: A run is not finished, or the runs do not fit together.
    """
    wait_passively()
    display = display or for_people(json_output=False)
    with display.status(f"blending {len(runs)} runs: loading torch"):
        from kagglekit.notebook.run import Run as ShownRun
        from kagglekit.planning.blends import check_blend
        from kagglekit.workflows.blend import BlendRequest
        from kagglekit.workflows.blend import blend as make
        from kagglekit.workflows.soup import make_soup
    names = [name_of(each) for each in runs]
    request = BlendRequest(names, ensemble, path_of(data), Path(out), name or ("soup" if soup else "blend"), threads)
    with plugins_named(plugins):
        check_blend(names, ensemble, request.data, request.out)
        return ShownRun.of((make_soup if soup else make)(request, display))


@for_notebooks
def predict(
    run: Run | str | Path,
    images: Any,
    *,
    tta: bool = False,
    top: int = 5,
    device: str = "auto",
    threads: Threads = "auto",
    plugins: Sequence[str | Path] = (),
    out: str | Path = RUNS,
) -> Predictions:
    """Predict images with a finished run: ``predict("latest", "cat.jpg")``.

    A cross-validated run predicts with the members of all folds. A blend predicts with the members of its runs, whose
    folders must still be beside its own. The run's fitted ensemble combines them; an ensemble of ranks ranks these
    images among one another. Only the run's folder and the plugins are needed: no training data, no hub.

    Args:
        run: A run, its folder, or its name in `out`; ``latest`` for the last one.
        images: A path, a folder, a PIL image, an array (H, W) or (H, W, 3) of uint8, or several of these: a list, or
            what ``Path.glob`` returns.
        tta: Average the plain view with the recipe's augmented ones.
        top: Classes that a notebook shows for an image.
        device: Device to compute on.
        threads: How many threads compute on the CPU; ``auto`` for one for each core that is free now.
        plugins: Plugin files to use; none for the run's own, if they were used for a run here and have not been edited.
        out: Folder of all runs.

    Returns:
        Float32 predictions, shape (images, columns): rows are named by path. Columns are the classes or labels, with
        probabilities, or the targets, with numbers. In a notebook the table shows each image beside its best classes;
        ``answers`` has them as plain data.

    Raises:
        UserError: The run has not finished, or an image cannot be decoded.
    """
    from kagglekit.runs.lookup import find_run

    found = find_run(name_of(run), Path(out))
    wait_passively()
    with for_people(json_output=False).status(f"predicting with {found.name}") if kernel() else nullcontext():
        from kagglekit.compute.device import choose_device
        from kagglekit.compute.memory import memory_returned
        from kagglekit.compute.threads import free_threads
        from kagglekit.prediction.shown import predict_given

        chosen = choose_device(device)
        with memory_returned(), plugins_named(plugins), free_threads(threads, chosen):
            return predict_given(found, images, chosen, tta=tta, top=top)
