"""A small dog-breed to download from the server that plays Kaggle."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kaggle_contest import zipped
from kaggle_server import KaggleServer
from layouts import write_dog_breed

SLUG = "dog-breed-identification"


@cache
def dog_breed() -> bytes:
    """Return its archive."""
    with TemporaryDirectory() as folder:
        write_dog_breed(Path(folder))
        return zipped(Path(folder))


def offer_dog_breed(server: KaggleServer) -> None:
    """Add this competition to a server."""
    server.add_competition(SLUG, dog_breed(), title="Dog Breed Identification")


def left(home: Path) -> list[str]:
    """Return the names of what a download leaves in the data folder and beside it, except locks."""
    return sorted(path.name for path in (home / "data").glob("*") if not path.name.endswith(".lock"))


def is_complete(home: Path) -> bool:
    """Whether the data folder is complete, with nothing beside it."""
    data = home / "data" / "dog-breed"
    n_images = len(list(data.glob("*/*.jpg")))
    return n_images == 42 and (data / "labels.csv").is_file() and left(home) == ["dog-breed"]
