"""Fetch the file of a `Host`, and check the result."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from file_host import CONTENT, SECRET, Host
from rich.console import Console

from kagglekit.kaggle.download import Fetched, Source, fetch
from kagglekit.kaggle.retry import RetryPolicy
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UserError


@dataclass
class Output:
    """A display that writes to memory, and the lines it shows."""

    said: io.StringIO = field(default_factory=io.StringIO)

    @property
    def display(self) -> Display:
        return Display(Console(file=self.said, width=200))

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()


def get(host: Host, file: Path, seconds: float = 3, md5: str = "", output: Output | None = None) -> Fetched:
    output = output or Output()
    try:
        policy = RetryPolicy(seconds, output.display.report)
        return fetch(Source("train.zip", host.address, md5), file, policy, output.display)
    finally:
        assert SECRET not in output.said.getvalue()


def fails(host: Host, file: Path, words: str, seconds: float = 0.6, md5: str = "") -> UserError:
    """Check that fetching fails with these words, shows no secret, and leaves no file."""
    with pytest.raises(UserError, match=words) as caught:
        get(host, file, seconds, md5)
    assert SECRET not in str(caught.value)
    assert "token" not in str(caught.value)
    assert caught.value.hint
    assert not file.exists()
    return caught.value


def is_here(file: Path) -> bool:
    """Whether the file is right and the only one in its folder."""
    return file.read_bytes() == CONTENT and [path.name for path in file.parent.iterdir()] == [file.name]


def note(file: Path, content: bytes, **facts: Any) -> None:
    """Write what a killed process leaves."""
    file.parent.mkdir(exist_ok=True)
    file.with_name(f"{file.name}.part").write_bytes(content)
    known = {"total": len(CONTENT), "etag": '"one"', "modified": "", "md5": ""}
    file.with_name(f"{file.name}.part.json").write_text(json.dumps(known | facts))
