"""Which module may import which: ARCHITECTURE.md, "Direction of imports"."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "kagglekit").rglob("*.py"))

# Lowest first. A module may import from its own line and those above it.
LAYERS = [
    {"errors", "stop"},
    {
        "competition",
        "recipe",
        "view",
        "schedule",
        "metric",
        "ensemble",
        "files",
        "findings",
        "scaffold_text",
        "smoothing",
        "folding",
        "offline",
    },
    {
        "model",
        "overrides",
        "hookspecs",
        "run_folder",
        "names",
        "blame",
        "store",
        "archive",
        "unpack",
        "unpack_tar",
        "unpack_zip",
        "folder",
        "store_picture",
        "exposure",
        "requires",
        "run_lock",
        "checkpoint",
        "device_memory",
    },
    {"answers", "manager", "labels", "table", "predictions", "warp", "device", "progress", "data_place"},
    {"fetching", "store_choice"},
    {"hooks", "store_build", "store_cache", "loader", "submission", "duplicates", "passes", "solver", "compiling"},
    {"train", "held", "mixing"},
    {
        "estimate",
        "activations",
        "lr_sweep",
        "batch_probe",
        "plots",
        "decoding",
        "pictures",
        "plan",
        "base",
        "folds",
        "groups",
    },
    {"recognise_csv", "recognise_folders", "recognise_names"},
    {"seen"},
    {"recognise_notes", "scaffold"},
    {"recognise", "scaffold_package"},
    {"recognise_listing"},
    {"describe", "work", "unfinished", "online", "history", "report", "gallery"},
    {"journal", "resume", "tuning"},
    {"stages"},
    {"members", "outcome", "full"},
    {"finish", "comparison"},
    {"runner"},
    {"fold_runs"},
    {"repeats", "blend"},
    {"start"},
    {"dryrun", "restored", "members_unseen", "api", "unseen", "lr_find"},
    {"conformance_data"},
    {"conformance"},
    {"testing"},
    {"cli"},
]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT / "kagglekit").with_suffix("").parts
    return parts[0]


def imported(path: Path) -> set[str]:
    """Names of the modules a file imports, anywhere in it, but for type checking."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_core_module_imports_only_from_lower_layers(path):
    own = module(path)
    if own in ("__init__", "__main__"):
        return
    level = next((i for i, layer in enumerate(LAYERS) if own in layer), None)
    assert level is not None, f"{own} has no place in LAYERS"
    above = {name for layer in LAYERS[level + 1 :] for name in layer}
    used = {name.split(".")[1] for name in imported(path) if name.startswith("kagglekit.")}
    assert not used & above


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_no_plugin(path):
    assert not {name for name in imported(path) if name.startswith("kagglekit_")}


def test_the_training_loop_never_sees_the_plugins():
    for name in ("train", "passes", "loader", "solver", "activations", "store_build"):
        used = imported(ROOT / "kagglekit" / f"{name}.py")
        assert not {module for module in used if module.startswith(("kagglekit.hooks", "kagglekit.manager", "pluggy"))}


def test_nothing_runs_a_shell():
    for path in [*CORE, *(ROOT / "plugins").glob("*.py"), *(ROOT / "competitions").glob("*.py")]:
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
    ],
)
def test_plugins_and_help_load_nothing_heavy(statement):
    heavy = "{'torch', 'torchvision', 'timm', 'pandas', 'sklearn', 'cv2', 'kaggle', 'scipy'}"
    code = f"{statement}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
