"""Checks of `kagglekit doctor` that concern Kaggle: client, credentials, login, proxies, certificates."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kagglekit.kaggle.credentials import (
    KEY,
    TOKEN,
    config_folder,
    credential_problems,
    find_credentials,
    how_to_log_in,
    no_credentials,
)
from kagglekit.system.check import Check, Status, ok_or_warning
from kagglekit.system.errors import UserError, listing
from kagglekit.system.files import check_writable


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

    With a token, the client would call Kaggle during its import, without a timeout. A module of that name in the
    working folder is not run.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KAGGLE")}
        environment |= dict.fromkeys(("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR"), home)
        command = [sys.executable, "-P", "-c", f"import {module}"]
        try:
            done = subprocess.run(
                command, env=environment, cwd=home, capture_output=True, text=True, errors="replace", timeout=seconds
            )
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


def check_credentials() -> Iterator[Check]:
    """Check that there are credentials, and show which one is in effect."""
    found, problems, name = find_credentials(), credential_problems(), "credentials"
    if not found:
        error = no_credentials()
        status: Status = "problem" if problems else "warning"
        yield Check(name, status, f"{error.what}; downloads and submissions need them", error.hint)
        return
    for problem in problems:
        yield Check(name, "warning", problem)
    user = f" of {found[0].user}" if found[0].user else ""
    yield Check(name, "ok", f"in use: the {found[0].kind}{user}, {found[0].source}")
    if len(found) > 1:
        others = listing([f"{other.kind} ({other.source})" for other in found[1:]])
        stale = found[0].kind == TOKEN and any(other.kind == KEY for other in found)
        hint = "a token takes precedence over a key, even if Kaggle refuses it: remove the old one" if stale else ""
        yield ok_or_warning(name, f"also found, not in use: {others}", hint)


def check_kaggle_login(offline: bool, seconds: float) -> Iterator[Check]:
    """Check that Kaggle accepts the credentials, unless `offline`; show what is left of its GPUs this week."""
    name = "Kaggle login"
    if offline or not find_credentials():
        yield Check(name, "skipped", f"not checked: {'--offline' if offline else no_credentials().what}")
        return
    accepted, message, quota = kaggle_accepts(seconds)
    what, _, hint = message.partition("\n")
    if accepted is None:
        yield Check(name, "warning", f"could not be checked: {what}", hint)
    elif accepted:
        yield Check(name, "ok", f"Kaggle accepts the credentials{message and f' of {message}'}")
        if quota:
            yield Check("Kaggle GPUs", "ok", f"hours left this week: {quota}")
    else:
        yield Check(name, "problem", what, hint or how_to_log_in())


def kaggle_accepts(seconds: float) -> tuple[bool | None, str, str]:
    """Ask Kaggle whether it accepts the credentials, and what is left of its GPUs.

    Returns:
        True and the user's name, False and the reason, or None and the reason why Kaggle could not be asked; and the
        hours that are left, empty if unknown.
    """
    try:
        from kagglekit.kaggle.kernels.calls import gpu_quota
        from kagglekit.kaggle.login import check_login

        kaggle = check_login(seconds)
        return True, kaggle.user, str(gpu_quota(kaggle) or "")
    except UserError as error:
        return (False if _is_refusal(error) else None), str(error), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}", ""


def _is_refusal(error: UserError) -> bool:
    """Return whether Kaggle or the client rejected the credentials; else Kaggle could not be reached."""
    response = getattr(error.__cause__, "response", None)
    return isinstance(error.__context__, SystemExit) or getattr(response, "status_code", 0) in (401, 403)


def check_proxy() -> Iterator[Check]:
    """Show the proxies, and warn about settings that the client ignores."""
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


def check_certificates() -> Iterator[Check]:
    """Check the file that requests uses: the first of two variables that is set."""
    name = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None or Path(os.environ[name]).exists():
        yield Check("certificates", "ok", f"{name}={os.environ[name]}" if name else "from the package certifi")
    else:
        yield Check("certificates", "problem", f"{name}={os.environ[name]}: file not found", f"unset {name}")
