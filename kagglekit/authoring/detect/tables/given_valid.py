"""Find valid images that lie in a folder of their own, although one table labels them and the train images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit.authoring.detect.named_images import MOST_FOLDERS, Named
from kagglekit.authoring.detect.tables.table import ValidFile
from kagglekit.data.part_names import VALID, is_named

if TYPE_CHECKING:
    import pandas as pd


def given_valid(
    file: str, named: Named, paths: pd.Series[str], labels: pd.Series[str]
) -> tuple[tuple[str, ...], ValidFile | None]:
    """Find the valid images among those that one table labels, by the folders that they lie in.

    Args:
        file: The table's path.
        named: The images that it names.
        paths: The labelled ones.
        labels: Their classes.

    Returns:
        The folders of the train images, and the part of the table whose images lie in a folder called valid.
    """
    roots = paths.map(_valid_root)
    held = roots != ""
    others = tuple(sorted({_top(path, named.folders) for path in paths[~held]}))
    whole = set(labels[held]) <= set(labels[~held]) and not set(others) & set(roots)
    if not held.any() or not whole or len(others) > MOST_FOLDERS or "" in others:
        return named.folders, None
    return others, ValidFile(file, tuple(sorted(set(roots[held]))), named.suffix, is_partial=True)


def _valid_root(path: str) -> str:
    """Return the first folder called valid on the way to an image; empty if there is none."""
    parts = path.split("/")[:-1]
    return next(("/".join(parts[: i + 1]) for i, part in enumerate(parts) if is_named(part, VALID)), "")


def _top(path: str, folders: Sequence[str]) -> str:
    """Return the folder right below one of `folders` that holds an image, or that one of several itself."""
    if len(folders) > 1:
        return next(folder for folder in folders if path.startswith(f"{folder}/"))
    rest = path.removeprefix(f"{folders[0]}/") if folders[0] else path
    first, mark, _ = rest.partition("/")
    return (f"{folders[0]}/{first}" if folders[0] else first) if mark else folders[0]
