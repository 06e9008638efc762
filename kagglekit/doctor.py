"""The checks of `kagglekit doctor`: whether this machine can train, and whether it can reach Kaggle."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from kagglekit.data.location import data_place
from kagglekit.kaggle.credentials import (
    KEY,
    TOKEN,
    config_folder,
    credential_problems,
    find_credentials,
    how_to_log_in,
    masked,
)
from kagglekit.runs.lookup import RUNS
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import check_writable
from kagglekit.system.limits import cores, usable_memory
from kagglekit.system.paths import cache_folder

Status = Literal["ok", "warning", "problem", "skipped"]
LOW_DISK = 5e9  # bytes; a competition's zip, its images and their decoded copies take gigabytes
LOW_MEMORY = 2e9  # bytes


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: The subject.
        status: ``skipped`` if it could not be checked, and need not be.
        found: The finding.
        hint: What to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    found: str
    hint: str = ""


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
        ("credentials", _credentials),
        ("Kaggle login", lambda: _login(offline, seconds)),
        ("proxy", _proxy),
        ("certificates", _certificates),
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
    yield _ok_or_warning("processor", found, few)


def _memory() -> Iterator[Check]:
    memory = usable_memory()
    if memory == math.inf:
        yield Check("memory", "skipped", "unknown on this system")
        return
    little = "use smaller batches: --set 'stage.*.batch_size=8'" if memory < LOW_MEMORY else ""
    yield _ok_or_warning("memory", _gigabytes(memory), little)


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
    yield _ok_or_warning("torch", f"{torch.__version__}, {threads} thread{'s' * (threads != 1)}", many)
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
    return _ok_or_warning(name, f"{folder}, {_gigabytes(free)} free", little)


def check_client(seconds: float = 60) -> Iterator[Check]:
    """Import the official client within `seconds`, and check the folder that it needs."""
    name, started = "kaggle client", time.perf_counter()
    try:
        found = version("kaggle")
    except PackageNotFoundError:
        yield Check(name, "problem", "not installed", "install it: pip install 'kaggle>=2.2.4,<3' six")
        return
    if reason := _import_failure("kaggle", seconds):
        yield Check(name, "problem", f"{found}: {reason}", "reinstall it: pip install --upgrade kaggle six")
        return
    yield Check(name, "ok", f"{found}, imported in {time.perf_counter() - started:.1f} s")
    yield from _config_folder()


def _import_failure(module: str, seconds: float) -> str:
    """Import a module in a process with an empty home and no credentials; return why that fails, or nothing.

    With a token, the client would call Kaggle during its import, without a timeout.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KAGGLE")}
        environment |= dict.fromkeys(("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR"), home)
        command = [sys.executable, "-c", f"import {module}"]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"the import takes more than {seconds:g} s"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"cannot be imported: {lines[-1]}" if done.returncode else ""


def _config_folder() -> Iterator[Check]:
    """Check the folder that the client creates during its import: it exits if it cannot."""
    try:
        check_writable(config_folder(), "")
    except UserError as error:
        if not config_folder().is_dir():
            hint = "set KAGGLE_CONFIG_DIR to a writable folder"
            yield Check("kaggle folder", "problem", error.what, hint)


def _credentials() -> Iterator[Check]:
    found, name = find_credentials(), "credentials"
    for problem in credential_problems():
        yield Check(name, "warning" if found else "problem", problem)
    if not found:
        yield Check(name, "warning", "none found: downloads and submissions are not possible", how_to_log_in())
        return
    user = f" of {found[0].user}" if found[0].user else ""
    yield Check(name, "ok", f"in use: the {found[0].kind}{user}, {found[0].source}")
    if len(found) > 1:
        others = listing([f"{other.kind} ({other.source})" for other in found[1:]])
        stale = found[0].kind == TOKEN and any(other.kind == KEY for other in found)
        hint = "a token takes precedence over a key, even if Kaggle refuses it: remove the old one" if stale else ""
        yield _ok_or_warning(name, f"also found, not in use: {others}", hint)


def _login(offline: bool, seconds: float) -> Iterator[Check]:
    name = "Kaggle login"
    if offline or not find_credentials():
        yield Check(name, "skipped", "not checked: " + ("--offline" if offline else "no credentials"))
        return
    accepted, message = kaggle_accepts(seconds)
    what, _, hint = message.partition("\n")
    if accepted is None:
        yield Check(name, "warning", f"could not be checked: {what}", hint)
    elif accepted:
        yield Check(name, "ok", f"Kaggle accepts the credentials{message and f' of {message}'}")
    else:
        yield Check(name, "problem", what, hint or how_to_log_in())


def kaggle_accepts(seconds: float) -> tuple[bool | None, str]:
    """Ask Kaggle whether it accepts the credentials.

    Returns:
        True and the user's name, False and the reason, or None and the reason why Kaggle could not be asked.
    """
    try:
        from kagglekit.kaggle.login import check_login

        return True, check_login(seconds)
    except UserError as error:
        return (False if _is_refusal(error) else None), str(error)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _is_refusal(error: UserError) -> bool:
    """Whether Kaggle or the client rejected the credentials; else Kaggle could not be reached."""
    response = getattr(error.__cause__, "response", None)
    return isinstance(error.__context__, SystemExit) or getattr(response, "status_code", 0) in (401, 403)


def _proxy() -> Iterator[Check]:
    from requests.utils import get_environ_proxies

    if os.environ.get("KAGGLE_PROXY"):
        yield Check("proxy", "warning", "KAGGLE_PROXY is set, but the client ignores it", "set HTTPS_PROXY instead")
    if (other := os.environ.get("KAGGLE_API_ENVIRONMENT", "PROD")) != "PROD":
        yield Check("proxy", "warning", f"KAGGLE_API_ENVIRONMENT={other}: calls do not reach Kaggle", "unset it")
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    variables = {key: value for key, value in sorted(os.environ.items()) if key.lower() in names and value}
    found = ", ".join(f"{key}={value}" for key, value in variables.items())
    used = get_environ_proxies("https://api.kaggle.com")  # includes the system's settings, if it has any
    if through := used.get("https") or used.get("all"):
        yield Check("proxy", "ok", f"{found or through}; used for Kaggle")
    elif any(key.lower() in names[1:3] for key in variables):
        yield Check("proxy", "warning", f"{found}; not used for Kaggle, because NO_PROXY covers it")
    else:
        yield Check("proxy", "ok", f"{found}; not used for Kaggle" if found else "none: direct connection")


def _certificates() -> Iterator[Check]:
    """Check the file that requests uses: the first of two variables that is set."""
    name = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None or Path(os.environ[name]).exists():
        yield Check("certificates", "ok", f"{name}={os.environ[name]}" if name else "from the package certifi")
    else:
        yield Check("certificates", "problem", f"{name}={os.environ[name]}: file not found", f"unset {name}")


def _ok_or_warning(name: str, found: str, hint: str) -> Check:
    """Return a finding; it is a warning if it has a hint."""
    return Check(name, "warning" if hint else "ok", found, hint)


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
