"""Write the body of a plugin's labels hook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kagglekit.authoring.competition_source import TARGETS
from kagglekit.authoring.detect.class_folders import ClassFolders
from kagglekit.authoring.detect.container_labels import Containers, MemberIds
from kagglekit.authoring.detect.cut_off import MOST_NAMED
from kagglekit.authoring.detect.layout import DataLayout, Labels, Sample, TestImages, TestList
from kagglekit.authoring.detect.long_form import LongForm
from kagglekit.authoring.detect.tables.table import Table, ValidFile
from kagglekit.authoring.quoting import list_literal, literal


def labels_source(layout: DataLayout) -> Iterator[str]:
    """Yield the lines that build the image table and return it."""
    call = _call(reader(layout.labels), _arguments(layout))
    parts = ["table"]
    more = [*_valid_lines(layout.labels), *_test_lines(layout)]
    changes = [*_spelling_lines(layout), *_group_lines(layout.labels), *_cut_off_lines(layout.cut_off)]
    if not (more or changes):
        yield f"return {call}"
        return
    yield f"table = {call}"
    yield from changes
    for name, lines in more:
        yield from lines
        parts.append(name)
    if not more:
        yield "return table"
        return
    yield "import pandas as pd"
    yield ""
    yield f"return pd.concat([{', '.join(parts)}], ignore_index=True)"


def used_functions(layout: DataLayout) -> list[str]:
    """Return the names of kagglekit's functions that the body calls."""
    names = {reader(layout.labels)}
    if layout.test and layout.test.listed and _needs_own_test_rows(layout):
        names.add(_list_reader(layout.test.listed))
    elif _needs_own_test_rows(layout):
        names.add("unlabelled_members" if layout.test and layout.test.ids else "unlabelled_images")
    return sorted(names)


def reader(labels: Labels) -> str:
    """Return the name of kagglekit's function that reads these labels."""
    if isinstance(labels, ClassFolders):
        return "labels_from_folders"
    if isinstance(labels, Table):
        return _table_reader(labels.is_json, labels.long)
    return "labels_from_containers" if isinstance(labels, Containers) else "labels_from_names"


def _list_reader(listed: TestList) -> str:
    return _table_reader(listed.is_json, listed.long)


def _table_reader(is_json: bool, long: LongForm | None) -> str:
    return "labels_from_long_csv" if long else "labels_from_json" if is_json else "labels_from_csv"


def _needs_own_test_rows(layout: DataLayout) -> bool:
    """Return whether the test images need their own call: the labels' function cannot take their folder or suffix."""
    test = layout.test
    if test is None or _lists_tests(layout.labels):
        return False
    if isinstance(layout.labels, Containers):
        return not test.ids or test.ids.column != layout.labels.id_column
    if test.listed or test.more or test.ids:
        return True
    if isinstance(layout.labels, Table):
        return test.suffix != layout.labels.suffix or bool(layout.labels.more_images)
    return not isinstance(layout.labels, ClassFolders) and (test.shared or test.suffix == "")


def _lists_tests(labels: Labels) -> bool:
    """Return whether the labels' file says which images are test images."""
    return isinstance(labels, Table) and labels.lists_tests


def _spelling_lines(layout: DataLayout) -> Iterator[str]:
    if not (layout.sample and layout.sample.spelling):
        return
    yield "# the sample submission spells these classes differently"
    yield "spelling = {"
    yield from (f"    {literal(ours)}: {literal(theirs)}," for ours, theirs in _spelling(layout.sample, layout.labels))
    yield "}"
    yield 'table["label"] = table["label"].replace(spelling)'


def _group_lines(labels: Labels) -> Iterator[str]:
    """Yield the line that takes the groups from the ids."""
    if isinstance(labels, Table) and labels.group and labels.group.pattern:
        yield "# both sides of one person stay together in train or in valid"
        pattern = labels.group.pattern.removesuffix("$")
        yield f'table["group"] = table["id"].str.extract(r"(?i){pattern}(?:\\.|$)", expand=False)'


