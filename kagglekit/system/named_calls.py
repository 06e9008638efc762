"""Read names with settings from text: ``trivial-augment + random-erasing(p=0.25)``."""

from __future__ import annotations

import ast
import re
from typing import Any

_CALL = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(\((?:[^()]|\([^()]*\))*\))?\s*\+")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
EXPECTED = "expected NAME or NAME(KEY=VALUE, ...), several joined by +"


def read_calls(text: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return each name with its settings; nothing for empty text.

    A value is a number, quoted text or one word of text, true, false, null, or a list of those. Nothing is executed.

    Raises:
        ValueError: The text has another form.
    """
    calls: list[tuple[str, dict[str, Any]]] = []
    rest = f"{text}+" if text.strip() else ""
    while rest:
        found = _CALL.match(rest)
        if not found:
            raise ValueError(f"cannot read {rest.removesuffix('+')!r}: {EXPECTED}")
        calls.append((found[1], _settings(found[2] or "()")))
        rest = rest[found.end() :]
    return tuple(calls)


def _settings(text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f{text}", mode="eval").body
        settings = {each.arg: _value(each.value) for each in call.keywords} if isinstance(call, ast.Call) else {}
        if (
            isinstance(call, ast.Call)
            and not call.args
            and None not in settings
            and len(settings) == len(call.keywords)
        ):
            return {str(key): value for key, value in settings.items()}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    raise ValueError(f"cannot read {text!r}: {EXPECTED}")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id)
    return ast.literal_eval(node)
