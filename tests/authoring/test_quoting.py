"""Text from outside stays data in what `kagglekit new` writes: a title or a name of a class never becomes code."""

from __future__ import annotations

import ast
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_layouts import pictures

from kagglekit.authoring.detect import layout as detected
from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.file_names import PATTERNS, FileNames
from kagglekit.authoring.detect.layout import DataLayout, Sample
from kagglekit.authoring.detect.long_form import LongForm
from kagglekit.authoring.detect.tables.table import Table
from kagglekit.authoring.detect.tables.target import ONE_CLASS, Target
from kagglekit.authoring.package import package_files
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.quoting import comment, literal
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

EVIL = (
    '"""\nimport os\nos.system("echo pwned")\n"""',
    "'''\nraise SystemExit(3)\n'''",
    '", **__import__("os").environ) #',
    "\nraise SystemExit\n#",
    "\rraise SystemExit(3)\r#",
    "{__import__('os').getcwd()}",
    "a\\",
    "\\N{BULLET}\\x00\\",
    "$name ${title} $$",
    "\x00\x0c\x1b[31m",
    "\u202emoc.elgoog",  # reorders what stands after it
    "caf\udce9",  # a byte that is no UTF-8
    "# -*- coding: utf-7 -*-",
    "naïve 猫 \N{PILE OF POO}",
)
texts = st.one_of(st.text(max_size=40), st.sampled_from(EVIL), st.tuples(st.sampled_from(EVIL), st.text()).map("".join))
names = texts.filter(bool)


def harmless_to_a_terminal(line: str) -> bool:
    """Return whether a line has no control characters, line separators, lone surrogates, or marks that reorder it."""
    return not {unicodedata.category(letter) for letter in line.replace("\u200d", "")} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(texts)
def test_a_literal_evaluates_to_the_text_and_can_be_written(text: str) -> None:
    written = literal(text)
    assert ast.literal_eval(written) == text
    assert harmless_to_a_terminal(written)
    written.encode()


@given(texts)
def test_a_comment_is_nothing_but_a_comment(text: str) -> None:
    lines = comment(f"CHECK: {text}")
    assert ast.parse("\n".join(lines)).body == []
    assert all(line.startswith("# ") and harmless_to_a_terminal(line) for line in lines)


@st.composite
def tables_with(draw: st.DrawFn, classes: tuple[str, ...]) -> Table:
    """A table of labels of any kind, with any text in every place that takes text from outside."""
    columns, ids, counts = (
        draw(st.lists(names, min_size=1, max_size=3, unique=True)),
        draw(names),
        dict.fromkeys(classes, 5),
    )
    target = draw(
        st.sampled_from([
            ONE_CLASS,
            Target(tuple(columns), task="multi-label"),
            Target(tuple(columns), task="regression"),
            Target(tuple(columns), task="several", kinds=dict.fromkeys(columns, "single-label")),
            Target((columns[0],), task="multi-label", separator=draw(names)),
            Target((columns[0],), task="multi-label", several=True),
        ])
    )  # fmt: skip
    long = LongForm(ids, draw(names), tuple(columns), draw(names), draw(texts)) if target.has_columns else None
    return Table(
        *(draw(names), draw(texts), draw(texts), ids, draw(names), classes, counts),
        unlabelled=tuple(draw(st.lists(names, max_size=2))),
        notes=(),
        target=target,
        long=draw(st.sampled_from([None, long])),
        row=tuple(draw(st.lists(names, max_size=2))),
    )


