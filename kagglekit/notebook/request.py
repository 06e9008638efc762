"""From the keywords of a function for notebooks to the request that the command line makes of its options."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kagglekit.system.errors import UsageError
from kagglekit.types.executor import JobOptions

if TYPE_CHECKING:
    from kagglekit.planning.request import Request
    from kagglekit.runs.folder import Run as RunFolder


OPTIONS = {"settings": "--set", "from_run": "--from", "plugins": "--plugin"}  # others are called like their keyword
RUNS = ("from_run", "into", "full")


def request_of(given: Mapping[str, Any]) -> Request:
    """Return the request that the keywords of `run` or `lr_find` are; its shorthands precede the settings."""
    from kagglekit.planning.request import Request  # builds models: a cell says something before

    short = [f"{key}={given[key]}" for key in ("arch", "limit", "seed", "folds") if given[key] is not None]
    short += ["group_duplicates=true"] if given["group_duplicates"] else []
    changed: dict[str, Any] = {
        "settings": (*short, *settings_of(given["settings"])),
        **{key: path_of(given[key]) for key in ("data", "sample", "drop") if key in given},
        **{key: name_of(given[key]) for key in RUNS if key in given},
        "plugins": tuple(map(str, given["plugins"])),
        "out": Path(given["out"]),
    }
    if "on" in given:
        changed["jobs"] = jobs_of(**{key: given[key] for key in inspect.signature(jobs_of).parameters})
    names = {field.name for field in fields(Request)} - {"recipe"}
    return Request(**{**{key: value for key, value in given.items() if key in names}, **changed})


def command_of(given: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command line that asks for the same as the keywords of `run`: ``kagglekit run pets --limit 60``.

    Args:
        given: The keywords.
        usual: Their defaults, which the command line leaves out.
    """
    words = ["kagglekit", "run", *filter(None, [str(given["competition"])])]
    for key, value in given.items():
        if key in ("competition", "display") or value == usual[key] or value in (None, False):
            continue
        option = OPTIONS.get(key) or f"--{key.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif key in ("settings", "plugins", "disable"):
            values = settings_of(value) if key == "settings" else map(str, value)
            words += [word for each in values for word in (option, each)]
        else:
            words += [option, name_of(value) if key in RUNS else str(value)]
    return tuple(words)


def jobs_of(
    on: str,
    workers: int | Literal["auto"] | None,
    gpus: int | None,
    retries: int,
    maxfail: int | None,
    accelerator: str,
    hours: float | None,
    yes_licence: bool,
) -> JobOptions:
    """Return how several trainings are run, as the options of the same names say; 0 workers are ``auto``."""
    on, n = (on or "local", None) if workers == "auto" or workers == 0 else (on, workers)
    return JobOptions(on, n, gpus, retries, maxfail, accelerator, hours, yes_licence)


def settings_of(settings: Mapping[str, object] | None) -> tuple[str, ...]:
    """Return settings as ``KEY=VALUE``.

    Raises:
        UsageError: They are no dict.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(f"settings is a {type(settings).__name__}, not a dict", 'write settings={"KEY": VALUE}')
    pairs = (settings or {}).items()
    return tuple(
        f"{key}={value if isinstance(value, str | Path) else json.dumps(value, default=str)}" for key, value in pairs
    )


def path_of(place: str | Path | None) -> Path | None:
    """Return a path that was given as text or path, if any."""
    return None if place is None else Path(place)


def name_of(found: RunFolder | str | Path) -> str:
    """Return how a run is named on the command line: by its folder, or as the user did."""
    return str(found if isinstance(found, str | Path) else found.folder)
