"""Write the body of a function that draws tiny data in a detected layout, for a package's test."""

from __future__ import annotations

from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.container_labels import Containers
from kagglekit.authoring.detect.file_names import FileNames
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestList
from kagglekit.authoring.detect.tables.table import Table, ValidFile
from kagglekit.authoring.quoting import list_literal, literal
from kagglekit.containers.opening import kind_of
from kagglekit.system.errors import UserError


def tiny_data(layout: DataLayout) -> str:
    """Return the lines of a function's body; it has the argument ``folder`` and calls ``draw`` and ``write``.

    Raises:
        UserError: Images are in containers.
    """
    if any(map(kind_of, layout.test.folders if layout.test else ())):
        raise _no_containers()
    classes = layout.labels.classes[: None if _needs_all_classes(layout) else 3]
    lines = [f"classes = {list_literal(classes)}", *_labels(layout.labels)]
    test = layout.test
    if test is None:
        return _indented(lines)
    if test.labelled:
        return _indented([*lines, *_each(f'{_folder(test.folder)} / name / f"t{{i}}.png"')])
    lines.append(f'tests = [f"t{{i}}{"" if test.suffix != "" else ".png"}" for i in range(4)]')
    lines.append("for i, image in enumerate(tests):")
    file = "image" if test.suffix == "" else f"(image + {literal(test.suffix or '.png')})"
    lines.append(f"    draw({_folder(test.folder)} / {file}, i % len(classes))")
    if not test.listed:  # unlabelled_images expects an image in each folder
        name = literal(f"more{test.suffix or '.png'}")
        lines += [f"draw({_folder(folder)} / {name}, 0)" for folder in test.more]
    return _indented([*lines, *_list(test.listed), *_sample(layout.sample, layout.labels)])


def _needs_all_classes(layout: DataLayout) -> bool:
    one_hot = isinstance(layout.labels, Table) and bool(layout.labels.one_hot)
    return one_hot or bool(layout.sample and layout.sample.form == "unknown")


def _folder(relative: str) -> str:
    return f"folder / {literal(relative)}"


def _labels(labels: Labels) -> list[str]:
    if isinstance(labels, FileNames):
        return _each(f'{_folder(labels.images)} / f"{labels.example}.png"')
    if isinstance(labels, ClassFolders):
        return _class_folders(labels)
    if isinstance(labels, Containers) or kind_of(labels.images):
        raise _no_containers()
    lines = _table(labels, ValidFile(labels.csv, labels.folders, labels.suffix), "")
    return [*lines, *_table(labels, labels.valid, "v")] if labels.valid else lines


def _no_containers() -> UserError:
    what = "a package's test cannot draw images in containers, as the data have them"
    return UserError(what, "write the plugin alone, without --package")


def _class_folders(labels: ClassFolders) -> list[str]:
    above = ' / "some"' * (labels.level - 1)
    lines = _each(f'{_folder(labels.train)}{above} / name / f"{{i}}.png"')
    return lines if labels.valid is None else [*lines, *_each(f'{_folder(labels.valid)} / name / f"v{{i}}.png"')]


def _each(file: str) -> list[str]:
    return ["for kind, name in enumerate(classes):", "    for i in range(8):", f"        draw({file}, kind)"]


def _table(labels: Table, part: ValidFile, start: str) -> list[str]:
    suffix = literal(part.suffix or ".png")
    image = f'f"{start}{{kind}}-{{i}}"'
    columns = [labels.id_column, *(labels.one_hot or [labels.label_column])]
    values = ["*(int(name == each) for each in classes)"] if labels.one_hot else ["name"]
    if labels.group and not labels.group.pattern:
        columns.append(labels.group.column)
        values.append('f"group {i}"')
    written = ", ".join([image if part.suffix else f"{image} + {suffix}", *values])
    return [
        f"rows = [{list_literal(columns)}]",
        *_each(f"{_folder(part.folders[0])} / ({image} + {suffix})"),
        f"        rows.append([{written}])",
        f"write({_folder(part.file)}, rows)",
    ]


def _list(listed: TestList | None) -> list[str]:
    """Return the line that writes the file of the test images, if it is not the sample submission."""
    if listed is None or not listed.file_column:
        return []
    columns = list_literal([listed.id_column, listed.file_column])
    return [f"write({_folder(listed.file)}, [{columns}, *([image, image] for image in tests)])"]


def _sample(sample: Sample | None, labels: Labels) -> list[str]:
    if sample is None:
        return []
    shown = labels.classes if isinstance(labels, Table) and labels.one_hot else labels.classes[:3]
    spelt = [sample.spelling.get(name, name) for name in shown]
    if sample.form == "a column a class":
        columns, values = [sample.columns[0], *spelt], f"[0.5] * {len(spelt)}"
    else:
        value = spelt[0] if sample.form == "class names" and any(sample.values) else next(iter(sample.values), "")
        columns, values = list(sample.columns), f"[{literal(value)}] * {len(sample.columns) - 1}"
    rows = f"[{list_literal(columns)}, *([image] + {values} for image in tests)]"
    return [f"write({_folder(sample.name)}, {rows})"]


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