def _cut_off_lines(broken: Sequence[str]) -> Iterator[str]:
    """Yield the lines that leave out the labelled images that cannot be decoded, if they are few."""
    if not broken or len(broken) > MOST_NAMED:
        return
    yield "cut_off = ["
    yield from (f"    {_path(path)}," for path in broken)
    yield "]  # these cannot be decoded"
    yield 'table = table[~table["path"].isin(map(str, cut_off))]'


def _spelling(sample: Sample, labels: Labels) -> Iterator[tuple[str, str]]:
    """Yield our name and the sample's name of each class to rename.

    Where the CSV holds class names, yield the classes of unknown spelling too.
    """
    for name in labels.classes:
        if name in sample.spelling or sample.form == "class names":
            yield name, sample.spelling.get(name, name)


def _valid_lines(labels: Labels) -> Iterator[tuple[str, list[str]]]:
    """Yield the variable and the lines of the valid images, if another file lists them."""
    if isinstance(labels, Table) and labels.valid:
        missing = ["ignore_missing=True"] if labels.valid.is_partial else []
        call = _call(reader(labels), [*_table_arguments(labels, labels.valid), 'split="valid"', *missing])
        yield "valid", [f"valid = {call}"]


def _test_lines(layout: DataLayout) -> Iterator[tuple[str, list[str]]]:
    """Yield the variable and the lines of the test images, if they need their own call."""
    test = layout.test
    if test is None or not _needs_own_test_rows(layout):
        return
    if test.listed:
        call = _call(_list_reader(test.listed), _list_arguments(test, test.listed))
        yield "test", [f"test = {call}"]
        return
    if test.ids:
        call = _call("unlabelled_members", [_paths(test.folders), *_id_arguments(test.ids)])
        yield "test", [f"test = {call}"]
        return
    lines = [f"test = unlabelled_images({_paths(test.folders)}, suffix={_suffix(test)})"]
    if test.shared:
        lines.append('test = test[~test["path"].isin(table["path"])]  # the folder holds the train images too')
    yield "test", lines


def _list_arguments(test: TestImages, listed: TestList) -> Iterator[str]:
    yield from (_path(listed.file), f"images={_paths(test.folders)}", f"suffix={literal(test.suffix or '')}")
    yield from _long_arguments(listed.long) if listed.long else (f"id_column={literal(listed.id_column)}",)
    if listed.file_column:
        yield f"file_column={literal(listed.file_column)}"
    if listed.row_column:
        yield f"row_column={literal(listed.row_column)}"
    yield 'split="test"'


def _long_arguments(long: LongForm) -> Iterator[str]:
    """Yield the arguments that take images and targets apart."""
    yield f"id_column={literal(long.id_column)}"
    if long.target_column:
        yield f"target_column={literal(long.target_column)}"
    elif long.separator != "_":
        yield f"separator={literal(long.separator)}"
    yield f"targets={TARGETS}"


def _arguments(layout: DataLayout) -> Iterator[str]:
    """Yield the arguments of the labels' function."""
    labels, test = layout.labels, None if _needs_own_test_rows(layout) else layout.test
    if isinstance(labels, ClassFolders):
        yield _path(labels.train)
        if labels.valid:
            yield f"valid={_path(labels.valid)}"
        if labels.level > 1:
            yield f"level={labels.level}"
    elif isinstance(labels, Table):
        yield from _table_arguments(labels, ValidFile(labels.csv, labels.folders, labels.suffix))
    elif isinstance(labels, Containers):
        yield from _container_arguments(labels, test)
        return
    else:
        yield from (_path(labels.images), f'r"{labels.pattern}"')
    if test and not _lists_tests(labels):
        yield f"test={_path(test.folder)}"
        if isinstance(labels, ClassFolders) and test.suffix is not None:
            yield f"suffix={_suffix(test)}"
    if isinstance(labels, Table) and labels.long:
        yield from _ignored_of_long(labels, test)
    elif isinstance(labels, Table):
        if labels.split_column:
            yield f"split_column={literal(labels.split_column)}"
        elif labels.blanks or ((labels.unlabelled or labels.holds_tests) and not (test and test.shared)):
            yield "ignore_unlabelled=True"
        if labels.conflicts:
            yield "ignore_conflicts=True"
        if labels.repeats:
            yield "ignore_duplicates=True"
        if labels.missing:
            yield "ignore_missing=True"


