"""The command line against the server that plays Kaggle; no credential may ever be shown or written."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kaggle_server import SECRETS, KaggleServer

from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.types.presets import progressive_stages
from kagglekit.types.recipe import Recipe

QUICK = ("--timeout", 5)  # seconds without progress: the time-outs of single attempts follow from it


def ask(
    server: KaggleServer, home: Path, *arguments: object, credentials: str = "key", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``kagglekit``; check that it showed no traceback, leaked no credential and contacted no other host."""
    done = server.kagglekit(*arguments, cwd=home, credentials=credentials, **variables)
    assert "Traceback" not in done.stderr, done.stderr
    check_nothing_leaked(home, done.stdout + done.stderr)
    assert server.refused == []
    return done


def succeed(server: KaggleServer, home: Path, *arguments: object, **how: str) -> subprocess.CompletedProcess[str]:
    """Run ``kagglekit`` as `ask` does; check that it succeeds."""
    done = ask(server, home, *arguments, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def fail(server: KaggleServer, home: Path, *arguments: object, code: int = 1, says: str = "", **how: str) -> str:
    """Run ``kagglekit`` as `ask` does; check its exit code, and that its error matches `says`; return the error."""
    done = ask(server, home, *arguments, **how)
    assert done.returncode == code, done.stdout + done.stderr
    error = message(done)
    assert re.search(says, error, re.S), error
    return error


def become_customer(
    patch: pytest.MonkeyPatch, server: KaggleServer, home: Path, credentials: str = "token variable"
) -> None:
    """Direct this process to the server; credentials are variables, because the client reads files only once."""
    environment = server.environment(home, credentials)
    for name in os.environ.keys() - environment.keys():
        patch.delenv(name)
    for name, value in environment.items():
        patch.setenv(name, value)


def check_nothing_leaked(home: Path, shown: str) -> None:
    written = [path for path in home.rglob("*") if path.is_file() and ".kaggle" not in path.parts]
    for secret in SECRETS:
        assert secret not in shown
        assert not [path for path in written if secret.encode() in path.read_bytes()]


def message(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error that ends a command."""
    assert "error: " in done.stderr, done.stdout + done.stderr
    return done.stderr[done.stderr.index("error: ") :]


def finished_run(
    home: Path,
    competition: str,
    slug: str | None,
    rows: Sequence[Sequence[object]],
    name: str = "20260101-000000-net",
    **facts: Any,
) -> Run:
    """Write the folder of a finished run, without training."""
    run = Run(home / "submissions" / competition / name)
    run.folder.mkdir(parents=True)
    run.write_recipe(Recipe(arch="resnet10t", stages=progressive_stages((32,))))
    scores = [{"member": "ensemble", "views": "mean", "valid_log_loss": [0.25, 0.01], "valid_accuracy": [0.9, 0.02]}]
    Record.of(run.info_file).update(
        **{
            "competition": competition,
            "plugin": competition,
            "title": competition.title(),
            "slug": slug,
            "metric": "log_loss",
            "status": "finished",
            "started": datetime.now(UTC).isoformat(),
            "scores": scores,
            "data": str(home / "data" / competition),
            **facts,
        }
    )
    run.submission.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return run


def entries(run: Run) -> list[Mapping[str, Any]]:
    """Read a run's score.json."""
    return list(json.loads((run.folder / "score.json").read_text())["submissions"])
