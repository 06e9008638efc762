"""What `kagglekit doctor` finds and says, and that no secret is in it."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import forks
import pytest
from click.testing import CliRunner, Result
from command_line import kagglekit, surroundings

from kagglekit.cli import cli
from kagglekit.kaggle.checks import check_client
from kagglekit.system.check import Check
from kagglekit.system.limits import cores

KEY, TOKEN, PASSWORD = "5d1f00dc0ffee0123456789abcdef012", "KGAT_planted-0123456789", "p4ssw0rd"
NAMES = ("Python", "kagglekit", "processor", "memory", "torch", "device", "precision", "data", "cache", "runs")
NAMES = (*NAMES, "kaggle client", "credentials", "Kaggle login", "proxy", "certificates")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Live in a home of our own, without credentials, proxies and certificates."""
    for name in os.environ:
        if name.startswith("KAGGLE") or name.lower().endswith("_proxy") or name.endswith("CA_BUNDLE"):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / ".kaggle"))
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the seconds that the import of the client takes."""
    monkeypatch.setattr("kagglekit.doctor.check_client", lambda: iter(()))


def write_key(home: Path) -> None:
    (home / ".kaggle").mkdir()
    file = home / ".kaggle" / "kaggle.json"
    file.write_text(json.dumps({"username": "ada", "key": KEY}))
    file.chmod(0o600)


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments])


def examined(code: int = 0) -> dict[str, list[Check]]:
    """Let the doctor look, offline; return what it found by name."""
    result = ask("--offline", "--json")
    assert result.exit_code == code, result.output
    found: dict[str, list[Check]] = {}
    for row in json.loads(result.stdout):
        check = Check(**row)
        found.setdefault(check.name, []).append(check)
    return found


def test_everything_is_checked_and_no_secret_is_shown(home: Path) -> None:
    write_key(home)
    proxy = f"http://ada:{PASSWORD}@127.0.0.1:9"
    environment = {"KAGGLE_API_TOKEN": TOKEN, "HTTPS_PROXY": proxy, "https_proxy": proxy, "KAGGLE_PROXY": proxy}
    done = kagglekit("doctor", cwd=home, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert set(NAMES) == {line[9:].partition(":")[0] for line in lines}
    assert {line.split()[0] for line in lines} == {"ok", "warning"}
    assert "warning  Kaggle login: could not be checked: " in done.stdout
    assert "HTTPS_PROXY=http://***@127.0.0.1:9" in done.stdout
    for secret in (KEY, TOKEN, PASSWORD):
        assert secret not in done.stdout + done.stderr


def test_as_json_it_is_a_list_of_checks(home: Path) -> None:
    write_key(home)
    result = ask("--json", "--offline")
    assert (result.exit_code, result.stderr) == (0, "")
    checks = json.loads(result.stdout)
    assert {check["name"] for check in checks} == set(NAMES)
    assert all(set(check) == {"name", "status", "found", "hint"} for check in checks)
    assert {check["status"] for check in checks} <= {"ok", "warning", "skipped"}
    (answer,) = [check for check in checks if check["name"] == "Kaggle login"]
    assert (answer["status"], answer["found"]) == ("skipped", "not checked: --offline")
    assert KEY not in result.output


@pytest.mark.usefixtures("no_client")
def test_without_credentials_the_three_ways_to_log_in_are_shown_and_kaggle_is_not_asked() -> None:
    result = ask()
    assert result.exit_code == 0
    for words in ("access_token", "kaggle.json", "kaggle auth login"):
        assert words in result.stdout
    assert "skipped  Kaggle login: not checked: no Kaggle credentials found" in result.stdout


@pytest.mark.usefixtures("no_client")
def test_a_token_over_a_good_key_is_a_warning_that_names_both(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_key(home)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    used, beside = examined()["credentials"]
    assert (used.status, used.found) == ("ok", "in use: the access token, $KAGGLE_API_TOKEN")
    assert (beside.status, beside.found) == (
        "warning",
        "also found, not in use: user name and key (~/.kaggle/kaggle.json)",
    )
    assert "a token takes precedence over a key, even if Kaggle refuses it" in beside.hint


@pytest.mark.usefixtures("no_client")
def test_the_user_of_a_key_is_named(home: Path) -> None:
    write_key(home)
    (check,) = examined()["credentials"]
    assert check == Check("credentials", "ok", "in use: the user name and key of ada, ~/.kaggle/kaggle.json")


@pytest.mark.usefixtures("no_client")
def test_a_broken_key_file_is_a_problem_where_nothing_else_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key(home)
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "ada", "key": "{KEY}')
    (problem,) = examined(1)["credentials"]
    assert (problem.status, "not valid JSON" in problem.found) == ("problem", True)
    result = ask("--offline")
    assert result.exit_code == 1
    assert result.stdout.endswith("\n1 problem\n")
    assert KEY not in result.output
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert [check.status for check in examined()["credentials"]] == ["warning", "ok"]


@contextmanager
def kaggle_that_answers(status: int) -> Iterator[dict[str, str]]:
    """Serve in Kaggle's place; yield the variables that lead there."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            fine = {"active": True, "username": "ada"} if "Introspect" in self.path else {}
            body = json.dumps(fine if status == 200 else {"code": status, "message": "go away"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        yield {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": ""}
        server.shutdown()


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (401, False)])
@pytest.mark.parametrize("kind", ["token", "key"])
def test_kaggle_is_asked_whether_it_accepts_the_credentials(home: Path, status: int, accepted: bool, kind: str) -> None:
    write_key(home)
    code = "from kagglekit.kaggle.checks import kaggle_accepts; print(kaggle_accepts(5))"
    with kaggle_that_answers(status) as variables:
        environment = {**surroundings(home), **variables, **({"KAGGLE_API_TOKEN": TOKEN} if kind == "token" else {})}
        done = forks.run(["-c", code], home, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(True, 'ada', '')" if accepted else "(False, ")
    assert ("in use" in done.stdout) == (not accepted)
    assert TOKEN not in done.stdout
    assert KEY not in done.stdout


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((True, "ada", ""), "ok", "Kaggle accepts the credentials of ada"),
        ((False, f"refused {KEY}\nmake a new one", ""), "problem", "refused ***"),
        ((None, "Kaggle cannot be reached", ""), "warning", "could not be checked: Kaggle cannot be reached"),
    ],
)
@pytest.mark.usefixtures("no_client")
def test_only_a_refusal_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[bool | None, str, str], status: str, words: str
) -> None:
    write_key(home)
    monkeypatch.setattr("kagglekit.kaggle.checks.kaggle_accepts", lambda _: answer)
    result = ask()
    assert result.exit_code == (status == "problem")
    assert f"{status:8} Kaggle login: {words}\n" in result.stdout


