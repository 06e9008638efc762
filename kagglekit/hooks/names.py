"""The names that plugins provide: merged over all plugins, and checked against a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.system.errors import UsageError, unknown
from kagglekit.system.named_calls import read_calls
from kagglekit.types.competition import Competition, Provides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kagglekit.types.recipe import Recipe

MOST_FILES, LARGEST_FILE = 50, 200_000  # files of the working folder that are read, and their bytes
KINDS = {
    "views": "views",
    "augment": "augmentation",
    "plain": "plain view",
    "tta": "test-time views",
    "schedule": "schedule",
    "optimizer": "optimizer",
    "head": "head",
    "loss": "loss",
    "ensemble": "ensemble",
    "metric": "metric",
    "task": "task",
    "decision": "decision",
    "targets": "targets",
    "executor": "executor",
    "sampler": "sampler",
}
"""Fields of `Provides` that hold names, with their titles in messages."""


def merge(provided: Iterable[Provides]) -> Provides:
    """Merge what plugins provide, in the order of the calls: of equal names the first one counts."""
    names: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    options: dict[str, Any] = {}
    for each in provided:
        for kind in KINDS:
            names[kind].update(dict.fromkeys(getattr(each, kind)))
        options = {**each.options, **options}
    return Provides(**{kind: tuple(found) for kind, found in names.items()}, options=options)


def check_names(provides: Provides, recipe: Recipe, competition: Competition) -> None:
    """Check every name and option that a recipe and its competition use.

    Raises:
        UsageError: One line for each name that no plugin provides, and for each option that is unknown or of another
            type than its default.
    """
    uses: dict[tuple[str, str], list[str]] = {}
    for field, kind, name in _used(recipe, competition):
        if not is_provided(name, getattr(provides, kind)):
            uses.setdefault((kind, name), []).append(field)
    problems = [
        f"{', '.join(fields)}: {unknown(KINDS[kind], name, getattr(provides, kind))}"
        for (kind, name), fields in uses.items()
    ]
    hints = [hint for _, name in uses if (hint := beside(name))]
    problems += [text for key, value in recipe.options.items() if (text := _option(provides, key, value))]
    hints += [hint for key in recipe.options if key not in provides.options and (hint := beside(key))]
    if problems:
        what = "the recipe does not match the plugins:\n" + "\n".join(f"  {line}" for line in problems)
        raise UsageError(what, "\n".join(dict.fromkeys(hints)))


def beside(name: str) -> str:
    """Return the hint for a name that a plugin file in the working folder seems to provide; empty if none does.

    The file is read, not run.
    """
    for file in sorted(Path().glob("*.py"))[:MOST_FILES]:
        try:
            text = file.read_text(encoding="utf-8") if file.stat().st_size < LARGEST_FILE else ""
        except (OSError, UnicodeDecodeError):
            continue
        if "hookimpl" in text and (f'"{name}"' in text or f"'{name}'" in text):
            return f"./{file} seems to provide {name!r}: add --plugin ./{file}"
    return ""


def is_provided(name: str, provided: Iterable[str]) -> bool:
    """Return whether a name is provided, by itself or by a ``name.*``."""
    return any(name == each or (each.endswith(".*") and name.startswith(each[:-1])) for each in provided)


def _used(recipe: Recipe, competition: Competition) -> Iterator[tuple[str, str, str]]:
    """Yield field, kind and name of everything chosen by name."""
    for number, stage in enumerate(recipe.stages, 1):
        for kind in ("views", "plain", "schedule", "optimizer"):
            yield f"stage.{number}.{kind}", kind, getattr(stage, kind)
        for name, _ in read_calls(stage.augment):
            yield f"stage.{number}.augment", "augment", name
    if recipe.tta_views:
        yield "tta_views", "tta", recipe.tta_views
    for kind in ("head", "loss", "ensemble", "decision"):
        if kind in ("head", "ensemble") or getattr(recipe, kind) != "auto":
            yield kind, kind, getattr(recipe, kind)
    if recipe.targets != "labels":
        yield "targets", "targets", recipe.targets
    yield "the competition's metric", "metric", competition.metric
    yield "the competition's task", "task", competition.task


def _option(provides: Provides, key: str, value: object) -> str:
    if key not in provides.options:
        return f"options.{key}: {unknown('option', key, provides.options)}"
    default = provides.options[key]
    if _same_type(value, default):
        return ""
    expected, given = type(default).__name__, type(value).__name__
    return f"options.{key}: {value!r} is of type {given}, expected {expected} (default {default!r})"


def _same_type(value: object, default: object) -> bool:
    if default is None:
        return True
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):  # JSON knows only lists
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))
