"""Modules import in one direction: ARCHITECTURE.md, "Direction of imports"."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import kagglekit

ROOT = Path(__file__).parents[1]
PLUGINS = ("plugins", "competitions", "tests/distributions")
CORE = sorted((ROOT / "kagglekit").rglob("*.py"))

# Highest first: a package imports from lower lines only. Packages on one line do not know each other.
ORDER = """
    api explore
    called
    cli testing
    commands
    authoring sweep
    workflows
    prediction doctor notebook
    training planning kaggle eda
    data images report
    hooks
    compute runs containers tasks
    types
    system
    _version
"""
LEVELS = {name: level for level, line in enumerate(reversed(ORDER.split("\n"))) for name in line.split()}


def imported(path: Path) -> set[str]:
    """Names of the modules a file imports, anywhere in it, for type checking alone as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_graph() -> dict[str, set[str]]:
    """Each module of the core with those it imports."""
    dotted = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in CORE}
    modules = set(dotted.values())
    return {own: (imported(path) & modules) - {own, "kagglekit"} for path, own in dotted.items()}


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_from_lower_lines_only(path):
    own = path.relative_to(ROOT / "kagglekit").with_suffix("").parts[0]
    if own in ("__init__", "__main__"):  # the front door
        return
    used = {name.split(".")[1] for name in imported(path) if name.startswith("kagglekit.")} - {own}
    assert not {name for name in used if LEVELS[name] >= LEVELS[own]}


def test_modules_do_not_import_each_other_in_circles():
    graph = module_graph()
    while leaves := {module for module, used in graph.items() if not used & graph.keys()}:
        for module in leaves:
            del graph[module]
    assert not graph


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_no_plugin(path):
    assert not {name for name in imported(path) if name.startswith("kagglekit_")}


def test_the_training_loop_never_sees_the_plugins():
    for place in ("compute/**/*", "images/build", "images/loader", "training/loop", "training/heads/*"):
        files = [*(ROOT / "kagglekit").glob(f"{place}.py")]
        assert files, place
        for file in files:
            assert not {module for module in imported(file) if module.startswith(("kagglekit.hooks", "pluggy"))}, file


def test_nothing_runs_a_shell():
    for path in [*CORE, *(ROOT / "plugins").rglob("*.py"), *(ROOT / "competitions").rglob("*.py")]:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if any(keyword.arg == "shell" for keyword in call.keywords)], path
        assert not {"os.system", "os.popen", "subprocess.getoutput"} & {ast.unparse(call.func) for call in calls}, path


def test_only_one_module_imports_kaggle():
    importers = [path for path in CORE if any(name.split(".")[0] == "kaggle" for name in imported(path))]
    assert len(importers) <= 1


@pytest.mark.parametrize(
    "statement",
    [
        "from kagglekit import hookimpl, Competition, Recipe, Stage, Schedule, View, progressive_stages",
        "from kagglekit.cli import cli",
        "import kagglekit; dir(kagglekit); kagglekit.run, kagglekit.look, kagglekit.Run",
    ],
)
def test_plugins_and_help_load_nothing_heavy(statement):
    heavy = "{'torch', 'torchvision', 'timm', 'pandas', 'sklearn', 'cv2', 'kaggle', 'scipy', 'IPython', 'ipykernel'}"
    code = f"{statement}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_plugins_import_the_front_door_alone():
    paths = [path for place in PLUGINS for path in (ROOT / place).rglob("*.py")]
    assert len(paths) > 20
    for path in paths:
        used = {name.removeprefix("kagglekit.") for name in imported(path) if name.startswith("kagglekit.")}
        assert used <= kagglekit._HOMES.keys(), path


def test_only_one_module_reads_pickles_and_none_writes_them():
    users = set()
    for path in [*CORE, *(ROOT / "plugins").rglob("*.py"), *(ROOT / "competitions").rglob("*.py")]:
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert not calls & {"torch.save", "pickle.load", "pickle.loads", "pickle.dump", "pickle.dumps"}, path
        users |= {path.name} if {"torch.load", "torch.jit.load"} & calls else set()
    assert users == {"weight_files.py"}


SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_of_kagglekit_is_there(path: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.module]
    wanted = [(node.module, alias.name) for node in nodes for alias in node.names]
    missing = [
        f"{module}.{name}"
        for module, name in wanted
        if module.split(".")[0].startswith("kagglekit")
        and not hasattr(importlib.import_module(module), name)
        and importlib.util.find_spec(f"{module}.{name}") is None
    ]
    assert missing == []
