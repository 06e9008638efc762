"""`kagglekit kernel`: predict and submit on Kaggle's own machines, as code competitions demand."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import (
    accelerator_option,
    message_option,
    out_option,
    submit_option,
    timeout_option,
    yes_licence_option,
    yes_option,
)
from kagglekit.cli.submit import confirmation
from kagglekit.system.errors import UsageError


class _Kernel(click.Group):
    """A group whose command ``write`` need not be named: ``kagglekit kernel RUN``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["write", *args])


@click.group(cls=_Kernel)
def kernel() -> None:
    """Predict and submit on Kaggle's own machines: write, push and submit a kernel of RUN, or remove what was made.

    `kagglekit kernel RUN` is short for `kagglekit kernel write RUN`.
    """


@kernel.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="To write; default RUN/kernel."
)
@click.option("--notebook", is_flag=True, help="Write a notebook instead of a script.")
@accelerator_option("Kaggle's name of the GPU to use, NvidiaTeslaT4 (default), or none.")
@click.option(
    "--test-images",
    type=click.IntRange(1),
    metavar="N",
    help="Images of the hidden test set, to estimate the time; default as many as RUN predicted.",
)
@click.option("--push", is_flag=True, help="Push it, wait until it has run, and fetch what it has written.")
@submit_option("Push it, submit what it has written, and wait for the score.")
@message_option("With --submit: the description of the submission.")
@yes_option("With --submit: do not ask before a second submission, or the day's last one.")
@yes_licence_option("Upload weights even if their licence may forbid sharing them.")
@out_option()
@timeout_option("a response; does not limit the kernel, which may take 12 hours")
def write(
    run: str,
    folder: Path | None,
    notebook: bool,
    accelerator: str,
    test_images: int | None,
    push: bool,
    submit: bool,
    message: str,
    yes: bool,
    yes_licence: bool,
    out: Path,
    timeout: float,
) -> None:
    """Write the kernel that predicts the test images of RUN's competition on Kaggle's machines, offline.

    The folder holds a script, its metadata, and a dataset: the wheel of kagglekit, a few others, and what RUN needs to
    predict. RUN may have folds, or be a blend. --push needs a login; pushing again continues where it was interrupted.
    """
    from kagglekit.kaggle.credentials import find_credentials
    from kagglekit.kaggle.follow import connected
    from kagglekit.kaggle.kernels.code_submission import (
        check_licences,
        describe_time,
        longest_run,
        push_and_submit,
    )
    from kagglekit.kaggle.kernels.folder import NO_USER, KernelOptions, chosen_accelerator, write_kernel
    from kagglekit.runs.inference import Predictor
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.display.console import amount, for_people

    display, found = for_people(False), find_run(run, out)
    if (message or yes) and not submit:
        raise UsageError("--message and --yes need --submit", "add --submit, or omit them")
    part, kaggle = Predictor.read(found), None
    user = next((each.user for each in find_credentials()), "")
    if push or submit:
        check_licences(part, yes_licence)
        kaggle = connected(timeout, display)
        user = kaggle.user
    options = KernelOptions(user, chosen_accelerator(accelerator), notebook)
    with display.status(f"packing {found.name}"):
        written = write_kernel(part, folder or found.kernel, options)
    size = sum(file.stat().st_size for file in written.files)
    display.report(f"kernel: {written.folder}, with a dataset of {len(written.files)} files, {amount(size)}")
    display.report(describe_time(part, test_images, longest_run(kaggle, written)))
    if kaggle:
        text = (message or found.name) if submit else None
        push_and_submit(kaggle, written, found, text, confirmation(yes), display)
        return
    if not user:
        display.report(f"in both metadata files, write your name on Kaggle in place of {NO_USER}")
    display.report(f"to push it: kagglekit kernel {run} --push")


@kernel.command()
@yes_option("Do not ask for confirmation.")
@timeout_option("a response")
def clean(yes: bool, timeout: float) -> None:
    """List the private datasets and kernels that kagglekit has made on Kaggle, and remove them after a question."""
    from kagglekit.kaggle.follow import connected
    from kagglekit.kaggle.kernels.made import clean as remove
    from kagglekit.system.display.console import for_people

    display = for_people(False)
    remove(connected(timeout, display), confirmation(yes), display)
