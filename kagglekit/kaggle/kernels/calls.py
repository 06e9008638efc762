"""Kernels on Kaggle's machines: pushed once, followed to their end, and what they write fetched.

The slug contains a token of the content, as that of a dataset does (`kagglekit.kaggle.kernels.datasets`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.download import Source, fetch
from kagglekit.kaggle.facts import KernelVersion
from kagglekit.kaggle.kernels.once import do_once, passes, unless_missing
from kagglekit.system.display.console import Display, duration
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UserError, listing
from kagglekit.system.signals import deferred_stop, stop_if_asked

PAUSE, MAX_PAUSE = 2.0, 60.0  # s between two looks at a session
MAX_OUTAGE = 3600.0  # s without any response, while a kernel runs, after which waiting ends
FAILED = ("error", "cancel_requested", "cancel_acknowledged")
PAGE = 100


@dataclass(frozen=True)
class Quota:
    """Hours of GPU that are left and allowed this week, and when the next week begins, UTC."""

    left: float
    total: float
    refreshed: datetime | None

    def __str__(self) -> str:
        until = f", until {self.refreshed:%Y-%m-%d %H:%M} UTC" if self.refreshed else ""
        return f"{self.left:.1f} of {self.total:.0f}{until}"


@dataclass(frozen=True)
class Session:
    """The session of a version: ``queued``, ``running``, ``complete`` or one of `FAILED`, and Kaggle's reason."""

    state: str
    failure: str = ""

    @property
    def is_over(self) -> bool:
        """True once it has ended, in whatever way."""
        return self.state in ("complete", "error", "cancel_acknowledged")


def gpu_quota(kaggle: Kaggle) -> Quota | None:
    """Return the account's hours of GPU; None if Kaggle does not say."""
    try:
        found = kaggle.ask("kernels", "get_accelerator_quota_statistics", {})
    except UserError:
        return None
    gpu = found.gpu_quota
    if gpu is None or gpu.total_time_allowed is None:
        return None
    total, used = (time.total_seconds() / 3600 if time else 0.0 for time in (gpu.total_time_allowed, gpu.time_used))
    return Quota(max(0.0, total - used), total, found.quota_refresh_time)


def kernel_versions(kaggle: Kaggle, ref: str) -> int:
    """Return the number of versions of a kernel; 0 if there is none of that name.

    Raises:
        UserError: The call fails.
    """
    found = unless_missing(lambda: kaggle.ask("kernels", "get_kernel", _named(ref)))
    return int(found.metadata.current_version_number or 1) if found else 0


def push_kernel(kaggle: Kaggle, metadata: Mapping[str, Any], code: str, display: Display) -> KernelVersion:
    """Push a kernel, which runs it; one that is there and has not failed is not pushed again.

    Args:
        kaggle: The login.
        metadata: As in kernel-metadata.json; the id contains a token of the content.
        code: The program.
        display: Shows what was done.

    Raises:
        UserError: Kaggle refuses it, or it is unknown whether it was pushed.
    """
    ref = str(metadata["id"])
    before = kernel_versions(kaggle, ref)
    if before:
        state = session_of(kaggle, KernelVersion(ref, before)).state
        if state not in FAILED:
            display.report(f"kernel {ref}: version {before} is already on Kaggle, {state}")
            return KernelVersion(ref, before)
        display.report(f"kernel {ref}: version {before} has failed ({state})")
    body = _push_request(metadata, code)
    number = do_once(
        kaggle,
        lambda: _pushed(kaggle, ref, body) or before + 1,
        lambda: now if (now := kernel_versions(kaggle, ref)) > before else None,
        f"the kernel {ref}",
    )
    display.report(f"kernel {ref}: pushed version {number}, https://www.kaggle.com/code/{ref}")
    return KernelVersion(ref, number)


def session_of(kaggle: Kaggle, version: KernelVersion) -> Session:
    """Return the state of a version's session.

    Raises:
        UserError: The call fails.
    """
    found = kaggle.ask("kernels", "get_kernel_session_status", _label(version))
    return Session(found.status.name.lower(), " ".join((found.failure_message or "").split()))


@dataclass
class Watch:
    """Looks at a session, and shows what has changed since the last look.

    Attributes:
        kaggle: The login.
        version: The version that runs.
        display: Shows states, and what the session prints.
        pause: Seconds until the next look.
    """

    kaggle: Kaggle
    version: KernelVersion
    display: Display
    pause: float = PAUSE

    def __post_init__(self) -> None:
        self._began = self._heard = self.kaggle.retry.clock.now()
        self._shown, self._state = 0, ""

    def look(self) -> Session:
        """Return the session as it is now, or as it was, if Kaggle does not respond.

        Raises:
            UserError: Kaggle refuses a call, or has not responded for an hour.
        """
        now = self.kaggle.retry.clock.now
        self.pause = min(MAX_PAUSE, self.pause * 1.5)
        try:
            session = session_of(self.kaggle, self.version)
            lines = log_of(self.kaggle, self.version) if session.state != "queued" else []
        except UserError as error:
            if not passes(error) or now() - self._heard > MAX_OUTAGE:
                raise
            self.display.warn(f"{error.what}; the kernel runs on: waiting for Kaggle")
            return Session(self._state)
        self._heard = now()
        if session.state != self._state:
            self.display.report(f"{session.state} after {duration(now() - self._began)}")
            self._state, self.pause = session.state, PAUSE
        for line in lines[self._shown :]:
            self.display.report(f"  {printable(line)}")
        self._shown = max(self._shown, len(lines))
        return session


