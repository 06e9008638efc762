"""Describe a data folder that no reading explains."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kagglekit.authoring.detect.asked import Asked
from kagglekit.authoring.detect.beside import if_a_class, parts_beside
from kagglekit.authoring.detect.named_images import Images
from kagglekit.authoring.detect.tables.table import Refused, Tables
from kagglekit.data.listing import folders_below, is_hidden, suffix_of
from kagglekit.data.listing import stem_of as without_suffix
from kagglekit.system.errors import UserError, listing

SUPPORTED = (
    "class folders (train/CLASS/1.jpg); a CSV or JSON file with a column of image names, and one of classes, of sets "
    "of labels or of numbers, or one for each label or number; file names with the class (birch_12.jpg)"
)


class Unexplained(UserError):
    """No reading of a data folder explains its images and its sample submission.

    Args:
        what: What is missing.
        facts: What is in the folder, as sentences.
        helper: The function of kagglekit that comes nearest to the labels; empty if the folder has no files to read.
        hint: What to do; empty to list what is supported.
    """

    def __init__(self, what: str, facts: Sequence[str], helper: str = "labels_from_csv", hint: str = "") -> None:
        super().__init__("; ".join([what, *facts]), hint or f"supported are {SUPPORTED}")
        self.facts = (what, *facts)
        self.helper = helper


def no_labels(data: Path, tables: Tables, unread: Sequence[str], asked: Asked | None, helpers: str) -> Unexplained:
    """Return the error that no labels were found that fit the sample submission."""
    facts = [content_of(data), *unread, *map(reason_of, tables.refused)]
    wanted = [f"{asked.file.name} asks for {listing(asked.columns)}"] if asked else []
    known = next((name for name in ("labels_from_list", "labels_from_mat") if name in helpers), _nearest(tables))
    return Unexplained(
        f"no labels detected in {data}{helpers}", [*facts, *wanted], known, parts_beside(data) or if_a_class(data)
    )


def refused_task(data: Path, refused: Refused, asked: Asked | None) -> Unexplained:
    """Return the error that the sample submission asks for something else than classes, labels or numbers of images."""
    facts = [content_of(data)] + ([f"{asked.file.name} asks for {listing(asked.columns)}"] if asked else [])
    what = f"{reason_of(refused)}; supported are classes, labels and numbers of whole images"
    return Unexplained(what, facts, "labels_from_json" if refused.file.lower().endswith(".json") else "labels_from_csv")


def no_tests(data: Path, asked: Asked, images: Images) -> Unexplained:
    """Return the error that the ids of the sample submission mean no images."""
    ids = asked.ids
    what = f"the ids in {asked.file.name} ({listing(ids, 2)}) are names of no images in {data}"
    return Unexplained(what, [*_ids_in_parts(ids, images), content_of(data)], "unlabelled_images")


def reason_of(refused: Refused) -> str:
    """Return why a table is not used, as a sentence."""
    return f"{refused.file} {refused.why.what}"


def content_of(data: Path) -> str:
    """Return a sentence that counts a folder's files by suffix and folder."""
    counts: Counter[tuple[str, str]] = Counter()
    for place in folders_below(data):
        folder = "" if place == data else f"{place.relative_to(data).parts[0]}/"
        files = (entry for entry in place.iterdir() if entry.is_file() and not is_hidden(entry.name))
        counts.update((folder, suffix_of(entry.name).lower() or "no suffix") for entry in files)
    said = [f"{n:,} {suffix} in {folder or 'it'}" for (folder, suffix), n in counts.most_common()]
    return f"the folder contains: {listing(said, 8) or 'nothing'}"


def _ids_in_parts(ids: Sequence[str], images: Images) -> list[str]:
    """Explain ids that consist of an image's name and something else, or that fit the beginning of file names."""
    stems = {without_suffix(path.rpartition("/")[2]) for path in images.paths}
    whole = [next((stem for stem in _beginnings(each) if stem in stems), "") for each in ids[:1000]]
    if ids and sum(map(bool, whole)) > len(whole) / 2:
        return [f"each begins with an image's name ({whole[0] or ids[0]}): several rows for one image"]
    parts = Counter(beginning for stem in stems for beginning in _beginnings(stem))
    several = [parts[each] for each in ids[:1000] if each in parts]
    if several and 2 * len(several) > len(ids[:1000]):
        return [f"each is the beginning of {max(several)} file names: one image in several files"]
    return []


def _beginnings(name: str) -> list[str]:
    """Return the parts of a name that end before a separator, the longest first."""
    ends = [match.start() for match in re.finditer(r"[_.\- ]", name)]
    return [name[:end] for end in reversed(ends) if end]


def _nearest(tables: Tables) -> str:
    json = any(each.file.lower().endswith(".json") for each in tables.refused)
    return "labels_from_json" if json else "labels_from_csv"
