"""Arguments of Python functions, checked and converted by the command line's options of the same names."""

from __future__ import annotations

import inspect
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from kagglekit.cli.main import cli, in_plain_words
from kagglekit.planning.synonyms import keyword_hint
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, nearest

CLOSE = 0.7  # how similar a keyword must be to be suggested; of shorter words, two thirds are by chance
NAMES = {"plugin": "plugins"}  # an option that may be given several times, and its keyword


def checked(
    name: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]
) -> inspect.BoundArguments:
    """Return the arguments of a call as the command of that name has its options: ``epochs="3"`` as 3.

    Args:
        name: The function's name.
        signature: Its signature.
        args: Arguments without a keyword.
        kwargs: Those with one.

    Raises:
        UsageError: An argument is unknown or missing, or has a value that the command line refuses.
    """
    command = cli.get_command(click.Context(cli), name.replace("_", "-"))
    assert command is not None
    bound = _bound(name, command, signature, args, kwargs)
    options = {_keyword(option): option for option in command.params}
    for key, value in bound.arguments.items():
        default = signature.parameters[key].default
        if value is None and default is not inspect.Parameter.empty:
            bound.arguments[key] = default
        elif key in options and key != "settings":  # a dict, of which the options are lines
            bound.arguments[key] = _converted(key, value, options[key], click.Context(command))
        elif key == "display" and not isinstance(value, Display):
            raise UsageError(f"display is a {type(value).__name__}, not a Display", "omit it")
    return bound


def _bound(
    name: str,
    command: click.Command,
    signature: inspect.Signature,
    args: Sequence[object],
    kwargs: Mapping[str, object],
) -> inspect.BoundArguments:
    parameters = signature.parameters.values()
    several = [one.name for one in parameters if one.kind is one.VAR_POSITIONAL]
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    for word, value in kwargs.items():
        if word in several or word not in signature.parameters:
            hint = f"write {name}(*{word})" if word in several else _hint(word, value, known, command)
            raise UsageError(f"{name}() has no keyword {word!r}", hint)
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:  # too many, or too few
        shown = ", ".join(one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD)
        raise UsageError(f"{name}(): {error}", f"write {name}({shown}, KEYWORD=VALUE)") from None


def _hint(word: str, value: object, known: Sequence[str], command: click.Command) -> str:
    own = {text.lstrip("-").replace("-", "_"): _keyword(option) for option in command.params for text in option.opts}
    if own.get(word) in known:  # as on the command line: set, from, n
        return f"did you mean {own[word]!r}?"
    suggested = keyword_hint(word, known, value) or nearest(word, known, CLOSE).strip()
    return suggested or f"its keywords: {', '.join(known)}"


def _keyword(option: click.Parameter) -> str:
    return NAMES.get(str(option.name), str(option.name))


def _converted(key: str, value: object, option: click.Parameter, context: click.Context) -> Any:
    several = option.multiple or option.nargs == -1
    words: Any = [_written(key, each) for each in _each(value)] if several else _written(key, value)
    try:
        converted = option.type_cast_value(context, words)
        return option.callback(context, option, converted) if option.callback else converted
    except click.BadParameter as error:
        raise UsageError(f"invalid value for {key}: {in_plain_words(error.message)}") from None


def _each(value: object) -> Iterable[object]:
    """Return several values; text or a path is one, not its letters."""
    return value if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _written(key: str, value: object) -> str:
    """Return a value as one writes it on the command line; a run by its folder."""
    place = getattr(value, "folder", value)
    if isinstance(place, str | os.PathLike):
        return os.fspath(place)
    if isinstance(place, numbers.Number):  # NumPy's as well
        return str(place)
    raise UsageError(f"invalid value for {key}: expected text or a number, not {type(value).__name__}")
