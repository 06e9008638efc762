"""Write a distribution of a competition's plugin: pyproject.toml, README.md, a test."""

from __future__ import annotations

from string import Template

from kagglekit._version import __version__
from kagglekit.authoring.detect.layout import DataLayout
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import plugin_text
from kagglekit.authoring.tiny_data import tiny_data


def module_name(name: str) -> str:
    """Return the name of a plugin's module: ``kagglekit_dog_breed`` for ``dog-breed``."""
    return f"kagglekit_{name.replace('-', '_')}"


def package_files(facts: Facts, layout: DataLayout) -> dict[str, str]:
    """Return the text of each file of a distribution, by its path in the distribution's folder."""
    names = {"name": facts.name, "module": module_name(facts.name), "version": __version__}
    return {
        f"{module_name(facts.name)}.py": plugin_text(facts, layout, called=facts.name),
        "pyproject.toml": _PYPROJECT.substitute(names),
        "README.md": _README.substitute(names),
        f"tests/test_{module_name(facts.name)}.py": _TEST.substitute(names, tiny=tiny_data(layout)),
    }


_PYPROJECT = Template("""\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "kagglekit-$name"
version = "0.1.0"
description = "A kagglekit plugin: $name"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["kagglekit>=$version"]

[project.entry-points."kagglekit.competitions"]
$name = "$module"

[tool.hatch.build.targets.wheel]
include = ["/$module.py"]
""")

_README = Template("""\
# kagglekit-$name

A plugin for kagglekit.

    pip install -e .
    kagglekit look $name --data DIR
    kagglekit check $name --data DIR
    kagglekit run $name --data DIR

`pytest` runs the conformance check on tiny generated images in the layout of the data.
""")

_TEST = Template('''\
"""The plugin passes kagglekit's conformance check on tiny data in the layout of the real data."""

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from kagglekit.testing import check_competition
from PIL import Image

PLUGIN = Path(__file__).parents[1] / "$module.py"


def draw(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(sum(path.name.encode())).integers(0, 60, (48, 48, 3))
    Image.fromarray((noise + 60 * kind).astype(np.uint8)).save(path)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\\n").writerows(rows)
    if path.suffix.lower() == ".json":
        path.write_text(json.dumps([dict(zip(rows[0], row)) for row in rows[1:]]))
    elif path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(path.stem, text.getvalue())
    else:
        path.write_text(text.getvalue(), newline="")


def write_tiny_data(folder):
$tiny


def test_it_passes_the_conformance_check(tmp_path):
    write_tiny_data(tmp_path)
    check_competition(PLUGIN, data=tmp_path)
''')
