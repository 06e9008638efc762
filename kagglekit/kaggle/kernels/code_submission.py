"""Push a kernel that predicts, wait for what it writes, and submit that in a code competition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.facts import Facts, KernelVersion
from kagglekit.kaggle.failures import refusal
from kagglekit.kaggle.follow import follow_submission
from kagglekit.kaggle.kernels.calls import fetch_output, follow_kernel, gpu_quota, log_of, push_kernel
from kagglekit.kaggle.kernels.datasets import make_dataset
from kagglekit.kaggle.kernels.folder import KernelFolder
from kagglekit.kaggle.kernels.made import note_made
from kagglekit.kaggle.ledger import keep_score
from kagglekit.kaggle.submit import Ask, Package, check_open, confirm, submit
from kagglekit.runs.folder import Run
from kagglekit.runs.inference import Predictor
from kagglekit.system.display.console import Display, duration
from kagglekit.system.errors import UserError, listing

LONGEST = 12 * 3600.0  # s that a session on Kaggle's machines may take
LEAST_HOURS = 0.1  # that a GPU should have left for any kernel
SHOWN = 20  # last lines of a failed kernel's output
PERMISSIVE = re.compile(r"(apache|mit\b|bsd|isc\b|cc0|unlicen[sc]e|cc-by-\d|cc-by-sa)", re.IGNORECASE)


def check_licences(part: Predictor, agreed: bool) -> None:
    """Check that the weights may be uploaded: their licences are known to permit sharing, or the user has `agreed`.

    Raises:
        UserError: A licence does not permit it, or is unknown.
    """
    refuse_strict(part.run.name, [one.info.licence for one in part.trainings()], agreed)


def refuse_strict(run: str, licences: Iterable[str], agreed: bool) -> None:
    """Refuse to upload what weights under these licences have become, unless they permit sharing or the user `agreed`.

    Raises:
        UserError: A licence does not permit it, or is unknown.
    """
    strict = strict_licences(licences)
    if strict and not agreed:
        what = f"the weights that {run} started from have a licence that may forbid sharing: {listing(strict)}"
        raise UserError(what, "the dataset is private; to upload them all the same, add --yes-licence")


def strict_licences(licences: Iterable[str]) -> list[str]:
    """Return those of the licences, or of the parts of joined ones, that are not known to permit sharing."""
    each = {one.strip() for licence in licences for one in licence.split(";") if one.strip()}
    return sorted(licence for licence in each if not PERMISSIVE.match(licence))


def longest_run(kaggle: Kaggle | None, kernel: KernelFolder) -> float:
    """Return how long a kernel may take, s: as long as any session, or less if the competition's pages say so."""
    said = kaggle.demands(kernel.competition).hours if kaggle else {}
    return min(LONGEST, 3600 * said.get("GPU" if kernel.uses_gpu else "CPU", LONGEST))


def describe_time(part: Predictor, images: int | None, longest: float = LONGEST) -> str:
    """Return how long predictions take for a number of test images, by the times that the run has measured.

    Args:
        part: The run.
        images: Number of test images; None for those of the run.
        longest: What a kernel may take, s.
    """
    each = part.seconds_per_image()
    known = next(iter(part.trainings())).info
    n = images or known.images.get("test", 0)
    if not each or not n:
        return "predicting will take an unknown time: the run has measured none"
    far = "; more than Kaggle's 12 h" if each * n > LONGEST else ""
    return f"predicting {n:,} images takes {duration(each * n)} at this run's own pace, on {known.device}{far}"


def check_before_push(kaggle: Kaggle, kernel: KernelFolder, display: Display) -> Facts:
    """Show what is left of the GPU hours; check that a competition's data can be attached, and return its facts.

    Raises:
        UserError: There is no such competition, or its rules are not accepted.
    """
    facts = kaggle.competition(kernel.competition)
    if not facts.entered:
        raise refusal("rules", kernel.competition)
    if quota := gpu_quota(kaggle):
        display.report(f"GPU hours left this week: {quota}")
        if kernel.uses_gpu and quota.left < max(kernel.hours, LEAST_HOURS):
            asked = f"the {kernel.hours:g} h that the session may take" if kernel.hours else "a session may need"
            display.warn(f"that is less than {asked}; --accelerator none needs none of them")
    return facts


def push_folder(kaggle: Kaggle, kernel: KernelFolder, run: str, display: Display) -> KernelVersion:
    """Upload a folder's dataset and push its kernel, each once.

    Raises:
        UserError: Kaggle refuses one of them, or cannot be reached.
    """
    for kind, ref in (("dataset", kernel.dataset_metadata["id"]), ("kernel", kernel.metadata["id"])):
        note_made("kernel" if kind == "kernel" else "dataset", ref, run)
    make_dataset(kaggle, kernel.dataset_metadata, kernel.files, display)
    return push_kernel(kaggle, kernel.metadata, kernel.code, display)


def written_submission(kaggle: Kaggle, version: KernelVersion, folder: Path, display: Display) -> Path:
    """Wait for a kernel, and fetch the submission that it has written and checked.

    Args:
        kaggle: The login.
        version: The version that runs.
        folder: The folder of the file.
        display: Shows progress.

    Raises:
        UserError: It has failed, or has written none.
    """
    try:
        session = follow_kernel(kaggle, version, display)
    except (UserError, KeyboardInterrupt):
        display.report("the kernel runs on; the same command waits for it")
        raise
    if session.state != "complete":
        lines = "\n".join(f"  {line}" for line in log_of(kaggle, version)[-SHOWN:])
        what = f"the kernel {version.ref} has failed ({session.failure or session.state})"
        raise UserError(f"{what}:\n{lines}" if lines else what, f"see https://www.kaggle.com/code/{version.ref}")
    file = fetch_output(kaggle, version, "submission.csv", folder, display)
    if file is None:
        raise UserError(
            f"version {version.number} of {version.ref} has written no submission.csv",
            f"see its output: https://www.kaggle.com/code/{version.ref}",
        )
    return file


def push_and_submit(
    kaggle: Kaggle, kernel: KernelFolder, run: Run, message: str | None, ask: Ask | None, display: Display
) -> None:
    """Push a folder, wait for what it writes, and submit that; all that can be asked or refused is, before.

    Args:
        kaggle: The login.
        kernel: The folder.
        run: The run, whose score.json records the submission.
        message: The description of the submission; None to submit nothing.
        ask: Asks the user; None without a terminal.
        display: Shows progress and scores.

    Raises:
        UserError: Kaggle refuses something, the kernel fails, or the user says no.
    """
    slug = kernel.competition
    facts = check_before_push(kaggle, kernel, display)
    if message is None and not facts.code_only:
        display.report(f"{facts.title} is no code competition: kagglekit submit {run.name} uploads the CSV of the run")
    if message is not None:
        confirm(run, check_open(kaggle, slug, display, by_kernel=True), ask)
    version = push_folder(kaggle, kernel, run.name, display)
    file = written_submission(kaggle, version, kernel.folder / "output", display)
    display.report(f"submission: {file}, written and checked on Kaggle")
    if message is None:
        display.report(f"to submit it: kagglekit kernel {run.name} --submit")
    else:
        submit_version(kaggle, Package(slug, file, message, run, version), run, display)


def submit_version(kaggle: Kaggle, package: Package, run: Run, display: Display) -> None:
    """Submit what a version has written, and wait for the score; all questions were asked.

    Raises:
        UserError: Kaggle refuses it, or finds an error in it.
    """
    found = submit(package, kaggle, lambda _: True, display)
    keep_score(package.record, found)
    follow_submission(found.ref, package.record, run, run.info(), kaggle, display)
