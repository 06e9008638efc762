"""docs/writing.md: the rules that a test can hold."""

from __future__ import annotations

import ast

import pytest
from places import ROOT

PATHS = sorted((ROOT / "kagglekit").rglob("*.py"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_of_functions_begin_with_a_verb(path) -> None:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    texts = {node.name: ast.get_docstring(node) or "" for node in functions}
    assert not [name for name, text in texts.items() if text.startswith(("What", "Whether", "How ", "Where"))]