def test_the_client_is_imported_without_the_credentials_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)  # with it, the import would ask the dead proxy
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    (check,) = check_client()
    assert check.status == "ok"
    assert "imported in" in check.found
    assert list(home.iterdir()) == []


FAKES = {
    "six": ("six.py", "raise ModuleNotFoundError(\"No module named 'six'\")", "cannot be imported: .*'six'"),
    "crash": ("kaggle.py", f"raise RuntimeError('{KEY}')", "cannot be imported: RuntimeError"),
    "exit": ("kaggle.py", "raise SystemExit(3)", "cannot be imported: exit code 3"),
}


@pytest.mark.parametrize(("name", "code", "words"), FAKES.values(), ids=FAKES)
def test_a_client_that_cannot_be_imported_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, words: str
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / name).write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (check,) = check_client()
    assert check.status == "problem"
    assert re.search(words, check.found)
    assert "pip install --upgrade kaggle" in check.hint


@pytest.mark.parametrize(
    ("name", "path"), [("kaggle.py", None), ("kaggle/__init__.py", ""), ("six.py", "."), ("kaggle.py", ":")]
)
def test_a_module_of_the_working_folder_is_not_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str | None
) -> None:
    (home / name).parent.mkdir(exist_ok=True)
    (home / name).write_text(f"open({str(home / 'was-run')!r}, 'w')\nraise SystemExit(3)")
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    (check,) = check_client()
    assert (check.status, "imported in" in check.found) == ("ok", True)
    assert not (home / "was-run").exists()


@pytest.mark.parametrize("name", ["kaggle.py", "kaggle/__init__.py"])
def test_the_login_does_not_run_a_module_of_the_working_folder(home: Path, name: str) -> None:
    write_key(home)
    (home / name).parent.mkdir(exist_ok=True)
    (home / name).write_text(f"open({str(home / 'was-run')!r}, 'w')")
    done = kagglekit("doctor", cwd=home)
    assert "warning  Kaggle login: could not be checked: " in done.stdout, done.stdout
    assert f"{name} would be imported in place of the kaggle client" in done.stdout
    assert not (home / "was-run").exists()


