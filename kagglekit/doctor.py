"""The checks of `kagglekit doctor`: whether this machine can train, and whether it can reach Kaggle."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from kagglekit.data.location import data_place
from kagglekit.kaggle.checks import check_certificates, check_client, check_credentials, check_kaggle_login, check_proxy
from kagglekit.kaggle.credentials import masked
from kagglekit.runs.place import RUNS
from kagglekit.system.check import Check, ok_or_warning
from kagglekit.system.errors import UserError
from kagglekit.system.files import check_writable
from kagglekit.system.limits import cores, usable_memory
from kagglekit.system.paths import cache_folder

LOW_DISK = 5e9  # bytes; a competition's zip, its images and their decoded copies take gigabytes
LOW_MEMORY = 2e9  # bytes


def examine(offline: bool, seconds: float = 10) -> Iterator[Check]:
    """Yield the results of all checks, with every secret masked.

    Args:
        offline: Do not call Kaggle.
        seconds: How long Kaggle may take to respond.
    """
    checks: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("Python", _python),
        ("processor", _processor),
        ("memory", _memory),
        ("torch", _torch),
        ("disk", _disk),
        ("kaggle client", check_client),
        ("credentials", check_credentials),
        ("Kaggle login", lambda: check_kaggle_login(offline, seconds)),
        ("proxy", check_proxy),
        ("certificates", check_certificates),
    )
    for name, run_check in checks:
        for check in _guarded(name, run_check):
            yield replace(check, found=masked(check.found), hint=masked(check.hint))


def _guarded(name: str, run_check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Run a check; turn an unexpected exception into a finding, so that the other checks still run."""
    try:
        yield from run_check()
    except Exception as error:
        yield Check(name, "problem", f"the check failed: {type(error).__name__}: {error}", "please report this bug")


def _python() -> Iterator[Check]:
    yield Check("Python", "ok", f"{platform.python_version()}, {sys.executable}, on {platform.platform()}")
    yield Check("kagglekit", "ok", f"{version('kagglekit')}, {Path(__file__).parents[1]}")


def _processor() -> Iterator[Check]:
    total, usable = os.cpu_count() or 1, cores()
    found = f"{total} cores" if usable >= total else f"{usable:g} of {total} cores usable"
    few = "decoding, and training without a GPU, will be slow: use --preset quick" if usable < 2 else ""
    yield ok_or_warning("processor", found, few)


def _memory() -> Iterator[Check]:
    memory = usable_memory()
    if memory == math.inf:
        yield Check("memory", "skipped", "unknown on this system")
        return
    little = "use smaller batches: --set 'stage.*.batch_size=8'" if memory < LOW_MEMORY else ""
    yield ok_or_warning("memory", _gigabytes(memory), little)


def _torch() -> Iterator[Check]:
    try:
        import torch

        from kagglekit.compute.device import choose_device, device_title
        from kagglekit.compute.precision import candidates
    except Exception as error:
        yield Check("torch", "problem", f"cannot be imported: {error}", "reinstall it: pip install torch")
        return
    threads, most = torch.get_num_threads(), math.ceil(cores())
    many = f"set OMP_NUM_THREADS={most}: more threads than cores are slower" if threads > most else ""
    yield ok_or_warning("torch", f"{torch.__version__}, {threads} thread{'s' * (threads != 1)}", many)
    device = choose_device("auto")
    yield _device(device_title(device), device.type)
    formats = ", ".join(map(str, candidates(device)))
    yield Check("precision", "ok", f"available: {formats}; {_remembered_formats()}")


def _device(title: str, kind: str) -> Check:
    """Describe the device; warn about a GPU that torch does not see."""
    import torch

    if kind == "cuda":
        free, total = torch.cuda.mem_get_info()
        memory = f"{_gigabytes(free)} of {_gigabytes(total)} free"
        return Check("device", "ok", f"{title}, CUDA {torch.version.cuda}, {memory}")
    if kind == "cpu" and shutil.which("nvidia-smi"):
        hint = "install the CUDA build of torch: https://pytorch.org/get-started/locally"
        return Check("device", "warning", f"{title}; an NVIDIA driver is installed, but torch sees no GPU", hint)
    return Check("device", "ok", title)


def _remembered_formats() -> str:
    """Describe the stored results of earlier probes (see `kagglekit.compute.precision.choose_formats`)."""
    try:
        known = json.loads((cache_folder() / "formats.json").read_text(encoding="utf-8")).values()
        probes = [probe["train"][0] for probe in known if "batch" not in probe]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return "no stored probes"
    return f"{len(probes)} stored probe{'s' * (len(probes) != 1)}, training in {' or '.join(sorted(set(probes)))}"


def _disk() -> Iterator[Check]:
    yield _folder("data", data_place(""), "set KAGGLEKIT_DATA to another folder, or use --data DIR")
    yield _folder("cache", cache_folder(), "set KAGGLEKIT_CACHE to another folder")
    yield _folder("runs", RUNS.absolute(), "choose another place with --out DIR")


def _folder(name: str, folder: Path, hint: str) -> Check:
    """Check that a folder is writable and its disk has space."""
    try:
        check_writable(folder, hint)
    except UserError as error:
        return Check(name, "problem", error.what, hint)
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    little = f"free some disk space, or {hint}" if free < LOW_DISK else ""
    return ok_or_warning(name, f"{folder}, {_gigabytes(free)} free", little)


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
