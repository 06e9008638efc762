"""Read label files in JSON as tables of text: COCO, lists of records, and mappings from names to labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.data.json_file import read_json
from kagglekit.data.listing import existing_file
from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    import pandas as pd

_IMAGE = ("image_id", "imageId")  # of an annotation
KINDS = "COCO (images, annotations, categories), a list of records, or a mapping from names to labels"


def read_records(file: Path) -> pd.DataFrame:
    """Read a JSON file of labels as a table.

    - COCO: a row for each annotation with the fields of its image, its annotation and its category (``category.name``),
      and one for each image without annotation. Fields of annotations whose name an image has are ``annotation.NAME``.
    - A list of records: a row each.
    - A mapping from names to records or to labels: a row each; the columns ``name`` and ``label``.

    Args:
        file: The file, in UTF-8.

    Returns:
        All fields as text, missing ones empty. A list of names is joined by blanks, or by ``|`` if a name has
        blanks; without mappings and other lists.

    Raises:
        UserError: There is no such file, it is damaged, or it has another form.
    """
    content = read_json(existing_file(file), "download it again, or save it as JSON in UTF-8")
    records = list(_records(content))
    if not records:
        raise UserError(f"{file} is not a table of images: {_form(content)}", f"supported are {KINDS}")
    return _as_text(records)


def _records(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, list):
        yield from _mappings(content)
    elif isinstance(content, dict) and isinstance(content.get("images"), list):
        yield from _coco(content)
    elif isinstance(content, dict) and all(isinstance(each, dict) for each in content.values()):
        yield from ({"name": name, **record} for name, record in content.items())
    elif isinstance(content, dict) and not any(isinstance(each, (dict, list)) for each in content.values()):
        yield from ({"name": name, "label": label} for name, label in content.items())


def _mappings(content: object) -> list[Mapping[str, Any]]:
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _coco(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    images = _mappings(content["images"])
    key = _key(images, ("id", *_IMAGE))
    categories = _mappings(content.get("categories"))
    category_key = _key(categories, ("id", "category_id"))
    named = {each.get(category_key): {f"category.{k}": v for k, v in each.items()} for each in categories}
    notes: dict[Any, list[Mapping[str, Any]]] = {}
    for note in _mappings(content.get("annotations")):
        notes.setdefault(next((note[name] for name in _IMAGE if name in note), None), []).append(note)
    for image in images:
        for note in notes.get(image.get(key), [{}]):
            yield {**image, **_renamed(note, image), **named.get(note.get("category_id"), {})}


def _renamed(note: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in note.items() if name not in _IMAGE}
    return {f"annotation.{name}" if name in image else name: value for name, value in fields.items()}


def _key(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    return next((name for name in names if records and name in records[0]), names[0])


def _as_text(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    nested = {name for record in records for name, value in record.items() if _is_nested(value)}
    names = [name for name in dict.fromkeys(name for record in records for name in record) if name not in nested]
    columns = {name: [_text(record.get(name)) for record in records] for name in names}
    return pd.DataFrame(columns, columns=names, dtype=object)


def _is_nested(value: object) -> bool:
    """Return whether a value is no cell of a table."""
    if isinstance(value, list):
        return not all(isinstance(each, str) for each in value)
    return isinstance(value, dict)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        names = [each.strip() for each in value]
        return ("|" if any(" " in name for name in names) else " ").join(names)
    return json.dumps(value) if isinstance(value, (bool, float)) else str(value)


def _form(content: object) -> str:
    if isinstance(content, dict):
        return f"an object with {listing(list(content), 4) or 'nothing'}"
    return (
        f"a list of {len(content):,} entries, none of which is a record" if isinstance(content, list) else "one value"
    )
