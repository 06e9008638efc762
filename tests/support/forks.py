"""Processes without the seconds of import: forks of one that has imported what the commands import.

Each is a real process, with its own environment, folder, streams, exit code and end, and runs ``-m MODULE`` or ``-c
CODE`` as Python does. The kaggle client, which logs in while it is imported, is imported by each of them anew.

The process that is forked (`fork_server.py`) is started where it is needed and ends with pytest; all workers share
that of their controller (`conftest.py`). Elsewhere than on Linux, where forks are not safe, processes are started as
usual.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer

SECONDS = 300  # after which a process that does not end is killed
READ_AT_IMPORT = ("PYTHON", "OMP_", "OPENBLAS_", "MKL_", "HF_", "TORCH", "CUDA")  # beginnings of variables
HEEDED = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}  # which forks read themselves

_own_place = tempfile.TemporaryDirectory(prefix="forks-")
PLACE = Path(os.environ.setdefault("TESTS_FORKS", _own_place.name))  # workers get that of the process that started them
SET = {"OMP_NUM_THREADS": "1", "HF_HOME": str(PLACE / "hub")}
ENVIRONMENT = {name: value for name, value in {**os.environ, **SET}.items() if name not in HEEDED}


class Process:
    """A process that runs: as much of `subprocess.Popen` as tests need.

    Attributes:
        pid: Its number.
        stdout: What it prints.
        returncode: Its exit code, negative for the signal that ended it; None while it is not known.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        stderr: int | None,
        stdout: int | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # it lives as long as the process
        reader, writer = os.pipe()
        self.stdout = os.fdopen(reader)
        asked = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
        self._connection = _connection()
        streams = [stdout or writer, stderr or self._errors.fileno()]
        socket.send_fds(self._connection, [b"%09d" % len(asked)], streams)
        os.close(writer)
        self._connection.sendall(asked)
        self.pid = self._number(SECONDS)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self.send_signal(signal.SIGKILL)
            self.wait()
        self.stdout.close()
        self._errors.close()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        try:
            return self.wait(0.001)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float = SECONDS) -> int:
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._connection.close()
        return self.returncode

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """Wait for the end; return what has not been read of its output, and its errors."""
        patience = Timer(timeout, self.send_signal, [signal.SIGKILL])
        patience.start()
        with self.stdout, self._errors:
            out = self.stdout.read()
            self.wait()
            patience.cancel()
            self._errors.seek(0)
            return out, self._errors.read()

    def _number(self, timeout: float) -> int:
        self._connection.settimeout(timeout)
        try:
            return int.from_bytes(self._connection.recv(4, socket.MSG_WAITALL), "big", signed=True)
        except TimeoutError:
            raise subprocess.TimeoutExpired("a fork", timeout) from None


def start(
    arguments: Sequence[object],
    cwd: Path,
    environment: Mapping[str, str],
    stderr: int | None = None,
    stdout: int | None = None,
) -> Process | subprocess.Popen[str]:
    """Start Python with these arguments, without input; what it prints goes to descriptors, else it is kept."""
    words = [*map(str, arguments)]
    own = {**os.environ, **SET}  # now: torch's compiler sets variables of its own, which no import reads
    if sys.platform == "linux" and _read_at_import(environment) == _read_at_import(own):
        return Process(words, cwd, environment, stderr, stdout)
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout or subprocess.PIPE,
        stderr=stderr or subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c if os.name == "posix" else None,
    )


def _heed_ctrl_c() -> None:
    """Background jobs, which the tests may be, ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(arguments: Sequence[object], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, without input, to its end."""
    with start(arguments, cwd, environment) as process:
        out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode is not None
    return subprocess.CompletedProcess([*map(str, arguments)], process.returncode, out, errors)


def _read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the forked process may have read before it was forked."""
    names = {name for name in environment if name.startswith(READ_AT_IMPORT)} - HEEDED
    return {name: environment[name] for name in names}


def _connection() -> socket.socket:
    ensure_server()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(PLACE / "socket"))
    return connection


def ensure_server() -> None:
    """Start the process that is forked, unless there is one."""
    if not (PLACE / "socket").exists():
        start_server()


def start_server() -> None:
    """Start the process that is forked."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(PLACE / "socket"))
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name("fork_server.py"), str(listener.fileno())],
            env=ENVIRONMENT,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,  # it ends when this is closed, however this process ends
        )
    atexit.register(server.communicate)
