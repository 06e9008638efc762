"""Read JSON files into models, and describe in plain words what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from kagglekit.system.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "string_unicode"), "text"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "an object"),
}
"""What a value should be, by pydantic's type of error."""


def read_object(file: Path, hint: str) -> dict[str, Any]:
    """Read a JSON file that contains an object.

    Args:
        file: The file.
        hint: What to do about a damaged one.

    Raises:
        UserError: It is missing, cannot be read, or contains something else.
    """
    try:
        content = _parsed(file.read_bytes())
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        why = "there is no such file" if gone else str(error.strerror)
        raise unreadable(file, why, hint if gone else "make the file readable") from error
    except (ValueError, RecursionError) as error:
        raise unreadable(file, _damage(error), hint) from error
    if not isinstance(content, dict):
        raise unreadable(file, "it is not a JSON object", hint)
    return content


def _parsed(content: bytes) -> Any:
    """Return what JSON means; pydantic's parser takes a third of the time, and Python's says what is wrong."""
    try:
        return from_json(content)
    except ValueError:
        return json.loads(content.decode("utf-8"))


def read_model(model: type[Model], file: Path, hint: str) -> Model:
    """Read a JSON file into a model.

    Raises:
        UserError: As `read_object`, or a value is not one that the model takes.
    """
    content = read_object(file, hint)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise unreadable(file, first_fault(error), hint) from error


def unreadable(file: Path, why: str, hint: str) -> UserError:
    """Return the error of a file that cannot be read."""
    return UserError(f"cannot read {file}: {why}", hint)


def first_fault(error: ValidationError) -> str:
    """Return the place of the first invalid value, and what it should be: ``stages.0.size: should be an integer``."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place + ': ' if place else ''}{described(fault)}"


def described(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a value in plain words.

    Args:
        fault: One of the errors of a `pydantic.ValidationError`.
    """
    kind, message = fault["type"], str(fault["msg"])
    if kind in _EXPECTED:
        return f"should be {_EXPECTED[kind]}"
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not known"
    return message.removeprefix("Value error, ").removeprefix("Input ").partition(" after validation")[0]


def _damage(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return (
            f"it is not valid JSON (line {error.lineno}, column {error.colno})" if error.doc.strip() else "it is empty"
        )
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it has too many digits"
