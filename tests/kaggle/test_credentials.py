"""Which credentials are found, in which order, as the real client has it, and that no secret comes out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import forks
import pytest

from kagglekit.kaggle.credentials import (
    KEY,
    OAUTH,
    TOKEN,
    Credential,
    broken_secret,
    credential_problems,
    find_credentials,
    how_to_log_in,
    masked,
    no_credentials,
    secrets,
)
from kagglekit.kaggle.login import connect
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.errors import UserError

TOKENS = {name: f"KGAT_{name}-0123456789abcdef" for name in ("environment", "file", "text", "notebook", "misnamed")}
KEYS = {"stored": "5d1f00dc0ffee0123456789abcdef012", "given": "abad1dea0123456789abcdef01234567"}
OAUTHS = {"refresh": "refresh-0123456789abcdef", "access": "access-0123456789abcdef"}
CLIENT = """
from kaggle.api.kaggle_api_extended import KaggleApi
api = KaggleApi()
api.authenticate()
api.competitions_list()
"""
needs_modes = pytest.mark.skipif(os.name == "nt", reason="there are no modes of files")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Live in a home of our own, without any credentials, or proxies that log in."""
    for name in os.environ:
        if name.startswith("KAGGLE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def write(home: Path, name: str, content: object) -> Path:
    """Write a file of ~/.kaggle that only its owner can read."""
    file = home / ".kaggle" / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    file.chmod(0o600)
    return file


def write_all(home: Path) -> None:
    write(home, "access_token", TOKENS["file"] + "\n")
    write(home, "access_token.txt", TOKENS["text"])
    write(home, "kaggle.json", {"username": "ada", "key": KEYS["stored"]})
    write(home, "credentials.json", oauth())


def oauth() -> dict[str, str]:
    expires = "2099-01-01T00:00:00+00:00"
    tokens = {"refresh_token": OAUTHS["refresh"], "access_token": OAUTHS["access"]}
    return {**tokens, "username": "ada", "access_token_expiration": expires}


def test_all_are_found_in_the_order_in_which_they_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(home)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKENS["environment"])
    assert find_credentials() == [
        Credential(TOKEN, "$KAGGLE_API_TOKEN"),
        Credential(TOKEN, "~/.kaggle/access_token"),
        Credential(TOKEN, "~/.kaggle/access_token.txt"),
        Credential(KEY, "~/.kaggle/kaggle.json", "ada"),
        Credential(OAUTH, "~/.kaggle/credentials.json", "ada"),
    ]
    assert credential_problems() == []


def test_without_credentials_nothing_is_found_and_nothing_is_wrong() -> None:
    assert (find_credentials(), credential_problems(), secrets()) == ([], [], set())


def test_a_notebook_on_kaggle_uses_its_own_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(write(home, "notebook", TOKENS["notebook"])))
    assert find_credentials() == []
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("KAGGLE_DATA_PROXY_URL", "https://dp.kaggle.net")
    assert [found.source for found in find_credentials()] == ["the notebook's $KAGGLE_API_V1_TOKEN"]


def test_variables_stand_in_for_parts_of_kaggle_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "kaggle.json", {"username": "ada", "key": KEYS["stored"]})
    monkeypatch.setenv("KAGGLE_KEY", KEYS["given"])
    assert find_credentials() == [Credential(KEY, "~/.kaggle/kaggle.json and $KAGGLE_KEY", "ada")]
    monkeypatch.setenv("KAGGLE_USERNAME", "grace")
    assert find_credentials() == [Credential(KEY, "$KAGGLE_USERNAME and $KAGGLE_KEY", "grace")]


def test_kaggle_json_moves_with_the_config_folder_and_the_tokens_do_not(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(home)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "elsewhere"))
    assert [found.kind for found in find_credentials()] == [TOKEN, TOKEN, OAUTH]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only on Linux")
