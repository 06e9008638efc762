"""Messages name commands and options; in a notebook they name functions and keywords."""

from __future__ import annotations

import re

FUNCTIONS = ("run", "resume", "look", "report", "lr-find", "blend", "predict", "history")
OTHERS = ("recipe", "models", "competitions", "download", "submit", "kernel", "leaderboard", "export", "new", "check",
          "plugins", "doctor", "cache", "sweep")  # fmt: skip
_NAMES = {"plugin": "plugins", "from": "from_run"}
_WITH = r"(?: --[a-z-]+(?: (?!--)[^\s,;:)`]+)?)"  # an option, with a value or without
_OWN = rf"kagglekit (?:{'|'.join(OTHERS)})\b(?:(?: [^\s,;:)`-][^\s,;:)`]*){{0,2}}{_WITH}+)?"
_SHELL = re.compile(rf"\b(?:{_OWN}|(?:pip install|convmv) [^,;)]*)")
_COMMAND = re.compile(rf"\bkagglekit (?:history\b|({'|'.join(FUNCTIONS)})\b(?: ([\w./][\w./-]*))?({_WITH}*))")
_SETTING = re.compile(r"--set (?:'([\w.*]+)=([^']+)'|([\w.*]+)=([^\s;)]*[^\s,;.):]))")
_OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)(?:[ =]([A-Z]+\b|[^\s,;:)]*[/.\d][^\s,;:)]*))?")
_WORKERS = re.compile(r"(?<![\w-])-n\b")


def in_python(text: str) -> str:
    """Return a message for a notebook: ``data="DIR"`` for ``--data DIR``, and calls in place of commands.

    Before a command without such a function is an exclamation mark, with which a cell can run it.
    """
    parts, end = [], 0
    for found in _SHELL.finditer(text):
        parts += [_translated(text[end : found.start()]), f"!{found[0]}"]
        end = found.end()
    return "".join([*parts, _translated(text[end:])])


def _translated(text: str) -> str:
    return _plain(_COMMAND.sub(_call, text))


def _call(found: re.Match[str]) -> str:
    if not found[1]:
        return "kagglekit.history()"  # in messages it has no arguments
    first = [_value(found[2])] if found[2] else []
    options = (option.strip() for option in re.findall(_WITH, found[3]))
    return f"kagglekit.{found[1].replace('-', '_')}({', '.join([*first, *map(_argument, options)])})"


def _argument(option: str) -> str:
    if option.startswith("--set "):
        return _plain(option)
    name, _, value = option.removeprefix("--").partition(" ")
    return f"{_name(name)}={_value(value) if value else True}"


def _plain(text: str) -> str:
    text = _SETTING.sub(_setting, text)
    return _OPTION.sub(_keyword, _WORKERS.sub("workers", text))


def _setting(found: re.Match[str]) -> str:
    key, value = found[1] or found[3], found[2] or found[4]
    return f'settings={{"{key}": {_value(value)}}}'


def _keyword(found: re.Match[str]) -> str:
    return f"{_name(found[1])}={_value(found[2])}" if found[2] else _name(found[1])


def _name(option: str) -> str:
    return _NAMES.get(option, option.replace("-", "_"))


def _value(text: str) -> str:
    """Return a value as Python has it: numbers, lists and placeholders in capitals without quotes."""
    if text in ("true", "false"):
        return text.capitalize()
    plain = re.fullmatch(r"[A-Z][A-Z_-]*|-?[\d.]+(?:e-?\d+)?|\.\.\.|\[.*\]", text)
    return text if plain else f'"{text}"'
