"""Dog-breed as it is downloaded from the server that plays Kaggle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kaggle_contest import zipped
from kaggle_server import KaggleServer
from layouts import write_dog_breed

SLUG = "dog-breed-identification"


@cache
def dog_breed() -> bytes:
    """Return the archive that Kaggle has of it."""
    with TemporaryDirectory() as folder:
        write_dog_breed(Path(folder))
        return zipped(Path(folder))


@contextmanager
def serving() -> Iterator[KaggleServer]:
    """Play Kaggle with this competition."""
    with KaggleServer() as server:
        server.add_competition(SLUG, dog_breed(), title="Dog Breed Identification")
        yield server


def left(home: Path) -> list[str]:
    """Name what a download has left in the data folder and beside it, locks aside."""
    return sorted(path.name for path in (home / "data").glob("*") if not path.name.endswith(".lock"))


def is_complete(home: Path) -> bool:
    data = home / "data" / "dog-breed"
    n_images = len(list(data.glob("*/*.jpg")))
    return n_images == 42 and (data / "labels.csv").is_file() and left(home) == ["dog-breed"]
