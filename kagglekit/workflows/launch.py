"""Start the processes that share one training, by what torchrun consists of, and wait for them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from kagglekit.compute.processes.ranks import Lost
from kagglekit.system.errors import UserError
from kagglekit.system.job_process import IS_JOB, LOST, THREADS, is_job
from kagglekit.system.limits import NUMBER, Threads, named_threads, share_of_cores
from kagglekit.system.process import process_place
from kagglekit.system.signals import SIGNALS, Stopped
from kagglekit.workflows.parts import resume_command

if TYPE_CHECKING:
    from pathlib import Path

    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from kagglekit.planning.request import Request
    from kagglekit.runs.folder import Run
    from kagglekit.system.display.console import Display
    from kagglekit.types.recipe import Recipe

SAVING = 120  # how long processes may take to save their work after Ctrl-C, s


def starts_processes(request: Request, recipe: Recipe, part: str = "") -> bool:
    """Return whether this process starts those that share the training that a request asks for.

    Args:
        request: The request.
        recipe: Its recipe.
        part: The one training of several that is to be done.
    """
    if process_place().world > 1 or request.jobs.given or request.jobs.ranks == 1:
        return False
    return bool(part) or not (recipe.folds or recipe.zoo)


def check_gpus(request: Request) -> None:
    """Check that this machine has a GPU for each process of a training, unless they are to compute on the CPU.

    Raises:
        UserError: It has fewer, or the device cannot be shared.
    """
    n, device = request.jobs.ranks, request.device
    if n == 1 or device == "cpu" or request.jobs.given or process_place().world > 1:
        return
    if device not in ("auto", "cuda"):
        raise UserError(
            f"--gpus {n} cannot be combined with --device {device}",
            "use --device cuda, or cpu; CUDA_VISIBLE_DEVICES says which GPUs may be used",
        )
    if (there := torch.cuda.device_count()) < n:
        hint = f"use --gpus {there}" if there else "with --device cpu, as many processes share the training on the CPU"
        raise UserError(f"--gpus {n}: this machine has {there} GPUs", hint)


def launched(folder: Run, request: Request, display: Display, data: Path | None = None, part: str = "") -> Run:
    """Do a run that has begun, or a part of it, by processes that share it; return it when they have finished.

    Args:
        folder: The run's folder.
        request: The run's request.
        display: Shows that they start.
        data: Its data folder, if that was moved.
        part: The part to do; empty for all.

    Raises:
        UserError: One of them has failed, or see `check_gpus`.
        Stopped: See `launch`.
    """
    check_gpus(request)
    n = request.jobs.ranks
    command = resume_command(folder, part, request)
    command += ["--data", str(data.absolute())] if data else []
    display.report(f"starting {n} processes that share the training")
    with _printing_to_errors() if display.console.file is sys.stderr else nullcontext():
        launch(command, n, request.threads)
    return folder


def launch(command: Sequence[str], n: int, threads: Threads) -> None:
    """Run a command as `n` processes that share a training, each with its share of the cores, to its end.

    Args:
        command: The command; its first element is Python.
        n: The number of processes.
        threads: Threads of each on the CPU; ``auto`` for an equal share of the cores.

    Raises:
        UserError: One of them has failed, or was killed.
        Stopped: This process was asked to stop; the others have saved their work.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they say of failures, we say
    each = str(threads_of_each(threads, n))
    environment = {IS_JOB: "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SAVING), NUMBER: each}
    environment |= {name: each for name in THREADS if name not in os.environ}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")  # all are on this machine
    with tempfile.TemporaryDirectory(prefix="kagglekit-launch-") as place, _surrounded(environment), _handlers_kept():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",  # any free port
            local_addr="localhost",  # the machine's own name may lead nowhere
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=place),
        )
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            raise _failure(error.failures, n) from None
        except SignalException as error:
            raise Stopped(error.sigval) from None


def threads_of_each(asked: Threads, n: int) -> int:
    """Return the number of threads of each of `n` processes: the named one, or an equal share of the cores.

    A job has been given its share of the cores as if the user had named it.
    """
    named = named_threads(asked)
    if named is None:
        return share_of_cores(n)
    return max(1, named // n) if asked == "auto" and is_job() else named


def _failure(failures: Mapping[int, ProcessFailure], n: int) -> UserError:
    """Return the error for which all processes have ended: what one of them has left for this one to say."""
    for failure in failures.values():
        told = failure.error_file_data.get("message")
        text = str(told.get("message", "")) if isinstance(told, dict) else ""
        what, _, hint = text.removeprefix("error: ").partition("\nhint: ")
        if what not in ("", Lost().what):
            return _error(what, hint.replace("\n      ", "\n"), failure.exitcode)
    killed = {rank: -failure.exitcode for rank, failure in failures.items() if failure.exitcode < 0}
    by_others = {rank: number for rank, number in killed.items() if number != signal.SIGTERM} or killed
    for rank, number in by_others.items():
        return _error(f"process {rank} of {n} was ended by {signal.Signals(number).name}", Lost().hint, LOST)
    return _error(f"one of {n} processes has ended", Lost().hint, LOST)


def _error(what: str, hint: str, code: int) -> UserError:
    error = UserError(what, hint)
    error.exit_code = code
    return error


@contextmanager
def _surrounded(environment: Mapping[str, str]) -> Iterator[None]:
    """Give processes that are started in the block variables, and an input that ends with this process.

    They then end in an orderly way even if this process is killed: see `kagglekit.system.job_process`.
    """
    before = {name: os.environ.get(name) for name in environment}
    reader, writer = os.pipe()
    own = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.close(writer)
        os.dup2(own, 0)
        os.close(own)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _printing_to_errors() -> Iterator[None]:
    """Let processes that are started in the block print to standard error: standard output is for JSON."""
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(own, 1)
        os.close(own)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Give signals their handlers back after the block: the launcher sets its own."""
    numbers = {*SIGNALS, *(getattr(signal, name) for name in ("SIGHUP", "SIGQUIT") if hasattr(signal, name))}
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                try:
                    signal.signal(number, handler)
                except ValueError:  # not the main thread, where none was set
                    return
