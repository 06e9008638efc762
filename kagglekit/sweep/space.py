"""What a search varies: ``--try 'stage.*.lr=1e-5..1e-3:log' --try arch=a,b``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from kagglekit.planning.overrides import apply_overrides
from kagglekit.planning.plan import Choice
from kagglekit.system.errors import UsageError
from kagglekit.types.search import Parameter, Value

FORM = "expected KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C"
HELD_OUT = ("split_by", "valid", "limit", "folds", "group_duplicates")  # what decides which images are valid
DIGITS = 4  # of a tried number: no score depends on more
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")


def parse_space(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Read what to vary.

    Raises:
        UsageError: Nothing is given, a text has another form, or two name the same key.
    """
    if not texts:
        raise UsageError("nothing to try", "name at least one: --try 'stage.*.lr=1e-4..1e-2:log', --try arch=A,B")
    space = tuple(_parameter(text) for text in texts)
    keys = [each.key for each in space]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise UsageError(f"--try names {', '.join(twice)} twice")
    return space


def _parameter(text: str) -> Parameter:
    key, equals, values = text.partition("=")
    if not (key and equals and values):
        raise UsageError(f"invalid --try {text!r}: {FORM}")
    found = _RANGE.fullmatch(values)
    if found:
        return _between(text, key, found)
    choices = tuple(_split(values))
    if len(choices) < 2 or not all(choices):
        raise UsageError(f"invalid --try {text!r}: {FORM}")
    if len(set(choices)) < len(choices):
        raise UsageError(f"invalid --try {text!r}: it names a value twice")
    return Parameter(key, "choice", choices=choices)


def _between(text: str, key: str, found: re.Match[str]) -> Parameter:
    low, high = float(found[1]), float(found[2])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"invalid --try {text!r}: the first number must be lower")
    if found[3] and low <= 0:
        raise UsageError(f"invalid --try {text!r}: :log needs numbers above 0")
    whole = all(re.fullmatch(r"[+-]?\d+", bound) for bound in found.groups()[:2])
    return Parameter(key, "int" if whole else "float", low, high, bool(found[3]))


def _split(text: str) -> Iterator[str]:
    """Split at commas that are not within brackets: ``a(x=1,y=2),b`` has two parts."""
    depth, part = 0, ""
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            yield part
            part = ""
        else:
            part += letter
    yield part


def settings_of(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Return a trial's values in the words of ``--set``."""
    return tuple(f"{key}={_word(value)}" for key, value in values.items())


def _word(value: Value) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def check_space(choice: Choice, space: Sequence[Parameter]) -> None:
    """Try the bounds and choices of each parameter on the recipe, before anything slow.

    Raises:
        UsageError: The recipe has no such key, or a value does not fit.
    """
    recipe, hooks = choice.recipe, choice.hooks
    if recipe.zoo:
        raise UsageError("a sweep tries one network at a time", "leave out --zoo; --try arch=A,B tries several")
    for parameter in space:
        for value in parameter.choices or _bounds(parameter):
            changed = apply_overrides(recipe, settings_of({parameter.key: value}))
            if changed.zoo or any(getattr(changed, name) != getattr(recipe, name) for name in HELD_OUT):
                raise UsageError(f"--try {parameter.key}: trials must hold out the same images, to be comparable")
            hooks.check_names(changed, choice.competition)
            hooks.check_augmentations(changed)
            if changed.arch != recipe.arch or changed.weights != recipe.weights:
                hooks.check_model(changed)


def _bounds(parameter: Parameter) -> tuple[Value, Value]:
    kind = int if parameter.kind == "int" else float
    return kind(parameter.low), kind(parameter.high)
