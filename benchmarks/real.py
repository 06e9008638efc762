"""Real images in the folders of the drawn ones (`pictures.py`), so that all contenders read the same files.

The labels come from the competition's plugin. As with the drawn ones, two thirds are for train, two fifteenths for
valid, a fifth for test, each class in proportion. The test images are the competition's own if their labels are
known, else some of the labelled ones. The files are hard links, or copies where links are impossible.
"""

from __future__ import annotations

import argparse
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pandas as pd
from timing import fresh_cache

from kagglekit.data.splits import limit_images, split_off
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

IMAGES, VALID, TEST = 480, 2 / 15, 1 / 5
SEED = 0


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose real images instead of drawn ones."""
    parser.add_argument("--data", metavar="COMPETITION=DIR", help="real images: pets=DIR; else drawn ones")
    parser.add_argument("--images", type=int, default=IMAGES, help="how many of them, in proportion")


def linked(work: Path, asked: str, n: int) -> Path:
    """Link `n` images of ``COMPETITION=DIR``, unless they are there; return their folder."""
    competition, _, data = asked.partition("=")
    if not data:
        raise SystemExit(f"--data {asked}: write COMPETITION=DIR")
    source = Path(data).absolute()
    key = sha256(f"{source} {n}".encode()).hexdigest()[:8]
    place = work.absolute() / "pictures" / f"{Path(competition).stem}-{n}-{key}"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with fresh_cache(work):  # archives are unpacked there
            link(drawn_by_class(Hooks(load(competition)), source, n), place)
        (place / "complete").touch()
    return place


def drawn_by_class(hooks: Hooks, data: Path, n: int) -> pd.DataFrame:
    """Return the table of the images to use."""
    table, _ = check_table(hooks.labels(data), data)
    table = table[table["label"].notna()]
    own_test = (table["split"] == "test") & hooks.competition().known_test_labels
    test, labelled = (table[rows].assign(split="train") for rows in (own_test, table["split"] != "test"))
    if len(test):
        n_test = round(TEST * n)
        test = split_off(test, "test", n_test / len(test), SEED) if n_test < len(test) else test.assign(split="test")
        table = pd.concat([limit_images(labelled, n - n_test, SEED), test[test["split"] == "test"]])
    else:
        table = split_off(limit_images(labelled, n, SEED), "test", TEST, SEED)
    return split_off(table.reset_index(drop=True), "valid", VALID / (1 - TEST), SEED)


def link(table: pd.DataFrame, place: Path) -> None:
    """Link a table's files as SPLIT/CLASS/NUMBER-NAME."""
    numbers = {label: number for number, label in enumerate(sorted(set(table["label"])))}
    for i, (path, label, split) in enumerate(table[["path", "label", "split"]].itertuples(index=False)):
        kind = f"{numbers[label]:03}-{re.sub(r'[^A-Za-z0-9]+', '-', label)}"
        target = place / split / kind / f"{i:05}-{Path(path).name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(path)
        except OSError:  # another file system, or no permission to link
            shutil.copyfile(path, target)


def image_files(place: Path) -> tuple[Path, ...]:
    """List a set's files."""
    return tuple(sorted(file for file in place.glob("*/*/*") if file.is_file()))


def classes(place: Path) -> list[str]:
    """List a set's classes, each with training images."""
    return sorted(path.name for path in place.glob("train/*"))
