"""The messages that docs/troubleshooting.md explains are those that kagglekit prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from places import DOCS, ROOT

PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| `(.+?)` \|", PAGE.partition("## Messages")[2].partition("\n## ")[0], re.M)


@cache
def sources() -> str:
    """Return all texts of the code, a line each, with ``...`` for what is filled in."""
    folders = ("kagglekit", "plugins", "competitions")
    trees = (ast.parse(file.read_text()) for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return "\n".join(text.replace("\n", " ") for tree in trees for text in texts(tree))


def texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else filled(part) for part in node.values)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""  # a docstring, which is seen before its text
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "unknown":
            yield from (f"unknown {kind.value} '...'" for kind in node.args[:1] if isinstance(kind, ast.Constant))


def filled(part: ast.expr) -> str:
    return "'...'" if isinstance(part, ast.FormattedValue) and part.conversion == ord("r") else "..."


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_that_is_printed(message: str) -> None:
    assert message in sources()


def test_the_commonest_messages_are_explained() -> None:
    assert len(MESSAGES) >= 20
    for part in ("unknown competition", "timm has no network", "does not match the plugins", "no Kaggle credentials"):
        assert any(part in message for message in MESSAGES), part
