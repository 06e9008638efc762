"""Where the networks of folds, zoos and blends look: the pictures that their trainings left, by the joint loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from judged import CLASSES, judged
from PIL import Image

from kagglekit import Recipe, Run, SingleLabel, progressive_stages
from kagglekit.report.predicted import Predicted
from kagglekit.report.sections import Card, Cards, Section
from kagglekit.report.seen.pictures import picture_sections
from kagglekit.report.thumbnails import Thumbnails
from kagglekit.runs.info import Record

RECIPE = Recipe(arch="net", stages=progressive_stages((32,)))
KNOWN = {
    "competition": "insects",
    "plugin": "insects",
    "metric": "log_loss",
    "task": "single-label",
    "classes": CLASSES,
}
PICTURES = Thumbnails({}, lambda file, side: np.zeros((side, side, 3), np.uint8))


def seen() -> Predicted:
    """Images i0 to i7, of which i7, i1, i4 and i5 have the highest losses."""
    known = judged()
    return Predicted(known.ids, SingleLabel(CLASSES), known.truth, known.probabilities)


def sections(run: Run) -> list[Section]:
    return picture_sections(run, run.info(), PICTURES, seen())


def leave(run: Run, ids: Sequence[str], **facts: object) -> Run:
    """Write a run's folder, and maps of some images if there are any."""
    run.folder.mkdir(parents=True)
    run.write_recipe(RECIPE)
    Record.of(run.info_file).update(status="finished", **KNOWN, **facts)
    maps = [
        {"file": f"attention-{n}.webp", "id": each, "explains": "bee", "member": "all"} for n, each in enumerate(ids)
    ]
    strips = [{"file": "augmented-2.webp", "stage": "all", "size": 32, "images": 1, "epochs": 2}]
    if ids:
        run.pictures.mkdir()
        for each in maps + strips:
            Image.new("RGB", (8, 8)).save(run.pictures / str(each["file"]), "WEBP")
        (run.pictures / "pictures.json").write_text(json.dumps({"attention": maps, "augmented": strips}))
    return run


def cards(section: Section) -> list[Card]:
    (block,) = section.blocks
    assert isinstance(block, Cards)
    return list(block.cards)


def folds(folder: Path, *ids: Sequence[str]) -> Run:
    whole = leave(Run(folder), (), folds=range(1, len(ids) + 1))
    for number, each in enumerate(ids, 1):
        leave(whole.fold(number), each, fold=number)
    return whole


def test_of_folds_the_images_with_the_highest_loss_out_of_fold_come_first(tmp_path: Path) -> None:
    where, augmented = sections(folds(tmp_path / "a", ("i4", "i0"), ("i7", "i1")))
    shown = [(card.image, [text for _, text in card.lines]) for card in cards(where)]
    assert [image for image, _ in shown] == ["i7", "i1", "i4", "i0"]
    assert shown[1][1] == ["fold 2", "explains: bee", "loss 1.61"]
    assert all(card.picture.startswith("data:image/webp;base64,") for card in cards(where))
    assert "out of fold" in where.text
    assert "fold 1" in augmented.text


def test_of_a_blend_each_network_shows_its_own_map_of_an_image(tmp_path: Path) -> None:
    leave(Run(tmp_path / "one"), ("i1",))
    folds(tmp_path / "two", ("i1",), ("i7",))
    blend = leave(Run(tmp_path / "blend"), (), blend_of=["one", "two"])
    where, _ = sections(blend)
    assert [(card.image, card.lines[0][1]) for card in cards(where)] == [
        ("i7", "two, fold 2"),
        ("i1", "one"),
        ("i1", "two, fold 1"),
    ]


def test_without_maps_the_page_of_several_trainings_says_so(tmp_path: Path) -> None:
    blend = leave(Run(tmp_path / "blend"), (), blend_of=["blend", "moved"])  # a damaged one that blends itself
    (where,) = sections(blend)
    assert where.text.startswith("No map: none of the joined trainings left one")
    assert sections(leave(Run(tmp_path / "alone"), ())) == []


def test_what_is_missing_or_damaged_in_one_fold_costs_its_pictures_alone(tmp_path: Path) -> None:
    whole = folds(tmp_path / "a", ("i1", "i7"), ("i4",), ("i5",))
    (whole.fold(1).pictures / "attention-1.webp").unlink()
    (whole.fold(2).pictures / "pictures.json").write_text("{")
    where, _ = sections(whole)
    assert [card.image for card in cards(where)] == ["i1", "i5"]