def follow_kernel(kaggle: Kaggle, version: KernelVersion, display: Display) -> Session:
    """Wait until a version's session has ended; show its states, and what it prints, as Kaggle hands it on.

    Raises:
        UserError: See `Watch.look`.
        KeyboardInterrupt: Ctrl-C; the session runs on.
    """
    watch = Watch(kaggle, version, display)
    with deferred_stop(), display.status(f"waiting for version {version.number} of {version.ref}"):
        while True:
            stop_if_asked()
            session = watch.look()
            if session.is_over:
                return session
            kaggle.retry.clock.sleep(watch.pause)


def log_of(kaggle: Kaggle, version: KernelVersion) -> list[str]:
    """Return the lines that a version has printed, as far as Kaggle hands them on.

    Raises:
        UserError: The call fails.
    """
    text = kaggle.ask("kernels", "list_kernel_session_output", {**_label(version), "pageSize": 1}).log or ""
    try:
        events = json.loads(text)
    except ValueError:
        return text.splitlines()
    if not isinstance(events, list):
        return text.splitlines()
    return "".join(str(event.get("data", "")) for event in events if isinstance(event, dict)).splitlines()


def fetch_output(kaggle: Kaggle, version: KernelVersion, name: str, folder: Path, display: Display) -> Path | None:
    """Fetch a file that a version has written, by its name; None if it has written none of that name.

    Raises:
        UserError: It cannot be fetched.
    """
    if not any(each == name for each, _ in _output(kaggle, version)):
        return None
    file = folder / PurePosixPath(name).name
    source = Source(name, lambda: next(address for each, address in _output(kaggle, version) if each == name))
    fetch(source, file, kaggle.retry, display)
    return file


def delete_kernel(kaggle: Kaggle, ref: str) -> None:
    """Delete a kernel.

    Raises:
        UserError: The call fails.
    """
    kaggle.ask("kernels", "delete_kernel", _named(ref))


def _named(ref: str) -> dict[str, str]:
    owner, _, slug = ref.partition("/")
    return {"userName": owner, "kernelSlug": slug}


def _label(version: KernelVersion) -> dict[str, str]:
    return {**_named(version.ref), "versionLabel": f"v{version.number}"}  # a bare number is not found


def _output(kaggle: Kaggle, version: KernelVersion) -> Iterator[tuple[str, str]]:
    """Yield the names and signed addresses of the files that a version has written."""
    token = ""
    while True:
        body = {**_label(version), "pageSize": PAGE, "pageToken": token}
        found = kaggle.ask("kernels", "list_kernel_session_output", body)
        for each in found.files or []:
            yield each.file_name, each.url
        token = found.next_page_token
        if not token:
            return


def _push_request(metadata: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Return the body that the official command sends for the same files."""
    body = {
        "slug": metadata["id"],
        "newTitle": metadata["title"],
        "text": code,
        "language": metadata["language"],
        "kernelType": metadata["kernel_type"],
        "isPrivate": metadata["is_private"],
        "enableGpu": metadata["enable_gpu"],
        "enableTpu": metadata["enable_tpu"],
        "enableInternet": metadata["enable_internet"],
        "datasetDataSources": metadata["dataset_sources"],
        "competitionDataSources": metadata["competition_sources"],
        "kernelDataSources": metadata["kernel_sources"],
        "modelDataSources": metadata["model_sources"],
        "machineShape": metadata.get("machine_shape"),
        "sessionTimeoutSeconds": metadata.get("session_timeout_seconds"),
    }
    return {name: value for name, value in body.items() if value is not None}


def _pushed(kaggle: Kaggle, ref: str, body: Mapping[str, Any]) -> int:
    """Push in one attempt; return the version's number, 0 if Kaggle does not say it.

    Raises:
        UserError: Kaggle refuses it in words, with status 200.
    """
    found = kaggle.once("kernels", "save_kernel", body)
    if found.error:
        raise UserError(f"Kaggle refused the kernel {ref}: {' '.join(found.error.split())}", "")
    kinds = ("dataset", "competition", "kernel", "model")
    wrong = [each for kind in kinds for each in getattr(found, f"invalid_{kind}_sources") or []]
    if wrong:
        what = f"Kaggle runs the kernel {ref} without {listing(wrong)}, which it does not know or this account lacks"
        raise UserError(what, f"cancel it on https://www.kaggle.com/code/{ref}, accept the rules, and push again")
    return int(found.version_number or 0)
