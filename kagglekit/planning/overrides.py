"""Changes to a recipe from the command line: ``stage.2.size=299`` and the shorthands, type-checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kagglekit.planning.synonyms import key_hint
from kagglekit.system.errors import UsageError, nearest, unknown
from kagglekit.system.typed_json import described
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import AUTO, Stage

MOST_NESTED = 20  # lists in lists; JSON's and pydantic's own limits are exceptions
MOST_SHOWN = 100  # letters of a setting in a message


def apply_overrides(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Return the recipe with ``KEY=VALUE`` settings applied in order.

    Keys are a recipe's fields (``arch``), a stage's by number, name or ``*`` for all (``stage.2.size``,
    ``stage.head.lr``, ``stage.*.batch_size``) and plugins' own settings (``options.NAME``). A stage's `epochs`
    may be set too: it means one cycle of that many epochs. ``lr=auto`` and ``batch_size=auto`` mean a
    search before the stage.

    Raises:
        UsageError: A line for each setting with an unknown key or a value of the wrong type, or for each error of the
            resulting recipe.
    """
    data = recipe.model_dump()
    problems = []
    for setting in settings:
        try:
            _apply(data, recipe, setting)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))
    return checked_recipe(data)


def checked_recipe(data: Mapping[str, Any]) -> Recipe:
    """Make a recipe from plain data.

    Raises:
        UsageError: A line for each invalid value.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UsageError("\n".join(_lines(error))) from None


def epochs_setting(last: int, epochs: int) -> list[str]:
    """Return ``--epochs N`` as settings: the last stage that is run trains one cycle of N epochs."""
    return [f"stage.{last}.epochs={epochs}"]


def size_settings(recipe: Recipe, size: int) -> list[str]:
    """Return ``--size S`` as settings: the largest size becomes S, and all others keep their proportion to it.

    A stack of heads sees the images at S and at its other scales.
    """
    scale = size / recipe.sizes[-1]
    stages = [f"stage.{i}.size={max(8, round(s.size * scale))}" for i, s in enumerate(recipe.stages, 1)]
    for number, stage in enumerate(recipe.stages, 1):
        if stage.stacks:
            seen = stage.model_copy(update={"stack_sizes": ()}).stack_sizes_of(size)
            stages.append(f"stage.{number}.stack_sizes=[{','.join(map(str, seen))}]")
    predict = [f"predict_size={round(recipe.predict_size * scale)}"] if recipe.predict_size else []
    return stages + predict


def _apply(data: dict[str, Any], recipe: Recipe, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"invalid setting {_shown(setting)}: expected KEY=VALUE, for example stage.2.size=299")
    first, *rest = key.split(".")
    if first in ("stage", "stages") and len(rest) == 2:
        for i in _stage_numbers(recipe, rest[0], setting):
            _set_in_stage(data["stages"][i], rest[1], text, setting)
        _drop_outdated(data, "stages")
    elif first == "options" and len(rest) == 1:
        data["options"][rest[0]] = _plain(text, setting)
    elif rest or first in ("stage", "stages", "options"):
        guess = nearest(first, ("stage", "options")) if first not in ("stage", "options") else ""
        raise UsageError(
            f"{_shown(setting)}: {guess}expected stage.NUMBER.FIELD=VALUE, options.NAME=VALUE or FIELD=VALUE"
        )
    else:
        data[first] = _typed(Recipe, first, text, setting)
        _drop_outdated(data, first)


def _set_in_stage(stage: dict[str, Any], field: str, text: str, setting: str) -> None:
    if field == "epochs":
        stage.update(cycles=1, cycle_mult=1, cycle_len=_typed(Stage, "cycle_len", text, setting))
        return
    if field in AUTO and text == "auto":
        stage[AUTO[field]] = True
        return
    value = _typed(Stage, field, text, setting)
    if field in ("lr", "group_lrs", "batch_size", "size"):
        stage[AUTO.get(field, "find_lr")] = False
    if field == "lr" and stage["group_lrs"]:  # the groups keep their ratios
        stage["group_lrs"] = (*(rate * value / stage["lr"] for rate in stage["group_lrs"][:-1]), value)
    if field == "group_lrs" and value:
        stage["lr"] = value[-1]
    stage[field] = value


def _drop_outdated(data: dict[str, Any], changed: str) -> None:
    """Drop descriptions of the recipe that no longer hold."""
    if changed in ("arch", "archs", "zoo", "weights", "pretrained"):
        data.update(licence="")
    if changed in ("arch", "archs", "zoo"):
        data.update(source="")
    if changed not in ("seed", "split_seed", "measured"):
        data.update(measured="none")


def _stage_numbers(recipe: Recipe, which: str, setting: str) -> list[int]:
    names = [stage.name for stage in recipe.stages]
    if which == "*":
        return list(range(len(names)))
    if which in names:
        return [names.index(which)]
    numbers = [str(i) for i in range(1, len(names) + 1)]
    if which in numbers:
        return [numbers.index(which)]
    raise UsageError(f"{_shown(setting)}: {unknown('stage', which, [*numbers, *names, '*'])}")


def _typed(model: type[Recipe] | type[Stage], field: str, text: str, setting: str) -> Any:
    fields = model.model_fields
    if field not in fields:
        if hint := key_hint(field, text, model is Stage):
            raise UsageError(f"{_shown(setting)}: unknown key {field!r}: {hint}")
        if model is Recipe and field in Stage.model_fields:
            meant = f"--set 'stage.*.{field}={text}'"
            raise UsageError(f"{_shown(setting)}: {field} is a stage's: for all stages, write {meant}")
        choices = [*fields, "epochs"] if model is Stage else [*fields, "stage.N.FIELD"]
        raise UsageError(f"{_shown(setting)}: {unknown('key', field, choices)}")
    annotation = fields[field].rebuild_annotation()
    value = (
        None
        if text in ("none", "null") and type(None) in getattr(annotation, "__args__", ())
        else _plain(text, setting)
    )
    if annotation is str:
        value = text
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        reasons = sorted({described(line) for line in error.errors()})
        raise UsageError(f"{_shown(setting)}: {'; '.join(reasons)}") from None


def _plain(text: str, setting: str) -> Any:
    """Read a value as JSON, else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise _too_deep(setting) from None
    level = [value]
    for _ in range(MOST_NESTED):
        level = [inner for outer in level for inner in _contents(outer)]
    if level:
        raise _too_deep(setting)
    return value


def _contents(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _too_deep(setting: str) -> UsageError:
    return UsageError(f"{_shown(setting)}: the value is nested more than {MOST_NESTED} deep")


def _shown(setting: str) -> str:
    return repr(setting if len(setting) <= MOST_SHOWN else f"{setting[:MOST_SHOWN]}...")


def _lines(error: ValidationError) -> list[str]:
    return [f"{_where(line['loc'])}: {described(line)}" for line in error.errors()]


def _where(loc: tuple[int | str, ...]) -> str:
    parts = [str(part + 1) if isinstance(part, int) else part for part in loc]
    return ".".join(parts).replace("stages.", "stage.") or "recipe"