def _ignored_of_long(labels: Table, test: TestImages | None) -> Iterator[str]:
    if (labels.blanks or labels.unlabelled or labels.holds_tests) and not (test and test.shared):
        yield "ignore_unlabelled=True"
    if labels.missing:
        yield "ignore_missing=True"


def _table_arguments(labels: Table, part: ValidFile) -> Iterator[str]:
    yield from (_path(part.file), f"images={_paths(part.folders)}", f"suffix={literal(part.suffix)}")
    if labels.long:
        yield from _long_arguments(labels.long)
        yield f"value_column={literal(labels.long.value_column)}"
    else:
        yield f"id_column={literal(labels.id_column)}"
        yield from _label_arguments(labels)
    if labels.row:
        yield f"row_column={literal(labels.row[0]) if len(labels.row) == 1 else list_literal(labels.row)}"
    if labels.group and not labels.group.pattern:
        yield f"group_column={literal(labels.group.column)}"


def _label_arguments(labels: Table) -> Iterator[str]:
    """Yield the arguments that name the columns of labels or targets, and how sets of labels are written."""
    if labels.one_hot:
        yield f"label_columns={list_literal(labels.one_hot)}"
    elif labels.targets:
        yield f"target_columns={TARGETS}"
    else:
        yield f"label_column={literal(labels.label_column)}"
    if labels.target.separator:
        yield f"separator={literal(labels.target.separator)}"
    if labels.target.several:
        yield "several=True"


def _container_arguments(labels: Containers, test: TestImages | None) -> Iterator[str]:
    yield from (_container_paths(labels, labels.train), f"label_column={literal(labels.label_column)}")
    if labels.id_column:
        yield f"id_column={literal(labels.id_column)}"
    if labels.group:
        yield f"group_column={literal(labels.group.column)}"
    if labels.valid:
        yield f"valid={_container_paths(labels, labels.valid)}"
    if test and test.ids and test.ids.first is None:
        yield f"test={_container_paths(labels, test.folders)}"
    elif test and test.ids:
        yield f"test={_paths(test.folders)}"
        yield f"first_test_id={test.ids.first}"


def _container_paths(labels: Containers, files: Sequence[str]) -> str:
    if tuple(files) not in labels.globs:
        return _paths(files)
    folder, pattern = labels.globs[tuple(files)]
    return f"sorted(({_path(folder)}).glob({literal(pattern)}))"


def _id_arguments(ids: MemberIds) -> Iterator[str]:
    if ids.column:
        yield f"id_column={literal(ids.column)}"
    if ids.first is not None:
        yield f"first_id={ids.first}"


def _call(function: str, arguments: Iterable[str]) -> str:
    """Return a call on one line, or with one line for each argument."""
    arguments = list(arguments)
    short = f"{function}({', '.join(arguments)})"
    if len(short) <= 100:
        return short
    return f"{function}(" + "".join(f"\n    {argument}," for argument in arguments) + "\n)"


def _paths(folders: Sequence[str]) -> str:
    return _path(folders[0]) if len(folders) == 1 else f"[{', '.join(map(_path, folders))}]"


def _path(relative: str) -> str:
    return f"data / {literal(relative)}" if relative else "data"


def _suffix(test: TestImages) -> str:
    return "None" if test.suffix is None else literal(test.suffix)
