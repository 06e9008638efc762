"""Find the credentials that the official Kaggle client would use, without importing it or revealing a secret.

Order and quirks are the client's (kaggle 2.2.4, kagglesdk 0.1.37): a token from the environment or from its file is
sent with every call, even if Kaggle refuses it and a valid key exists. Only an OAuth login replaces a refused token,
and only if there is no key.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kagglekit.system.errors import UserError

TOKEN, KEY, OAUTH = "access token", "user name and key", "OAuth login"
SETTINGS = "https://www.kaggle.com/settings/api"
_PAIR = {"username": "KAGGLE_USERNAME", "key": "KAGGLE_KEY"}
_BOM, _NO_BOM = "\ufeff", "save it as UTF-8 without BOM"
_MIN_SECRET = 4  # characters: masking shorter secrets would garble every message


@dataclass(frozen=True)
class Credential:
    """One way to log in. It contains no secret and can be printed.

    Attributes:
        kind: `TOKEN`, `KEY` or `OAUTH`.
        source: Where it comes from: ``$KAGGLE_API_TOKEN``, ``~/.kaggle/kaggle.json``.
        user: The user's name; empty if only Kaggle knows it.
    """

    kind: str
    source: str
    user: str = ""


@dataclass(frozen=True)
class _Source:
    """The contents of one place: a credential if the client would use it, the secrets, the problems."""

    credential: Credential | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[str, ...] = ()


def find_credentials() -> list[Credential]:
    """Return the credentials that the client would use; the first one is in effect."""
    return [source.credential for source in _sources() if source.credential]


def credential_problems() -> list[str]:
    """Return the problems of all credentials, one sentence each."""
    return [problem for source in _sources() for problem in source.problems]


def no_credentials() -> UserError:
    """Return the error that there are no usable credentials, with the problems of those that exist."""
    problems = credential_problems() or _misplaced()
    what = f"no usable Kaggle credentials: {'; '.join(problems)}" if problems else "no Kaggle credentials found"
    return UserError(what, how_to_log_in())


def _misplaced() -> list[str]:
    """Return what looks like a kaggle.json but is not read: another name, or another folder."""
    right = config_folder() / "kaggle.json"
    folders = {config_folder(), Path("~/.kaggle").expanduser(), Path("~/.config/kaggle").expanduser()}
    files = sorted(file for folder in folders for file in _files(folder) if file != right)
    similar = [file for file in files if re.fullmatch(r"kaggle\b.*\.json(\.\w+)?", file.name, re.IGNORECASE)]
    return [f"{short(file)} is not read: move it to {short(right)}" for file in similar]


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [file for file in folder.iterdir() if file.is_file()]
    return []


def how_to_log_in() -> str:
    """Describe the three ways to log in."""
    return (
        f"log in to Kaggle in one of three ways; {SETTINGS} provides the first two:\n"
        "  token: save it to ~/.kaggle/access_token, or set KAGGLE_API_TOKEN to it\n"
        f"  user name and key: save kaggle.json as {short(config_folder() / 'kaggle.json')}, "
        "or set KAGGLE_USERNAME and KAGGLE_KEY\n"
        "  browser: kaggle auth login"
    )


def masked(text: str) -> str:
    """Return `text` with every secret replaced by ``***``."""
    for secret in sorted(secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets() -> set[str]:
    """Return everything that no message may contain: tokens, keys, their HTTP form, proxy passwords."""
    found = {secret for source in _sources() for secret in source.secrets}
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and (user := re.match(r"(?:\w+://)?(.*)@", value)):
            found |= {user[1], user[1].partition(":")[2]}
    parts = {part for secret in found for part in (secret, *secret.split())}
    forms = {form for part in parts for form in (part, repr(part)[1:-1], ascii(part)[1:-1])}
    return {form for form in forms if len(form) >= _MIN_SECRET}


def broken_secret() -> str:
    """Return why the credential in effect cannot be read or sent; empty if it can be.

    HTTP libraries would show a secret with line breaks in their error messages.
    """
    source = next((source for source in _sources() if source.credential), None)
    if source is None or source.credential is None:
        return ""
    if not source.secrets:  # the file cannot be read
        return source.problems[0]
    flaw = next(filter(None, map(_flaw, source.secrets)), "")
    return f"{source.credential.source} {flaw}" if flaw else ""


def _flaw(secret: str) -> str:
    """Return why no request can carry a secret; empty if it can."""
    if secret.startswith(_BOM):
        return f"begins with a byte order mark (BOM): {_NO_BOM}"
    if re.search(r"\s", secret):
        return "contains whitespace or line breaks"
    return "" if re.fullmatch(r"[!-~]*", secret) else "contains characters that no token or key has"


def config_folder() -> Path:
    """Return the folder of the client's kaggle.json; tokens and OAuth logins always lie in ~/.kaggle."""
    home = Path("~/.kaggle").expanduser()
    if chosen := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(chosen)
    if home.exists() or not sys.platform.startswith("linux"):
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"


def short(path: Path) -> str:
    """Return a path with ``~`` for the home folder."""
    home = Path("~").expanduser()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _sources() -> Iterator[_Source]:
    """Read each place, in the client's order."""
    yield from _notebook_token()
    token = _environment_token()
    yield token
    if token.credential or not os.environ.get("KAGGLE_API_TOKEN"):  # otherwise the client looks for no other token
        yield from (_token_file(Path("~/.kaggle").expanduser() / name) for name in ("access_token", "access_token.txt"))
    yield _key()
    yield _misnamed_token()
    yield _oauth()