def test_without_a_kaggle_folder_linux_looks_in_the_config_folder(home: Path) -> None:
    (home / ".kaggle").rmdir()
    (home / ".config" / "kaggle").mkdir(parents=True)
    file = home / ".config" / "kaggle" / "kaggle.json"
    file.write_text(json.dumps({"username": "ada", "key": KEYS["stored"]}))
    file.chmod(0o600)
    assert find_credentials() == [Credential(KEY, "~/.config/kaggle/kaggle.json", "ada")]
    assert "~/.config/kaggle/kaggle.json" in how_to_log_in()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("kaggle.json", '{"username": "ada", "key": "x', "~/.kaggle/kaggle.json is not valid JSON"),
        ("kaggle.json", ["ada"], "~/.kaggle/kaggle.json contains no JSON object"),
        ("kaggle.json", {"username": "ada"}, "neither ~/.kaggle/kaggle.json nor $KAGGLE_KEY provides a key"),
        ("kaggle.json", {"key": "k" * 32}, "neither ~/.kaggle/kaggle.json nor $KAGGLE_USERNAME provides a user name"),
        ("kaggle.json", "", "~/.kaggle/kaggle.json is empty"),
        ("kaggle.json", '\ufeff{"username": "ada", "key": "x"}', "~/.kaggle/kaggle.json begins with a byte order mark"),
        ("credentials.json", "\ufeff{}", "~/.kaggle/credentials.json begins with a byte order mark"),
        ("access_token", " \n", "~/.kaggle/access_token is empty"),
        ("credentials.json", {"username": "ada"}, "~/.kaggle/credentials.json has no refresh_token"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported(home: Path, name: str, content: object, problem: str) -> None:
    write(home, name, content)
    assert find_credentials() == []
    (found,) = credential_problems()
    assert found.startswith(problem)
    assert found in no_credentials().what


def test_a_utf_16_kaggle_json_is_named(home: Path) -> None:
    write(home, "kaggle.json", "").write_bytes('{"username": "ada", "key": "x"}'.encode("utf-16"))
    assert "~/.kaggle/kaggle.json cannot be read: it is not UTF-8 text; save it as UTF-8" in no_credentials().what


@pytest.mark.parametrize("name", [".kaggle/kaggle.json.txt", ".kaggle/kaggle (1).json", ".config/kaggle/kaggle.json"])
def test_a_kaggle_json_that_is_not_read_is_named_where_there_are_no_credentials(home: Path, name: str) -> None:
    assert no_credentials().what == "no Kaggle credentials found"
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(json.dumps({"username": "ada", "key": KEYS["stored"]}))
    assert no_credentials().what == (
        f"no usable Kaggle credentials: ~/{name} is not read: move it to ~/.kaggle/kaggle.json"
    )


@pytest.mark.parametrize(
    ("token", "flaw"),
    [
        ("\ufeffKGAT_0123456789", "begins with a byte order mark"),
        ("KGAT_01 23456789", "contains whitespace or line breaks"),
        ("KGAT_01\u201323456789", "contains characters that no token or key has"),
    ],
)
def test_a_token_that_no_request_can_carry_is_refused_before_the_client_sees_it(
    home: Path, token: str, flaw: str
) -> None:
    write(home, "access_token", token)
    assert f"~/.kaggle/access_token {flaw}" in broken_secret()
    with pytest.raises(UserError, match=r"the Kaggle credentials cannot be used: ~/\.kaggle/access_token") as caught:
        connect(RetryPolicy())
    assert token not in str(caught.value)


def test_a_token_file_that_is_not_text_is_refused_before_the_client_sees_it(home: Path) -> None:
    write(home, "access_token", "").write_bytes(b"\xff\xfeK\x00")
    with pytest.raises(UserError, match="access_token cannot be read: it is not UTF-8 text"):
        connect(RetryPolicy())


def test_a_token_file_that_cannot_be_read_is_reported_and_in_effect(home: Path) -> None:
    write_all(home)
    (home / ".kaggle" / "access_token").unlink()
    (home / ".kaggle" / "access_token").mkdir()
    (home / ".kaggle" / "access_token.txt").write_bytes(b"\xff\xfe\x00")
    assert [found.source for found in find_credentials()][:2] == [
        "~/.kaggle/access_token",
        "~/.kaggle/access_token.txt",
    ]
    assert [found.partition(":")[0] for found in credential_problems()] == [
        "~/.kaggle/access_token cannot be read",
        "~/.kaggle/access_token.txt cannot be read",
    ]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later versions of Python may take any name for a path")
def test_a_variable_too_long_for_the_client_is_reported_and_in_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t" * 5000)
    assert [found.source for found in find_credentials()] == ["$KAGGLE_API_TOKEN"]
    assert credential_problems() == [
        "the client cannot use $KAGGLE_API_TOKEN: save the token to ~/.kaggle/access_token instead"
    ]
    assert "ttt" not in masked("t" * 5000)


@pytest.mark.parametrize("name", ["access_token", "kaggle.json", "credentials.json"])
@needs_modes
def test_a_secret_that_others_can_read_is_reported_and_in_effect(home: Path, name: str) -> None:
    write_all(home)
    (home / ".kaggle" / name).chmod(0o640)
    assert credential_problems() == [
        f"other users of this machine can read ~/.kaggle/{name}: chmod 600 ~/.kaggle/{name}"
    ]
    assert len(find_credentials()) == 4


def test_a_variable_may_name_a_file_with_the_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(home, "token", TOKENS["file"])
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(file))
    assert find_credentials() == [Credential(TOKEN, "$KAGGLE_API_TOKEN, the file ~/.kaggle/token")]
    assert credential_problems() == []
    assert str(file) not in secrets()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("~/.kaggle/no_token", "$KAGGLE_API_TOKEN looks like a path, but the file does not exist"),
        ("KGAT_first second", "$KAGGLE_API_TOKEN contains whitespace or line breaks"),
        ('{"username": "ada"}', "$KAGGLE_API_TOKEN contains JSON, not a token"),
    ],
)
def test_a_variable_that_holds_no_token_is_reported_and_in_effect(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", value)
    assert [found.source for found in find_credentials()] == ["$KAGGLE_API_TOKEN"]
    (found,) = credential_problems()
    assert found.startswith(problem)


def test_a_variable_that_names_an_empty_file_hides_the_other_tokens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(home)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(write(home, "empty", "")))
    assert [found.kind for found in find_credentials()] == [KEY, OAUTH]
    assert credential_problems() == ["$KAGGLE_API_TOKEN, the file ~/.kaggle/empty is empty"]


