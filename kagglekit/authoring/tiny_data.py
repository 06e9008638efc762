"""Write the body of a function that draws tiny data in a detected layout, for a package's test."""

from __future__ import annotations

from collections.abc import Sequence

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
    named = isinstance(layout.labels, Table) and (layout.labels.one_hot or layout.labels.targets)
    return bool(named) or bool(layout.sample and layout.sample.form == "unknown")


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
    written = image if part.suffix else f"{image} + {suffix}"
    return [
        f"rows = [{list_literal(_header(labels))}]",
        *_each(f"{_folder(part.folders[0])} / ({image} + {suffix})"),
        *(f"        {line}" for line in _rows(labels, written)),
        f"write({_folder(part.file)}, rows)",
    ]


def _header(labels: Table) -> list[str]:
    """Return the columns of the labels' file."""
    if labels.long:
        target = [labels.long.target_column] if labels.long.target_column else []
        columns = [labels.long.id_column, *target, labels.long.value_column]
    else:
        columns = [labels.id_column, *labels.target.columns]
    return [*columns, *(name for name in _facts(labels) if name not in columns)]


def _facts(labels: Table) -> list[str]:
    """Return the columns of groups and of rows that several images share."""
    group = [labels.group.column] if labels.group and not labels.group.pattern else []
    return list(dict.fromkeys([*group, *labels.row]))


def _rows(labels: Table, image: str) -> list[str]:
    """Return the lines that append the rows of one image, whose number is ``i`` and whose class is ``name``."""
    named = 'f"row {kind}-{i // 2}"' if labels.row else 'f"group {i}"'  # the images of a row have one label
    facts = "".join(f", {named}" for name in _facts(labels) if name != labels.id_column)
    target = labels.target
    if labels.long:
        named = f"{image}, each" if labels.long.target_column else f"{image} + {literal(labels.long.separator)} + each"
        return [f"rows.extend([{named}, {_value(labels)}{facts}] for each in classes)"]
    if target.is_hot or target.has_columns:
        return [f"rows.append([{image}, *({_value(labels)} for each in classes){facts}])"]
    if target.separator:
        return [f"rows.append([{image}, {literal(target.separator)}.join({{name, classes[0]}}){facts}])"]
    if target.several:
        return [f"rows.extend([{image}, each{facts}] for each in sorted({{name, classes[0]}}))"]
    return [f"rows.append([{image}, {'(7 * kind + i) % 10 / 10' if target.numbers else 'name'}{facts}])"]


def _value(labels: Table) -> str:
    """Return the value of the target ``each`` of an image, as code."""
    if labels.target.task == "several":
        return "i % 3"
    return "(7 * kind + i + classes.index(each)) % 10 / 10" if labels.target.numbers else "int(name == each)"


def _list(listed: TestList | None) -> list[str]:
    """Return the line that writes the file of the test images, if it is not the sample submission."""
    if listed is None or not (listed.file_column or listed.row_column):
        return []
    columns = list_literal([listed.id_column, listed.file_column or listed.row_column])
    return [f"write({_folder(listed.file)}, [{columns}, *([image, image] for image in tests)])"]


def _sample(sample: Sample | None, labels: Labels) -> list[str]:
    if sample is None:
        return []
    whole = isinstance(labels, Table) and bool(labels.one_hot or labels.targets)
    shown = labels.classes if whole else labels.classes[:3]
    spelt = [sample.spelling.get(name, name) for name in shown]
    head, file = list_literal(sample.columns), _folder(sample.name)
    if sample.long:
        name = f"image + {literal(sample.long.separator)} + each"
        return [f"write({file}, [{head}, *([{name}, 0.5] for image in tests for each in classes)])"]
    if sample.form.startswith("a column"):
        return [_wide_sample(file, [sample.columns[0], *spelt], f"[0.5] * {len(spelt)}")]
    named = sample.form in ("class names", "sets of labels") and any(sample.values)
    value = spelt[0] if named else next(iter(sample.values), "")
    return [_wide_sample(file, sample.columns, f"[{literal(value)}] * {len(sample.columns) - 1}")]


def _wide_sample(file: str, columns: Sequence[str], values: str) -> str:
    return f"write({file}, [{list_literal(columns)}, *([image] + {values} for image in tests)])"


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
