"""ARCHITECTURE.md shows the packages that there are, in the order that the test of imports holds."""

from __future__ import annotations

import re

from places import ROOT

PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_its_tree_has_every_package_and_module_of_the_core() -> None:
    tree = PAGE[PAGE.index("kagglekit/\n") : PAGE.index("plugins/ ")]
    shown = set(re.findall(r"^  (\S+)", tree, re.M))
    there = {f"{path.parent.name}/" for path in (ROOT / "kagglekit").glob("*/__init__.py")}
    there |= {path.name for path in (ROOT / "kagglekit").glob("*.py")}
    assert shown == there - {"__main__.py", "_version.py"}


def test_its_drawing_has_the_order_of_the_test_of_imports() -> None:
    order = re.search(r'ORDER = """\n(.*?)"""', (ROOT / "tests" / "test_imports.py").read_text(), re.S)
    assert order
    drawn = re.search(r"```mermaid\nflowchart TD\n(.*?)```", PAGE, re.S)
    assert drawn
    names = {name: re.split(r" · |<br>", text) for name, text in re.findall(r'(\w+)\["(.*?)"\]', drawn[1])}
    chain = [re.findall(r"(\w+)(?:\[.*?\])?(?= -->|$)", line)[-2:] for line in drawn[1].splitlines()]
    assert [pair[1] for pair in chain[:-1]] == [pair[0] for pair in chain[1:]]
    lines = [names.get(name, [name]) for name in (chain[0][0], *(pair[1] for pair in chain))]
    assert lines == [line.split() for line in order[1].splitlines() if line.split() not in ([], ["_version"])]


def test_it_is_short() -> None:
    assert len(PAGE.splitlines()) <= 150
