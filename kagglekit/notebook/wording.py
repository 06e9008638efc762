"""Messages name options of the command line; in a notebook they name keywords."""

from __future__ import annotations

import re

_NAMES = {"plugin": "plugins", "from": "from_run"}
_COMMAND = re.compile(r"\bkagglekit (run|resume|look|report|lr-find) ([\w./-]+)((?: --[a-z-]+ [^\s,;)]+)*)")
_SETTING = re.compile(r"--set '?([\w.*]+)=([^'\s,;)]+)'?")
_OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)(?:[ =]([A-Z]+\b|[^\s,;:)]*[/.\d][^\s,;:)]*))?")


def in_python(text: str) -> str:
    """Return a message with keywords in place of options: ``data="DIR"`` for ``--data DIR``."""
    return _plain(_COMMAND.sub(_call, text))


def _call(found: re.Match[str]) -> str:
    name, what, options = found[1].replace("-", "_"), found[2], _plain(found[3]).split()
    return f"kagglekit.{name}({', '.join([_value(what), *options])})"


def _plain(text: str) -> str:
    text = _SETTING.sub(lambda found: f'settings={{"{found[1]}": {_value(found[2])}}}', text)
    return _OPTION.sub(_keyword, text)


def _keyword(found: re.Match[str]) -> str:
    name = _NAMES.get(found[1], found[1].replace("-", "_"))
    return f"{name}={_value(found[2])}" if found[2] else name


def _value(text: str) -> str:
    """Return a value as Python has it: numbers and placeholders in capitals without quotes."""
    plain = text.isupper() or re.fullmatch(r"-?[\d.]+(?:e-?\d+)?", text) or text in ("true", "false")
    return {"true": "True", "false": "False"}.get(text, text) if plain else f'"{text}"'
