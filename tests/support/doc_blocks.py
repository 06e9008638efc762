"""Finds and runs the commands and code blocks of the docs, and compares their output with what is shown."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import DISTRIBUTIONS, DOCS

FENCE = re.compile(
    r"^(?:<!-- (?P<mark>.*?) -->\n)?```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S
)
NUMBER = re.compile(r"\d[\d,.:-]*")


@dataclass(frozen=True)
class Block:
    """A fenced block: `title` names its file, `reason` says why it is not run (empty if it is)."""

    page: str
    line: int
    language: str
    title: str
    reason: str
    text: str


def pages() -> list[str]:
    return sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [_block(page, text, match) for match in FENCE.finditer(text)]


def _block(page: str, text: str, match: re.Match[str]) -> Block:
    mark, title = match["mark"] or "", re.search(r'title="([^"]+)"', match["rest"])
    reason = mark.removeprefix("not run: ") if mark.startswith("not run: ") else ""
    line = text[: match.start("language")].count("\n") + 1
    return Block(page, line, match["language"], title[1] if title else "", reason, match["text"])


def run_block(block: Block, names: dict[str, object]) -> None:
    """Run a block in the working folder; `names` are those that earlier Python blocks of the page made."""
    if block.title:
        _same_as_distribution(block)
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "console":
        for command, expected in _commands(block.text):
            _matches(command, expected, _output(command))
    else:
        raise AssertionError(f"{block.page}:{block.line}: a block of {block.language!r} is of no known kind")


def _same_as_distribution(block: Block) -> None:
    """Check that a page shows the file of an example plugin, which other tests install and run."""
    for file in DISTRIBUTIONS.glob(f"*/{Path(block.title).name}"):
        if file.parent.name in block.title or block.title.startswith("kagglekit_"):
            assert file.read_text() == block.text, f"{block.page}:{block.line} differs from {file}"


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command (after ``$``, continued by a backslash) and the lines shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield command, [line for line in output.splitlines() if line.strip()]


def _output(command: str) -> str:
    if not command.startswith("kagglekit "):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr
    from kagglekit.cli import cli

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), pytest.raises(SystemExit) as ended:
        cli.main([part for word in shlex.split(command)[1:] for part in _expanded(word)])
    assert not ended.value.code, f"{command}\n{printed.getvalue()}"
    return printed.getvalue()


def _expanded(word: str) -> list[str]:
    """Expand a pattern of file names as a shell does."""
    return sorted(map(str, Path().glob(word)) if "*" in word else ()) or [word]


def _matches(command: str, expected: list[str], output: str) -> None:
    """Check that the output has each line shown, in this order; numbers may differ, ``...`` stands for anything."""
    left = [plain(line.strip()) for line in output.splitlines()]
    for line in expected:
        if line.strip() == "...":
            continue
        pattern = pattern_of(line)
        found = next((i for i, there in enumerate(left) if pattern.fullmatch(there)), None)
        assert found is not None, f"{command} does not print\n{line}\nafter what was found; it prints\n{output}"
        left = left[found + 1 :]


def pattern_of(line: str) -> re.Pattern[str]:
    """Return the pattern of `plain` lines that a shown line matches; ``...`` stands for anything."""
    return re.compile(".*".join(re.escape(plain(part)) for part in line.strip().split("...")))


def plain(line: str) -> str:
    return NUMBER.sub("#", re.sub(r"\s+", " ", line))
