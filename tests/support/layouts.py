"""Writes tiny competitions in the layouts of the real downloads: what a class is can be seen in its pictures."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import layouts
import numpy as np

BREEDS = ("affenpinscher", "beagle", "black-and-tan_coonhound", "german_short-haired_pointer", "pug", "whippet")
PETS = ("Abyssinian", "Russian_Blue", "great_pyrenees", "pug")
FLOWERS = ("pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea")
SHADE = 26  # greatest difference between two pictures of one class, of 255


def write_dog_breed(folder: Path, classes: int = 4, per_class: int = 8, test: int = 10) -> dict[str, str]:
    """Kaggle's files: labels.csv, train, test, sample_submission.csv; return the test labels, which are not in them."""
    breeds = BREEDS[:classes]
    rows = [(f"{number:08x}", breeds[number % classes]) for number in range(classes * per_class + test)]
    labelled, unlabelled = rows[:-test], rows[-test:]
    for part, images in (("train", labelled), ("test", unlabelled)):
        for image, breed in images:
            write_picture(folder / part / f"{image}.jpg", breeds.index(breed), image)
    write_csv(folder / "labels.csv", [("id", "breed"), *labelled])
    even = [str(1 / classes)] * classes
    write_csv(folder / "sample_submission.csv", [("id", *breeds), *((image, *even) for image, _ in unlabelled)])
    return dict(unlabelled)


def write_dogs_vs_cats(folder: Path, per_class: int = 12, test: int = 12, zipped: bool = False) -> dict[str, str]:
    """Kaggle's files: train/cat.0.jpg, test/1.jpg, sample_submission.csv; the two folders may be zipped."""
    for kind, name in enumerate(("cat", "dog")):
        for number in range(per_class):
            write_picture(folder / "train" / f"{name}.{number}.jpg", kind, f"{name} {number}")
    hidden = _test_pictures(folder / "test", test)
    if zipped:
        _zip_folder(folder / "train")
        _zip_folder(folder / "test")
    return hidden


def write_dogs_vs_cats_folders(
    folder: Path, per_class: int = 12, test: int = 12, where: str = "test1"
) -> dict[str, str]:
    """fast.ai's layout: train/cats, train/dogs, valid likewise, test1."""
    for part, share in (("train", per_class - 3), ("valid", 3)):
        for kind, name in enumerate(("cat", "dog")):
            for number in range(share):
                file = folder / part / f"{name}s" / f"{name}.{number}.jpg"
                write_picture(file, kind, f"{part} {name} {number}")
    return _test_pictures(folder / where, test)


def write_pets(folder: Path, classes: int = 4, per_class: int = 12, lists: bool = True) -> None:
    """The official files: images, and the lists in annotations; every other image of a breed is for test."""
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for kind, breed in enumerate(PETS[:classes]):
        for number in range(1, per_class + 1):
            write_picture(folder / "images" / f"{breed}_{number}.jpg", kind, f"{breed} {number}")
            species = 1 if breed[0].isupper() else 2  # cats' names begin with a capital letter
            line = f"{breed}_{number} {kind + 1} {species} {kind + 1}"
            lines["test" if number % 2 else "trainval"].append(line)
    (folder / "images" / f"{PETS[0]}_1.mat").write_bytes(b"a stray file, as the real download has some")
    if lists:
        (folder / "annotations").mkdir()
        for name, content in lines.items():
            (folder / "annotations" / f"{name}.txt").write_text("\n".join(content) + "\n")


def write_flowers_102(folder: Path, classes: int = 4, per_class: int = 14, names: bool = True) -> None:
    """The official files: jpg, imagelabels.mat, setid.mat; a quarter each for trnid and valid; cat_to_name.json."""
    from scipy.io import savemat

    numbers = np.arange(classes * per_class)
    kinds = numbers // per_class
    for number, kind in zip(numbers, kinds, strict=True):
        write_picture(folder / "jpg" / f"image_{number + 1:05d}.jpg", int(kind), f"flower {number}")
    parts = {"trnid": numbers % 4 == 0, "valid": numbers % 4 == 1, "tstid": numbers % 4 > 1}
    savemat(folder / "imagelabels.mat", {"labels": (kinds + 1).astype(np.uint8)[None]})
    savemat(folder / "setid.mat", {name: (numbers[part] + 1).astype(np.uint16)[None] for name, part in parts.items()})
    if names:
        by_number = {str(kind + 1): f" {FLOWERS[kind]}\n" for kind in range(classes)}
        (folder / "cat_to_name.json").write_text(json.dumps(by_number))


def write_picture(path: Path, kind: int, name: str, width: int = 60, height: int = 48) -> None:
    """Draw one picture of a class: stripes of its direction on its colour, with shade and noise of its own."""
    random = np.random.default_rng([kind, *name.encode()])
    y, x = np.mgrid[:height, :width]
    angle = np.pi * kind / 6 + random.uniform(-0.1, 0.1)
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) / 3 + random.uniform(0, 6))[..., None]
    colour = 128 + 70 * np.cos(kind * 2.4 + np.array([0, 2, 4])) + random.uniform(-SHADE, SHADE)
    pixels = colour + 30 * stripes + random.normal(0, 12, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels.clip(0, 255).astype(np.uint8))


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def _test_pictures(folder: Path, n: int) -> dict[str, str]:
    hidden = {str(number): ("cat", "dog")[number % 2] for number in range(1, n + 1)}
    for image, name in hidden.items():
        write_picture(folder / f"{image}.jpg", ("cat", "dog").index(name), f"test {image}")
    write_csv(folder.parent / "sample_submission.csv", [("id", "label"), *((image, "0.5") for image in hidden)])
    return hidden


def _zip_folder(folder: Path) -> None:
    """Put a folder into a zip file beside it, in its place."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
            file.unlink()
    folder.rmdir()


WRITERS: dict[str, Callable[[Path], object]] = {
    "dog-breed": layouts.write_dog_breed,
    "dogs-vs-cats": layouts.write_dogs_vs_cats,
    "pets": layouts.write_pets,
    "flowers-102": layouts.write_flowers_102,
}


NAMES = tuple(WRITERS)
