"""Starts tiny runs of dog-breed, stops them at a step, goes on with them, and says what may not depend on that."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from plugin_site import NOTHING
from rich.console import Console

from kagglekit import Run
from kagglekit.planning.request import Request
from kagglekit.system.display.console import Display
from kagglekit.system.signals import Stopped
from kagglekit.training import trainer
from kagglekit.workflows import start as starting

ASKED = partial(Stopped, signal.SIGINT)
TINY: dict[str, object] = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.1.solver": "regression",  # a stack of heads takes as long as all the rest of such a run
    "stage.*.batch_size": 8,
    "stage.*.size": 32,
    "stage.3.freeze_to": 0,
    "stage.4.freeze_to": 0,
    "stage.4.cycles": 2,
    "stage.4.cycle_len": 1,
    "stage.4.cycle_mult": 1,
    "stage.4.ema": 0.9,
    "tta": 1,
}


def start(
    data: Path,
    out: Path,
    go_on: bool = False,
    plugin: str = "dog-breed",
    asked: Mapping[str, object] = NOTHING,
    **settings: object,
) -> tuple[Run, str]:
    """Run a tiny network through a tiny recipe, with what else is asked of a `Request`; ``__`` in settings is a dot.

    Returns:
        The run and what was said; an error has that as its note.
    """
    said = io.StringIO()
    wanted = {**TINY, **{key.replace("__", "."): value for key, value in settings.items()}}
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    given = {"settings": tuple(f"{key}={value}" for key, value in wanted.items()), **asked}
    given = {"preset": "quick", "precision": "fp32", "device": "cpu", **given}
    request = Request(plugin, data=data, out=out, save_every=0, **given)
    try:
        return starting.start(request, display, go_on), said.getvalue()
    except BaseException as error:
        error.add_note(said.getvalue())
        raise


def go_on(run: Run, data: Path | None = None) -> str:
    """Resume a run; return what was said."""
    said = io.StringIO()
    starting.resume(run, Display(Console(file=said, width=240, soft_wrap=True, highlight=False)), data)
    return said.getvalue()


def only(out: Path) -> Run:
    (file,) = out.glob("*/*/run.json")
    return Run(file.parent)


def outcome(run: Run) -> list[object]:
    """Return what must not depend on interruptions: submission, weights, steps, log without times; of folds too."""
    log = [
        {key: row[key] for key in row if key not in ("seconds", "images_per_s", "waited_s")} for row in run.log_rows()
    ]
    files = [file.read_bytes() for file in (run.submission, run.final_weights, run.steps_file) if file.exists()]
    folds = [outcome(Run(folder)) for folder in sorted(run.folder.glob("fold-*"))]
    return [*files, log, *folds]


def stop_at(patch: pytest.MonkeyPatch, call: int, error: Callable[[], BaseException] = ASKED) -> None:
    """Stop a run after so many of its steps: it was asked to, and saves; or at once, with KeyboardInterrupt."""
    left = [call]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise error()

    patch.setattr(trainer, "stop_if_asked", count)


def stopped(
    data: Path, out: Path, call: int = 6, error: Callable[[], BaseException] = ASKED, **settings: object
) -> tuple[Run, str]:
    """Start a run and stop it after so many steps of training; return it and what was said."""
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, call, error)
        with pytest.raises(KeyboardInterrupt) as caught:
            start(data, out, **settings)
    return only(out), caught.value.__notes__[0]


BREEDS = """
import kagglekit_dog_breed as breeds

@hookimpl
def kagglekit_competition():
    return breeds.kagglekit_competition()

@hookimpl
def kagglekit_labels(data):
    return breeds.kagglekit_labels(data)

@hookimpl
def kagglekit_recipe(preset):
    return breeds.kagglekit_recipe(preset)
"""


TOO_MUCH = """
import kagglekit_timm, torch

@hookimpl
def kagglekit_model(recipe, n_classes):
    model = kagglekit_timm.kagglekit_model(recipe, n_classes)
    def check(module, inputs):
        if torch.is_grad_enabled() == {training} and len(inputs[0]) > {images}:
            raise {error}
    model.register_forward_pre_hook(check)
    return model
"""


_LIMITS = "(MPS allocated: 17.93 GB, other allocations: 384.00 KB, max allowed: 18.13 GB)"


FULL = {  # what torch says: CUDA's has a class of its own, Apple's (as of torch 2.15) and the CPU's have not
    "cuda": "torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of')",
    "mps": f"RuntimeError('MPS backend out of memory {_LIMITS}. Tried to allocate 256.00 MB on private pool.')",
}