@st.composite
def layouts_with(draw: st.DrawFn) -> tuple[Facts, DataLayout]:
    """Facts and a layout of any kind, with any text in every place that takes text from outside."""
    classes = tuple(draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    counts = dict.fromkeys(classes, 5)
    pattern, example = draw(st.sampled_from(PATTERNS))
    labels = draw(
        st.sampled_from([
            ClassFolders(draw(texts), draw(st.none() | texts), classes, counts),
            draw(tables_with(classes)),
            FileNames(draw(texts), pattern, example, classes, counts, ()),
        ])
    )  # fmt: skip
    tested = detected.TestImages(draw(texts), draw(st.none() | texts), draw(st.booleans()), draw(st.booleans()))
    form = draw(st.sampled_from(["a column a class", "probability of one class", "class names", "unknown"]))
    positive = draw(st.none() | st.sampled_from(classes)) if form == "probability of one class" else None
    spelling = {name: draw(names) for name in classes if draw(st.booleans())}
    columns = tuple(draw(st.lists(names, min_size=2, max_size=3)))
    sample = Sample(form, columns, positive, spelling, tuple(draw(st.lists(texts, min_size=1, max_size=3))))
    layout = DataLayout(
        labels, draw(st.sampled_from([None, tested])), draw(st.sampled_from([None, sample])),
        draw(st.integers(0, 500)), tuple(draw(st.lists(texts, max_size=3))), guessed=draw(st.booleans()),
    )  # fmt: skip
    metric = draw(st.sampled_from(["", "log_loss", "roc_auc"]))
    return Facts("leaves", draw(texts), draw(texts), metric, draw(texts)), layout


def erased(text: str) -> str:
    """Return what a source does, with all strings emptied: two sources of one kind differ in their strings alone."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def strings(text: str) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def harmless(layout: DataLayout, facts: Facts) -> tuple[Facts, DataLayout]:
    """Return the same facts and layout with plain letters in the place of each text."""
    known: dict[str, str] = {"": "", ".": "."}

    def plain(value: object) -> object:
        if isinstance(value, str):
            return known.setdefault(value, f"word{len(known)}")
        if isinstance(value, tuple):
            return tuple(plain(each) for each in value)
        if isinstance(value, Mapping):
            return {plain(key): plain(each) for key, each in value.items()}
        if isinstance(value, Target):
            kinds = {plain(name): kind for name, kind in value.kinds.items()}
            return replace(of(value, "task", "kinds"), kinds=kinds)
        if isinstance(value, LongForm):
            return of(value)
        return value

    def of(each: object, *kept: str) -> object:
        if each is None:
            return None
        fields = {name: plain(value) for name, value in vars(each).items() if name not in kept}
        return replace(each, **fields)

    labels = of(layout.labels, "pattern", "example")
    changed = replace(layout, labels=labels, test=of(layout.test), sample=of(layout.sample, "form", "separator"))
    return of(facts, "name", "metric"), replace(changed, notes=plain(layout.notes))


@settings(max_examples=60)
@given(layouts_with())
def test_a_plugin_holds_the_texts_it_was_given_and_runs_nothing_else(given_: tuple[Facts, DataLayout]) -> None:
    facts, layout = given_
    text = plugin_text(facts, layout)
    text.encode()
    assert erased(text) == erased(plugin_text(*harmless(layout, facts)))
    tree = ast.parse(text)
    (call,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Competition"
    )
    given_as_text = [keyword for keyword in call.keywords if not isinstance(keyword.value, ast.Name)]  # not TARGETS
    written = {keyword.arg: ast.literal_eval(keyword.value) for keyword in given_as_text}
    assert written["title"] == (facts.title or "Leaves")
    assert written.get("slug", "") == facts.slug
    if layout.sample and layout.sample.positive:
        assert written["positive"] == layout.sample.positive
    expected = [layout.labels.csv, layout.labels.id_column] if isinstance(layout.labels, Table) else []
    expected += [layout.labels.images] if not isinstance(layout.labels, ClassFolders) else [layout.labels.train]
    expected += list(layout.sample.spelling.values()) if layout.sample else []
    assert {each for each in expected if each} <= strings(text)


@settings(max_examples=60)
@given(layouts_with())
def test_the_files_of_a_package_parse_and_run_nothing_else(given_: tuple[Facts, DataLayout]) -> None:
    facts, layout = given_
    files, plain = package_files(facts, layout), package_files(*harmless(layout, facts))
    for file, text in files.items():
        text.encode()
        if file.endswith(".py"):
            assert erased(text) == erased(plain[file])
        else:  # these name the plugin, and nothing from outside
            assert text == plain[file]
    assert tomllib.loads(files["pyproject.toml"])["project"]["name"] == "kagglekit-leaves"


@pytest.mark.parametrize("title", EVIL)
def test_a_plugin_with_such_a_title_loads_and_gives_the_title_back(title: str, tmp_path: Path) -> None:
    _, layout = harmless(DataLayout(ClassFolders("train", None, ("a", "b"), {}), None, None, 0, ()), Facts("x"))
    file = tmp_path / "leaves.py"
    file.write_text(plugin_text(Facts("leaves", title=title), layout), encoding="utf-8")
    assert Hooks(load(str(file))).competition().title == title


def test_names_of_files_and_classes_with_quotes_and_line_breaks_are_read_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = ('say "ah"', "two\nlines", 'x");raise SystemExit("#')
    pictures(tmp_path / "data", [f"train {{x}}/{name}/{i}.jpg" for name in classes for i in range(4)])
    done = CliRunner().invoke(cli, ["new", "leaves", "--from-data", "data"])
    assert done.exit_code == 0, done.output
    table = Hooks(load("./leaves.py")).labels(tmp_path / "data")
    assert set(table["label"]) == set(classes)
    assert not re.search(r"^raise", (tmp_path / "leaves.py").read_text(), re.MULTILINE)