def test_a_client_whose_import_hangs_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kaggle.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = check_client(seconds=0.5)
    assert (check.status, check.found.partition(": ")[2]) == ("problem", "the import takes more than 0.5 s")


def test_a_folder_that_the_client_cannot_make_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "a-file").write_text("")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "a-file" / "kaggle"))
    _, check = check_client()
    assert (check.name, check.status) == ("kaggle folder", "problem")
    assert "a-file is a file" in check.found


@pytest.mark.usefixtures("no_client")
def test_a_folder_that_cannot_be_written_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "a-file").write_text("")
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(home / "a-file"))
    monkeypatch.setenv("KAGGLEKIT_DATA", str(home / "here"))
    found = examined(1)
    (cache,), (data,), (runs,) = found["cache"], found["data"], found["runs"]
    assert (cache.status, cache.hint) == ("problem", "set KAGGLEKIT_CACHE to another folder")
    assert (data.status, data.found.partition(",")[0]) == ("ok", str(home / "here"))
    assert runs.found.partition(",")[0] == str(home / "submissions")
    assert not (home / "here").exists()


@pytest.mark.usefixtures("no_client")
def test_a_disk_with_little_room_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    total, used, _ = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(total, used, 10**9))  # type: ignore[attr-defined]
    (check,) = examined()["runs"]
    assert (check.status, check.found.endswith("1.0 GB free")) == ("warning", True)
    assert check.hint == "free some disk space, or choose another place with --out DIR"


@pytest.mark.usefixtures("no_client")
def test_a_check_that_fails_itself_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    found = examined(1)
    assert [check.found for check in found["disk"]] == ["the check failed: OSError: [Errno 5] Input/output error"]
    assert "certificates" in found


@pytest.mark.parametrize(
    ("variables", "status", "words"),
    [
        ({}, "ok", "none: direct connection"),
        ({"https_proxy": "http://p:1"}, "ok", "https_proxy=http://p:1; used for Kaggle"),
        ({"ALL_PROXY": "http://u:secret@p:1"}, "ok", "ALL_PROXY=http://***@p:1; used for Kaggle"),
        ({"HTTP_PROXY": "http://p:1"}, "ok", "HTTP_PROXY=http://p:1; not used for Kaggle"),
        (
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost,.kaggle.com"},
            "warning",
            "HTTPS_PROXY=http://p:1, NO_PROXY=localhost,.kaggle.com; not used for Kaggle, because NO_PROXY covers it",
        ),
        ({"KAGGLE_PROXY": "http://p:1"}, "warning", "KAGGLE_PROXY is set, but the client ignores it"),
        (
            {"KAGGLE_API_ENVIRONMENT": "LOCALHOST"},
            "warning",
            "KAGGLE_API_ENVIRONMENT=LOCALHOST: calls do not reach Kaggle",
        ),
    ],
)
@pytest.mark.usefixtures("no_client")
def test_proxies_are_shown_as_the_client_takes_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], status: str, words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    first, *_ = examined()["proxy"]
    assert (first.status, first.found[: len(words)]) == (status, words)


@pytest.mark.usefixtures("no_client")
def test_certificates_that_are_not_there_are_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined()["certificates"][0].status == "ok"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(home / "ca.pem"))
    (check,) = examined(1)["certificates"]
    assert (check.status, check.hint) == ("problem", "unset REQUESTS_CA_BUNDLE")
    (home / "ca.pem").write_text("")
    assert examined()["certificates"][0].status == "ok"


@pytest.mark.usefixtures("no_client")
def test_remembered_probes_are_counted(home: Path) -> None:
    assert "no stored probes" in examined()["precision"][0].found
    (home / "cache").mkdir()
    probes = {
        name: {"train": [precision, True], "infer": ["fp32", True], "cost": 3.0}
        for name, precision in (("a", "bf16"), ("b", "fp32"), ("c", "bf16"))
    }
    (home / "cache" / "formats.json").write_text(json.dumps(probes))
    assert "3 stored probes, training in bf16 or fp32" in examined()["precision"][0].found
    (home / "cache" / "formats.json").write_text('{"a": 1}')
    assert "no stored probes" in examined()["precision"][0].found


@pytest.mark.usefixtures("no_client")
def test_more_threads_than_cores_are_a_warning() -> None:
    import torch

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(math.ceil(cores()) + 1)
        (check,) = examined()["torch"]
    finally:
        torch.set_num_threads(threads)
    assert check.status == "warning"
    assert check.hint.startswith(f"set OMP_NUM_THREADS={math.ceil(cores())}: ")
