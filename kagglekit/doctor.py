"""What `kagglekit doctor` checks: whether this machine can train, and whether it can talk to Kaggle."""

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
LITTLE_ROOM = 5e9  # bytes; a competition's zip, its images and their decoded copies take gigabytes
LITTLE_MEMORY = 2e9  # bytes


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        name: What was looked at.
        status: ``skipped`` where it could not be looked at, and need not be.
        found: In words.
        hint: What to do; empty where all is well.
    """

    name: str
    status: Status
    found: str
    hint: str = ""


def examine(offline: bool, seconds: float = 10) -> Iterator[Check]:
    """Look at everything, one check after the other; no secret is in any of them.

    Args:
        offline: Do not ask Kaggle.
        seconds: How long Kaggle may take to answer.
    """
    looks: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("Python", _python),
        ("processor", _processor),
        ("memory", _memory),
        ("torch", _torch),
        ("disk", _disk),
        ("kaggle client", check_client),
        ("credentials", _credentials),
        ("Kaggle's answer", lambda: _answer(offline, seconds)),
        ("proxy", _proxy),
        ("certificates", _certificates),
    )
    for name, look in looks:
        for check in _guarded(name, look):
            yield replace(check, found=masked(check.found), hint=masked(check.hint))


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Look, and make what nobody foresaw a finding: the other checks must go on."""
    try:
        yield from look()
    except Exception as error:
        yield Check(name, "problem", f"could not be checked: {type(error).__name__}: {error}", "please report this")


def _python() -> Iterator[Check]:
    yield Check("Python", "ok", f"{platform.python_version()}, {sys.executable}, on {platform.platform()}")
    yield Check("kagglekit", "ok", f"{version('kagglekit')}, {Path(__file__).parents[1]}")


def _processor() -> Iterator[Check]:
    there, usable = os.cpu_count() or 1, cores()
    found = f"{there} cores" if usable >= there else f"{usable:g} of {there} cores may be used"
    few = "decoding images will take long, and training without a GPU: use the preset quick" if usable < 2 else ""
    yield _ok_or_warning("processor", found, few)


def _memory() -> Iterator[Check]:
    memory = usable_memory()
    if memory == math.inf:
        yield Check("memory", "skipped", "this system does not tell")
        return
    little = "use smaller batches: --set 'stage.*.batch_size=8'" if memory < LITTLE_MEMORY else ""
    yield _ok_or_warning("memory", _gigabytes(memory), little)


def _torch() -> Iterator[Check]:
    try:
        import torch

        from kagglekit.compute.device import choose_device, device_title
        from kagglekit.compute.precision import candidates
    except Exception as error:
        yield Check("torch", "problem", f"cannot be imported: {error}", "install it again: pip install torch")
        return
    threads, most = torch.get_num_threads(), math.ceil(cores())
    many = f"set OMP_NUM_THREADS={most}: more threads than cores slow each other down" if threads > most else ""
    yield _ok_or_warning("torch", f"{torch.__version__}, {threads} thread{'s' * (threads != 1)}", many)
    device = choose_device("auto")
    yield _device(device_title(device), device.type)
    formats = ", ".join(map(str, candidates(device)))
    yield Check("precision", "ok", f"to choose from: {formats}; {_remembered_formats()}")


def _device(title: str, kind: str) -> Check:
    """Name the device; a GPU that torch does not see is worth a word."""
    import torch

    if kind == "cuda":
        free, total = torch.cuda.mem_get_info()
        memory = f"{_gigabytes(free)} of {_gigabytes(total)} free"
        return Check("device", "ok", f"{title}, CUDA {torch.version.cuda}, {memory}")
    if kind == "cpu" and shutil.which("nvidia-smi"):
        hint = "install torch for CUDA as https://pytorch.org/get-started/locally says"
        return Check("device", "warning", f"{title}; there is an NVIDIA driver, but torch sees no GPU", hint)
    return Check("device", "ok", title)


def _remembered_formats() -> str:
    """Say what probes of earlier runs found (see `kagglekit.compute.precision.choose_formats`)."""
    try:
        known = json.loads((cache_folder() / "formats.json").read_text(encoding="utf-8")).values()
        probes = [probe["train"][0] for probe in known if "batch" not in probe]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return "no probe is remembered"
    return f"probes remembered: {len(probes)}, which train in {' or '.join(sorted(set(probes)))}"


def _disk() -> Iterator[Check]:
    yield _folder("data", data_place(""), "set KAGGLEKIT_DATA to another folder, or use --data DIR")
    yield _folder("cache", cache_folder(), "set KAGGLEKIT_CACHE to another folder")
    yield _folder("runs", RUNS.absolute(), "choose another place with --out DIR")


def _folder(name: str, folder: Path, hint: str) -> Check:
    """Check that a folder can be written to, and that its disk has room."""
    try:
        check_writable(folder, hint)
    except UserError as error:
        return Check(name, "problem", error.what, hint)
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    little = f"free the disk, or {hint}" if free < LITTLE_ROOM else ""
    return _ok_or_warning(name, f"{folder}, {_gigabytes(free)} free", little)


