"""Which credentials the official Kaggle client would use, found without importing it; never the secrets themselves.

The order and its oddities are the client's (kaggle 2.2.4, kagglesdk 0.1.37): a token from the environment or from its
file is sent with every call, also one that Kaggle refuses while a good key lies beside it. Only an OAuth login takes
the place of a refused token, and only where there is no key.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN, KEY, OAUTH = "access token", "user name and key", "OAuth login"
SETTINGS = "https://www.kaggle.com/settings/api"
_PAIR = {"username": "KAGGLE_USERNAME", "key": "KAGGLE_KEY"}
_SHORTEST = 4  # characters of a secret: masking shorter ones would spoil every message


@dataclass(frozen=True)
class Credential:
    """One way to log in. It holds no secret, so that it can be printed.

    Attributes:
        kind: `TOKEN`, `KEY` or `OAUTH`.
        source: Where it is, in words: ``$KAGGLE_API_TOKEN``, ``~/.kaggle/kaggle.json``.
        user: The user's name; empty where only Kaggle knows it.
    """

    kind: str
    source: str
    user: str = ""


@dataclass(frozen=True)
class _Found:
    """What one place holds: a credential, if the client would use it; what must not be printed; what is odd."""

    credential: Credential | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[str, ...] = ()


def find_credentials() -> list[Credential]:
    """Return the credentials that the client would use, the one that counts first."""
    return [found.credential for found in _places() if found.credential]


def credential_problems() -> list[str]:
    """Say what is wrong with the places where credentials may be, a sentence each."""
    return [problem for found in _places() for problem in found.problems]


def how_to_log_in() -> str:
    """Word the three ways to log in."""
    return (
        f"log in to Kaggle in one of three ways; {SETTINGS} has the first two:\n"
        "  a token: save it to ~/.kaggle/access_token, or set KAGGLE_API_TOKEN to it\n"
        f"  user name and key: save kaggle.json as {short(config_folder() / 'kaggle.json')}, "
        "or set KAGGLE_USERNAME and KAGGLE_KEY\n"
        "  the browser: kaggle auth login"
    )


def masked(text: str) -> str:
    """Return a text with every secret in it replaced by ``***``."""
    for secret in sorted(secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets() -> set[str]:
    """Return what no message may contain: tokens, keys, their HTTP form, and what logs in to a proxy."""
    found = {secret for place in _places() for secret in place.secrets}
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and (user := re.match(r"(?:\w+://)?(.*)@", value)):
            found |= {user[1], user[1].partition(":")[2]}
    parts = {part for secret in found for part in (secret, *secret.split())}
    forms = {form for part in parts for form in (part, repr(part)[1:-1], ascii(part)[1:-1])}
    return {form for form in forms if len(form) >= _SHORTEST}


def broken_secret() -> str:
    """Say why what counts can't be sent: a secret with blanks or line ends in it; empty if it can.

    Error messages of HTTP libraries would show it.
    """
    for found in _places():
        if found.credential and any(re.search(r"\s", secret) for secret in found.secrets):
            return f"{found.credential.source} has blanks or line ends in it"
        if found.credential:
            return ""
    return ""


def config_folder() -> Path:
    """Return the folder of the client's kaggle.json; tokens and OAuth logins lie in ~/.kaggle whatever it is."""
    home = Path("~/.kaggle").expanduser()
    if chosen := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(chosen)
    if home.exists() or not sys.platform.startswith("linux"):
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"


def short(path: Path) -> str:
    """Word a path, with ``~`` for the home folder."""
    home = Path("~").expanduser()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _places() -> Iterator[_Found]:
    """Look into each place, in the client's order."""
    yield from _notebook_token()
    token = _environment_token()
    yield token
    if token.credential or not os.environ.get("KAGGLE_API_TOKEN"):  # else the client stops looking for a token
        yield from (_token_file(Path("~/.kaggle").expanduser() / name) for name in ("access_token", "access_token.txt"))
    yield _key()
    yield _misnamed_token()
    yield _oauth()


def _notebook_token() -> Iterator[_Found]:
    """On Kaggle's own machines a file holds the notebook's token."""
    names = ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_DATA_PROXY_URL", "KAGGLE_API_V1_TOKEN")
    if all(name in os.environ for name in names):
        yield _token_file(Path(os.environ[names[2]]), "the notebook's $KAGGLE_API_V1_TOKEN")


