"""The process that is forked: it imports, and becomes a command for each who connects. See `forks`."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import ModuleType

LIGHT = (  # what the commands import that train nothing, and what the kaggle client imports
    *("kagglekit.cli.submit", "kagglekit.kaggle.target", "kagglekit.kaggle.submit", "kagglekit.kaggle.ledger"),
    *(
        "kagglekit.kaggle.login",
        "kagglekit.kaggle.data_folder",
        "kagglekit.hooks.manager",
        "kagglekit.hooks.calls",
        "kagglekit.data.table",
    ),
    *(
        "kagglekit.system.display.console",
        "kagglekit.data.submission",
        "kagglekit.runs.history",
        "requests",
        "pandas",
        "kagglesdk",
    ),
    *("kagglesdk.competitions.types.competition_api_service", "bleach", "dateutil.relativedelta", "dotenv"),
    *("google.protobuf.field_mask_pb2", "slugify", "tqdm"),
)
HEAVY = (
    *LIGHT,
    "kagglekit.workflows.single",
    "kagglekit.workflows.start",
    "kagglekit_timm.network",
    "cv2",
    "sklearn.linear_model",
)
TRAINING = frozenset({"run", "resume", "predict", "lr-find", "check"})


def serve(listener: socket.socket) -> None:
    """Fork for each who connects, until standard input ends; return in no fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C of the terminal is for pytest
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait for commands
    while listener in select.select([listener, 0], [], [])[0]:
        connection, _ = listener.accept()
        with connection:
            size, streams, *_ = socket.recv_fds(connection, 9, 2)
            arguments, cwd, environment = json.loads(connection.recv(int(size), socket.MSG_WAITALL))
            load(HEAVY if TRAINING.intersection(arguments) else LIGHT)
            if not os.fork():
                listener.close()
                attend(connection, arguments, cwd, environment, streams)
        for stream in streams:
            os.close(stream)


def load(modules: tuple[str, ...]) -> None:
    for module in modules:
        with suppress(ImportError):  # who needs it will say so
            importlib.import_module(module)
    gc.freeze()  # what the collector does not touch, forks share


def attend(
    connection: socket.socket, arguments: list[str], cwd: str, environment: dict[str, str], streams: list[int]
) -> None:
    """Fork the command, tell its number, wait for its end, tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if not process:
        connection.close()
        os._exit(become(arguments, cwd, environment, streams))  # what is frozen would be reported as leaks
    for stream in streams:
        os.close(stream)
    with suppress(BrokenPipeError):  # whoever asked has gone
        connection.sendall(process.to_bytes(4, "big", signed=True))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(code.to_bytes(4, "big", signed=True))
    os._exit(0)


def become(arguments: list[str], cwd: str, environment: dict[str, str], streams: list[int]) -> int:
    """Be what Python is with these arguments, in that folder and environment; return the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *streams]):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w", 1 if "PYTHONUNBUFFERED" in environment else -1)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace")
    random.seed()
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [cwd if arguments[0] == "-m" else "", *paths]
    importlib.invalidate_caches()
    if "TESTS_FOUR_STAGES" in environment:
        runpy.run_path(str(Path(__file__).with_name("four_stages.py")))["use"]()
    code = run(*arguments)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return code


def run(kind: str, what: str, *rest: str) -> int:
    """Run a module (``-m``) or code (``-c``) as the main program; return the exit code."""
    sys.argv = [kind, *rest]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(main))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
