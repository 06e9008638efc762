"""How a run was made: the command that repeats it, data, network, machine, versions, and the whole recipe."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.runs.info import RunInfo
    from kagglekit.runs.loaded import LoadedRun

PLACES = (  # options whose value is, or may be, a path
    *("--data", "--out", "--sample", "--plugin", "--pictures", "--drop", "--from", "--into", "--full"),
)


@dataclass(frozen=True)
class Made:
    """How a run was made.

    Attributes:
        command: The command to repeat it.
        note: What the command leaves out; empty for nothing.
        facts: Names and values, in order.
        recipe: recipe.json.
    """

    command: str
    note: str
    facts: list[tuple[str, str]]
    recipe: str


def made(loaded: LoadedRun) -> Made:
    """Return how a run was made; folders are named by their last part, so that no place on the machine is named."""
    info = loaded.info
    arguments = _arguments(info)
    note = ""
    if not arguments:
        arguments = _from_recipe(loaded)
        note = "The run was started from Python; settings that this command lacks are in the recipe."
    return Made(shlex.join(["kagglekit", *arguments]), note, _facts(loaded), loaded.recipe.to_json())


def _arguments(info: RunInfo) -> list[str]:
    """Return the arguments of the command line; empty if the run was not started from there."""
    if not info.command:
        return []
    program, *rest = info.command
    name = PurePath(program.replace("\\", "/"))
    if name.stem != "kagglekit" and name.parts[-2:] != ("kagglekit", "__main__.py"):
        return []
    return [_without_place(part, rest[number - 1] if number else "") for number, part in enumerate(rest)]


def _without_place(part: str, before: str) -> str:
    option, equals, value = part.partition("=")
    if equals and option in PLACES:
        return f"{option}={_last(value)}"
    return _last(part) if before in PLACES or PurePath(part).is_absolute() else part


def _last(path: str) -> str:
    place = PurePath(path)
    return (place.name or path) if place.is_absolute() else path


def _from_recipe(loaded: LoadedRun) -> list[str]:
    info, recipe = loaded.info, loaded.recipe
    options = [f"--arch={recipe.arch}", f"--seed={recipe.seed}"]
    options += [f"--preset={info.preset}"] if info.preset else []
    options += [f"--limit={recipe.limit}"] if recipe.limit else []
    options += [f"--folds={recipe.folds}"] if recipe.folds else []
    return ["run", _last(info.plugin or info.competition), *options]


def _facts(loaded: LoadedRun) -> list[tuple[str, str]]:
    info, recipe = loaded.info, loaded.recipe
    images = ", ".join(f"{n:,} {split}" for split, n in info.images.items())
    plugins = sorted({PurePath(path.replace("\\", "/")).name for path in info.plugin_hashes})
    versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    formats = " and ".join(dict.fromkeys(filter(None, (info.train_format, info.infer_format))))
    machine = ", ".join(dict.fromkeys(filter(None, (info.device, info.cpu))))
    facts = [
        ("network", f"{recipe.arch}{f', weights: {_last(info.weights)}' if info.weights else ''}"),
        ("licence of the weights", info.licence),
        ("images", images),
        ("left out", f"{info.dropped:,} labelled images (--drop)" if info.dropped else ""),
        ("data", f"{info.data_key} (hash of ids, labels and splits)" if info.data_key else ""),
        ("seed", str(recipe.seed)),
        ("machine", f"{machine}{f'; {formats}' if formats else ''}"),
        ("versions", versions),
        ("plugin files", ", ".join(plugins)),
        ("started", info.started),
    ]
    return [(name, value) for name, value in facts if value]