def test_an_empty_variable_hides_the_key_and_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "kaggle.json", {"username": "ada", "key": KEYS["stored"]})
    monkeypatch.setenv("KAGGLE_KEY", "")
    assert find_credentials() == []
    assert credential_problems() == ["$KAGGLE_KEY is set but empty, which overrides ~/.kaggle/kaggle.json: unset it"]


def test_a_variable_with_a_name_alone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "ada")
    assert find_credentials() == []
    assert credential_problems() == ["neither ~/.kaggle/kaggle.json nor $KAGGLE_KEY provides a key"]


def test_a_token_under_the_wrong_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_TOKEN", TOKENS["misnamed"])
    assert find_credentials() == []
    (found,) = credential_problems()
    assert "$KAGGLE_TOKEN instead of a key" in found
    assert TOKENS["misnamed"] not in found


def test_every_secret_is_masked_wherever_it_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(home)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKENS["environment"])
    monkeypatch.setenv("KAGGLE_TOKEN", TOKENS["misnamed"])
    monkeypatch.setenv("KAGGLE_KEY", KEYS["given"])
    monkeypatch.setenv("https_proxy", "http://grace:p@ssw/rd@proxy.example:3128")
    header = base64.b64encode(f"ada:{KEYS['given']}".encode()).decode()
    planted = [*TOKENS.values(), *KEYS.values(), *OAUTHS.values(), header, "p@ssw/rd"]
    planted.remove(TOKENS["notebook"])  # is nowhere
    shown = masked(f"{' | '.join(planted)} | http://grace:p@ssw/rd@proxy.example:3128 | user ada")
    assert shown == f"{' | '.join(['***'] * len(planted))} | http://***@proxy.example:3128 | user ada"
    assert not any(secret in repr(find_credentials()) + repr(credential_problems()) for secret in planted)