def _environment_token() -> _Found:
    """$KAGGLE_API_TOKEN is a token, or the path of a file with one."""
    value = os.environ.get("KAGGLE_API_TOKEN", "")
    if not value:
        return _Found()
    try:
        is_path = Path(value).exists()
    except (OSError, ValueError):  # the client asks the same, and ends with this error
        problem = "the client cannot take $KAGGLE_API_TOKEN: save the token to ~/.kaggle/access_token instead"
        return _Found(Credential(TOKEN, "$KAGGLE_API_TOKEN"), (value,), (problem,))
    if is_path:
        return _token_file(Path(value), f"$KAGGLE_API_TOKEN, the file {short(Path(value))}")
    problems = _oddities("$KAGGLE_API_TOKEN", value)
    if re.search(r"[/\\]|^~|\.(json|txt)$", value):
        problems = ("$KAGGLE_API_TOKEN looks like a path, but there is no such file: it is sent as the token itself",)
    return _Found(Credential(TOKEN, "$KAGGLE_API_TOKEN"), (value,), problems)


def _token_file(path: Path, source: str = "") -> _Found:
    source = source or short(path)
    token, problems = _text(path, source)
    if token is None:  # where it can't be read, the client ends and looks no further: it counts
        return _Found(Credential(TOKEN, source) if problems else None, problems=problems)
    if not token:
        return _Found(problems=(f"{source} is empty",))
    return _Found(Credential(TOKEN, source), (token, *_strings(token)), (*_oddities(source, token), *problems))


def _oddities(source: str, token: str) -> tuple[str, ...]:
    """Say why what should be a token can't be one."""
    if token.startswith("{"):
        return (f"{source} holds JSON, no token; kaggle.json belongs to {short(config_folder())}",)
    if re.search(r"\s", token):
        return (f"{source} has blanks or several lines in it: no token has",)
    return ()


def _key() -> _Found:
    """User name and key: of kaggle.json, each overlaid by its environment variable, an empty one too."""
    file = config_folder() / "kaggle.json"
    stored, problems = _json_object(file)
    given = {name: os.environ[variable] for name, variable in _PAIR.items() if variable in os.environ}
    pair = {name: str(value) for name, value in {**stored, **given}.items() if name in _PAIR and value}
    parts = [f"${variable}" if name in given else short(file) for name, variable in _PAIR.items()]
    user, key = pair.get("username", ""), pair.get("key", "")
    secret = (key, str(stored.get("key", "")), base64.b64encode(f"{user}:{key}".encode()).decode() if key else "")
    if user and key:
        return _Found(Credential(KEY, " and ".join(dict.fromkeys(parts)), user), secret, tuple(problems))
    if stored or given:
        problems += [_lacking(name, name in given, file) for name in _PAIR if name not in pair]
    return _Found(secrets=secret, problems=tuple(problems))


def _lacking(name: str, given: bool, file: Path) -> str:
    """Say that one of user name and key is empty or missing."""
    if given:
        return f"${_PAIR[name]} is empty, and counts all the same: unset it"
    return f"there is no {name} in {short(file)}, nor in ${_PAIR[name]}"


def _misnamed_token() -> _Found:
    """$KAGGLE_TOKEN is no way to log in, but whatever logs in with a key sends it instead of the key."""
    if "KAGGLE_TOKEN" not in os.environ:
        return _Found()
    problem = "the client sends $KAGGLE_TOKEN instead of a key: unset it; a token belongs into $KAGGLE_API_TOKEN"
    return _Found(secrets=(os.environ["KAGGLE_TOKEN"],), problems=(problem,))


def _oauth() -> _Found:
    file = Path("~/.kaggle/credentials.json").expanduser()
    stored, problems = _json_object(file)
    secret = tuple(str(stored[name]) for name in ("refresh_token", "access_token") if stored.get(name))
    if stored.get("refresh_token"):
        return _Found(Credential(OAUTH, short(file), str(stored.get("username") or "")), secret, tuple(problems))
    if stored:
        problems.append(f"{short(file)} has no refresh_token: log in again with kaggle auth login")
    return _Found(secrets=secret, problems=tuple(problems))


def _json_object(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read a JSON file of secrets; also say what is wrong with it."""
    text, problems = _text(path, short(path))
    try:
        read = json.loads(text) if text is not None else {}
    except ValueError:  # whose message could hold a part of the file
        return {}, [f"{short(path)} is no valid JSON: the client passes over it", *problems]
    if not isinstance(read, dict):
        return {}, [f"{short(path)} holds no JSON object", *problems]
    return read, [*problems]


def _text(path: Path, source: str) -> tuple[str | None, tuple[str, ...]]:
    """Read a file of secrets, None if there is none; also say what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        by_others = os.name != "nt" and path.stat().st_mode & 0o044
    except (FileNotFoundError, NotADirectoryError):
        return None, ()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        return None, (f"{source} cannot be read: {reason}",)
    return text, (f"other users of this machine can read it: chmod 600 {short(path)}",) if by_others else ()


def _strings(text: str) -> tuple[str, ...]:
    """Return the strings in a text that may be JSON: each may be the secret."""
    return tuple(re.findall(r'"([^"]{16,})"', text))