def check_client(seconds: float = 60) -> Iterator[Check]:
    """Import the official client, within `seconds`, and look at the folder that it wants."""
    name, started = "kaggle client", time.perf_counter()
    try:
        found = version("kaggle")
    except PackageNotFoundError:
        yield Check(name, "problem", "is not installed", "pip install 'kaggle>=2.2.4,<3' six")
        return
    if reason := _import_alone("kaggle", seconds):
        yield Check(name, "problem", f"{found}: {reason}", "pip install --upgrade kaggle six")
        return
    yield Check(name, "ok", f"{found}, imported in {time.perf_counter() - started:.1f} s")
    yield from _config_folder()


def _import_alone(module: str, seconds: float) -> str:
    """Import a module in a process with an empty home, where it finds no credentials; return why it fails.

    With a token, the client would call Kaggle while it is imported, and wait for ever.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KAGGLE")}
        environment |= dict.fromkeys(("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR"), home)
        command = [sys.executable, "-c", f"import {module}"]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"its import takes more than {seconds:g} s"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"cannot be imported: {lines[-1]}" if done.returncode else ""


def _config_folder() -> Iterator[Check]:
    """The client makes its folder when it is imported, and ends where it can't."""
    try:
        check_writable(config_folder(), "")
    except UserError as error:
        if not config_folder().is_dir():
            hint = "set KAGGLE_CONFIG_DIR to a folder that can be written to"
            yield Check("kaggle folder", "problem", error.what, hint)


def _credentials() -> Iterator[Check]:
    found, name = find_credentials(), "credentials"
    for problem in credential_problems():
        yield Check(name, "warning" if found else "problem", problem)
    if not found:
        yield Check(name, "warning", "none found: no downloads from Kaggle and no submissions", how_to_log_in())
        return
    user = f" of {found[0].user}" if found[0].user else ""
    yield Check(name, "ok", f"in use: the {found[0].kind}{user}, {found[0].source}")
    if len(found) > 1:
        others = listing([f"{other.kind} ({other.source})" for other in found[1:]])
        stale = found[0].kind == TOKEN and any(other.kind == KEY for other in found)
        hint = "a token that Kaggle refuses wins over a good key: remove what is old" if stale else ""
        yield _ok_or_warning(name, f"not in use beside it: {others}", hint)


def _answer(offline: bool, seconds: float) -> Iterator[Check]:
    name = "Kaggle's answer"
    if offline or not find_credentials():
        yield Check(name, "skipped", "not asked: " + ("--offline" if offline else "there are no credentials"))
        return
    accepted, words = kaggle_accepts(seconds)
    what, _, hint = words.partition("\n")
    if accepted is None:
        yield Check(name, "warning", f"could not ask: {what}", hint)
    elif accepted:
        yield Check(name, "ok", f"the credentials are accepted{words and f', as {words}'}")
    else:
        yield Check(name, "problem", what, hint or how_to_log_in())


def kaggle_accepts(seconds: float) -> tuple[bool | None, str]:
    """Ask Kaggle whether it accepts the credentials.

    Returns:
        True and the user's name, False and why not, or None and why it could not be asked.
    """
    try:
        from kagglekit.kaggle.login import check_login

        return True, check_login(seconds)
    except UserError as error:
        return (False if _is_refusal(error) else None), str(error)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _is_refusal(error: UserError) -> bool:
    """Whether Kaggle itself said no, or the client took none of the credentials, rather than the way being blocked."""
    response = getattr(error.__cause__, "response", None)
    return isinstance(error.__context__, SystemExit) or getattr(response, "status_code", 0) in (401, 403)


def _proxy() -> Iterator[Check]:
    from requests.utils import get_environ_proxies

    if os.environ.get("KAGGLE_PROXY"):
        yield Check("proxy", "warning", "KAGGLE_PROXY is set, but the client ignores it", "set HTTPS_PROXY instead")
    if (other := os.environ.get("KAGGLE_API_ENVIRONMENT", "PROD")) != "PROD":
        yield Check("proxy", "warning", f"KAGGLE_API_ENVIRONMENT={other}: Kaggle itself is not asked", "unset it")
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    variables = {key: value for key, value in sorted(os.environ.items()) if key.lower() in names and value}
    found = ", ".join(f"{key}={value}" for key, value in variables.items())
    used = get_environ_proxies("https://api.kaggle.com")  # the system's, too, where it has settings for them
    if through := used.get("https") or used.get("all"):
        yield Check("proxy", "ok", f"{found or through}; calls to Kaggle go through it")
    elif any(key.lower() in names[1:3] for key in variables):
        yield Check("proxy", "warning", f"{found}; NO_PROXY covers Kaggle: its calls go past the proxy")
    else:
        yield Check("proxy", "ok", f"{found}{'; ' * bool(found)}calls to Kaggle go straight to it")


def _certificates() -> Iterator[Check]:
    """Look where requests looks: the first of two variables that is set."""
    name = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None or Path(os.environ[name]).exists():
        yield Check("certificates", "ok", f"{name}={os.environ[name]}" if name else "those of Python's certifi")
    else:
        yield Check("certificates", "problem", f"{name}={os.environ[name]}: there is no such file", f"unset {name}")


def _ok_or_warning(name: str, found: str, hint: str) -> Check:
    """A finding is a warning if there is something to do about it."""
    return Check(name, "warning" if hint else "ok", found, hint)


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