def test_a_secret_in_a_file_of_the_wrong_form_is_masked(home: Path) -> None:
    write(home, "access_token", {"username": "ada", "key": KEYS["stored"]})
    assert masked(f"key {KEYS['stored']}") == "key ***"


class Heard(NamedTuple):
    """A call that reached the server: what was asked, and the Authorization header."""

    path: str
    login: str


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Heard]]:
    """Serve in Kaggle's place on this machine; every token is refused, and every list is empty."""
    calls: list[Heard] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(Heard(self.path, self.headers.get("Authorization", "")))
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"active": False}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "")
        yield calls
        server.shutdown()


def run_client() -> subprocess.CompletedProcess[str]:
    return forks.run(["-c", CLIENT], Path.cwd(), {**os.environ, **forks.SET})


def sent_by_the_client(heard: list[Heard]) -> str:
    """Let the unmodified client list competitions; return the credential it sent, decoded."""
    done = run_client()
    assert done.returncode == 0, done.stderr
    (call,) = [call for call in heard if call.path.endswith("/ListCompetitions")]
    kind, _, value = call.login.partition(" ")
    return base64.b64decode(value).decode() if kind == "Basic" else value


CASES = {  # variables, files that are missing, the source that counts, what is sent
    "variable": ({"KAGGLE_API_TOKEN": TOKENS["environment"]}, (), "$KAGGLE_API_TOKEN", TOKENS["environment"]),
    "file": ({}, (), "~/.kaggle/access_token", TOKENS["file"]),
    "text file": ({}, ("access_token",), "~/.kaggle/access_token.txt", TOKENS["text"]),
    "empty file": ({"KAGGLE_API_TOKEN": os.devnull}, (), "~/.kaggle/kaggle.json", f"ada:{KEYS['stored']}"),
    "key": ({}, ("access_token", "access_token.txt"), "~/.kaggle/kaggle.json", f"ada:{KEYS['stored']}"),
    "given key": (
        {"KAGGLE_KEY": KEYS["given"]},
        ("access_token", "access_token.txt"),
        "~/.kaggle/kaggle.json and $KAGGLE_KEY",
        f"ada:{KEYS['given']}",
    ),
    "oauth": (
        {},
        ("access_token", "access_token.txt", "kaggle.json"),
        "~/.kaggle/credentials.json",
        OAUTHS["access"],
    ),
}


@pytest.mark.parametrize(("variables", "missing", "source", "sent"), CASES.values(), ids=CASES)
def test_the_real_client_sends_the_one_that_counts_although_kaggle_refuses_tokens(
    home: Path,
    heard: list[Heard],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    missing: tuple[str, ...],
    source: str,
    sent: str,
) -> None:
    write_all(home)
    for name in missing:
        (home / ".kaggle" / name).unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_credentials()[0].source == source
    assert sent_by_the_client(heard) == sent
    assert sent not in masked(f"sent {sent}")


def test_the_real_client_sends_a_token_under_the_wrong_name_instead_of_the_key(
    home: Path, heard: list[Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "kaggle.json", {"username": "ada", "key": KEYS["stored"]})
    monkeypatch.setenv("KAGGLE_TOKEN", TOKENS["misnamed"])
    assert sent_by_the_client(heard) == TOKENS["misnamed"]


@pytest.mark.parametrize("token", ["file", "variable"])
def test_the_real_client_ends_at_a_token_that_it_cannot_read(
    home: Path, heard: list[Heard], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    write(home, "kaggle.json", {"username": "ada", "key": KEYS["stored"]})
    if token == "file":
        (home / ".kaggle" / "access_token").mkdir()
    else:
        monkeypatch.setenv("KAGGLE_API_TOKEN", str(home))
    assert [found.kind for found in find_credentials()] == [TOKEN, KEY]
    done = run_client()
    assert "IsADirectoryError" in done.stderr
    assert heard == []