def _notebook_token() -> Iterator[_Source]:
    """Read the file that holds a notebook's token on Kaggle's own machines."""
    names = ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_DATA_PROXY_URL", "KAGGLE_API_V1_TOKEN")
    if all(name in os.environ for name in names):
        yield _token_file(Path(os.environ[names[2]]), "the notebook's $KAGGLE_API_V1_TOKEN")


def _environment_token() -> _Source:
    """Read $KAGGLE_API_TOKEN: a token, or the path of a file that contains one."""
    value = os.environ.get("KAGGLE_API_TOKEN", "")
    if not value:
        return _Source()
    try:
        is_path = Path(value).exists()
    except (OSError, ValueError):  # the client checks the same and exits with this error
        problem = "the client cannot use $KAGGLE_API_TOKEN: save the token to ~/.kaggle/access_token instead"
        return _Source(Credential(TOKEN, "$KAGGLE_API_TOKEN"), (value,), (problem,))
    if is_path:
        return _token_file(Path(value), f"$KAGGLE_API_TOKEN, the file {short(Path(value))}")
    problems = _oddities("$KAGGLE_API_TOKEN", value)
    if re.search(r"[/\\]|^~|\.(json|txt)$", value):
        problems = ("$KAGGLE_API_TOKEN looks like a path, but the file does not exist: it is sent as the token",)
    return _Source(Credential(TOKEN, "$KAGGLE_API_TOKEN"), (value,), problems)


def _token_file(path: Path, source: str = "") -> _Source:
    source = source or short(path)
    token, problems = _text(path, source)
    if token is None:  # the client exits at an unreadable file: it is in effect
        return _Source(Credential(TOKEN, source) if problems else None, problems=problems)
    if not token:
        return _Source(problems=(f"{source} is empty",))
    return _Source(Credential(TOKEN, source), (token, *_strings(token)), (*_oddities(source, token), *problems))


def _oddities(source: str, token: str) -> tuple[str, ...]:
    """Return why a text cannot be a token."""
    if token.startswith("{"):
        return (f"{source} contains JSON, not a token; kaggle.json belongs in {short(config_folder())}",)
    flaw = _flaw(token)
    return (f"{source} {flaw}",) if flaw else ()


def _key() -> _Source:
    """Read user name and key from kaggle.json; an environment variable overrides each, even if empty."""
    file = config_folder() / "kaggle.json"
    stored, problems = _json_object(file)
    given = {name: os.environ[variable] for name, variable in _PAIR.items() if variable in os.environ}
    pair = {name: str(value) for name, value in {**stored, **given}.items() if name in _PAIR and value}
    parts = [f"${variable}" if name in given else short(file) for name, variable in _PAIR.items()]
    user, key = pair.get("username", ""), pair.get("key", "")
    secret = (key, str(stored.get("key", "")), base64.b64encode(f"{user}:{key}".encode()).decode() if key else "")
    if user and key:
        return _Source(Credential(KEY, " and ".join(dict.fromkeys(parts)), user), secret, tuple(problems))
    if stored or given:
        problems += [_missing(name, name in given, file) for name in _PAIR if name not in pair]
    return _Source(secrets=secret, problems=tuple(problems))


def _missing(name: str, given: bool, file: Path) -> str:
    """Return the problem that the user name or the key is empty or missing."""
    if given:
        return f"${_PAIR[name]} is set but empty, which overrides {short(file)}: unset it"
    return f"neither {short(file)} nor ${_PAIR[name]} provides a {'user name' if name == 'username' else name}"


def _misnamed_token() -> _Source:
    """Read $KAGGLE_TOKEN: it is no way to log in, but the client sends it instead of a key."""
    if "KAGGLE_TOKEN" not in os.environ:
        return _Source()
    problem = "the client sends $KAGGLE_TOKEN instead of a key: unset it; a token belongs in $KAGGLE_API_TOKEN"
    return _Source(secrets=(os.environ["KAGGLE_TOKEN"],), problems=(problem,))


def _oauth() -> _Source:
    file = Path("~/.kaggle/credentials.json").expanduser()
    stored, problems = _json_object(file)
    secret = tuple(str(stored[name]) for name in ("refresh_token", "access_token") if stored.get(name))
    if stored.get("refresh_token"):
        return _Source(Credential(OAUTH, short(file), str(stored.get("username") or "")), secret, tuple(problems))
    if stored:
        problems.append(f"{short(file)} has no refresh_token: log in again with kaggle auth login")
    return _Source(secrets=secret, problems=tuple(problems))


def _json_object(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read a JSON file of secrets; also return its problems."""
    text, problems = _text(path, short(path))
    try:
        read = json.loads(text) if text is not None else {}
    except ValueError:  # its message could contain a part of the file
        reason = "is empty" if not text else "is not valid JSON: the client ignores it"
        if text and text.startswith(_BOM):
            reason = f"begins with a byte order mark (BOM), and the client ignores it: {_NO_BOM}"
        return {}, [f"{short(path)} {reason}", *problems]
    if not isinstance(read, dict):
        return {}, [f"{short(path)} contains no JSON object", *problems]
    return read, [*problems]


def _text(path: Path, source: str) -> tuple[str | None, tuple[str, ...]]:
    """Read a file of secrets, None if there is none; also return its problems."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        is_shared = os.name != "nt" and path.stat().st_mode & 0o044
    except (FileNotFoundError, NotADirectoryError):
        return None, ()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 text; {_NO_BOM}"
        return None, (f"{source} cannot be read: {reason}",)
    return text, (f"other users of this machine can read {short(path)}: chmod 600 {short(path)}",) if is_shared else ()


def _strings(text: str) -> tuple[str, ...]:
    """Return the strings in a text that may be JSON: any of them may be the secret."""
    return tuple(re.findall(r'"([^"]{16,})"', text))
