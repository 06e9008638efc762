"""Write a distribution of a competition's plugin: pyproject.toml, README.md, a test."""

from __future__ import annotations

from string import Template

from kagglekit._version import __version__
from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.file_names import FileNames
from kagglekit.authoring.detect.label_tables import Table
from kagglekit.authoring.detect.layout import DataLayout, Labels
from kagglekit.authoring.quoting import list_literal, literal
from kagglekit.authoring.scaffold import Facts, plugin_text


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
        f"tests/test_{module_name(facts.name)}.py": _TEST.substitute(names, tiny=_tiny(layout)),
    }


def _tiny(layout: DataLayout) -> str:
    """Return the body of a function that draws tiny data in the detected layout."""
    classes = layout.labels.classes[: None if layout.sample and layout.sample.form == "unknown" else 3]
    lines = [f"classes = {list_literal(classes)}", *_tiny_labels(layout.labels)]
    test = layout.test
    if test is None:
        return _indented(lines)
    if test.labelled:
        return _indented([*lines, *_each(f'{_folder(test.folder)} / name / f"t{{i}}.png"')])
    lines.append(f'tests = [f"t{{i}}{"" if test.suffix != "" else ".png"}" for i in range(4)]')
    lines.append("for i, image in enumerate(tests):")
    file = "image" if test.suffix == "" else f"(image + {literal(test.suffix or '.png')})"
    lines.append(f"    draw({_folder(test.folder)} / {file}, i % len(classes))")
    return _indented([*lines, *_tiny_sample(layout)])


def _folder(relative: str) -> str:
    return f"folder / {literal(relative)}"


def _tiny_labels(labels: Labels) -> list[str]:
    if isinstance(labels, FileNames):
        return _each(f'{_folder(labels.images)} / f"{labels.example}.png"')
    return _tiny_folders(labels) if isinstance(labels, ClassFolders) else _tiny_csv(labels)


def _tiny_folders(labels: ClassFolders) -> list[str]:
    lines = _each(f'{_folder(labels.train)} / name / f"{{i}}.png"')
    return lines if labels.valid is None else [*lines, *_each(f'{_folder(labels.valid)} / name / f"v{{i}}.png"')]


def _each(file: str) -> list[str]:
    return ["for kind, name in enumerate(classes):", "    for i in range(8):", f"        draw({file}, kind)"]


def _tiny_csv(labels: Table) -> list[str]:
    suffix = literal(labels.suffix or ".png")
    image = 'f"{kind}-{i}"'
    return [
        f"rows = [{list_literal([labels.id_column, labels.label_column])}]",
        *_each(f"{_folder(labels.images)} / ({image} + {suffix})"),
        f"        rows.append([{image if labels.suffix else f'{image} + {suffix}'}, name])",
        f"write({_folder(labels.csv)}, rows)",
    ]


def _tiny_sample(layout: DataLayout) -> list[str]:
    sample = layout.sample
    if sample is None:
        return []
    spelt = [sample.spelling.get(name, name) for name in layout.labels.classes[:3]]
    if sample.form == "a column a class":
        columns, values = [sample.columns[0], *spelt], f"[0.5] * {len(spelt)}"
    else:
        value = spelt[0] if sample.form == "class names" and any(sample.values) else sample.values[0]
        columns, values = list(sample.columns), f"[{literal(value)}] * {len(sample.columns) - 1}"
    rows = f"[{list_literal(columns)}, *([image] + {values} for image in tests)]"
    return [f'write(folder / "sample_submission.csv", {rows})']


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


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
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_tiny_data(folder):
$tiny


def test_it_passes_the_conformance_check(tmp_path):
    write_tiny_data(tmp_path)
    check_competition(PLUGIN, data=tmp_path)
''')
