"""The sections of the pictures that a run left: augmented training images, and where its networks look."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from kagglekit.report.sections import SHOWN, Card, Cards, Drawings, Section
from kagglekit.report.seen.left import left_pictures, parts_of

if TYPE_CHECKING:
    from kagglekit.report.predicted import Predicted
    from kagglekit.report.seen.left import Left
    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.runs.folder import Run
    from kagglekit.runs.info import RunInfo

WHERE = "Where it looks"
OF_ONE = "The valid images with the highest loss, and where {} looks for the class that it predicts."
OF_FOLDS = (
    "Valid images with the highest loss out of fold, and where the network of the fold that held each of them out "
    "looks for the class that it predicts. It was not trained on them. Each fold has drawn the worst images of its own."
)
OF_RUNS = (
    "Valid images with the highest loss of the joint predictions, and where networks of the runs look, each for the "
    "class that it predicts. Each training has drawn the worst images of its own."
)
NONE = (
    "No map: none of the joined trainings left one in its folder. Their networks may have no map of features, their "
    "folders may have moved, or an older version trained them."
)
MORE = (
    "Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) on the network's last map of features. Red places raise "
    "the output of the class that this one network predicts, which may differ from the ensemble's. A map shows "
    "what the output depends on, at the resolution of the features: not why."
)


def picture_sections(run: Run, info: RunInfo, pictures: Thumbnails, seen: Predicted | None) -> list[Section]:
    """Return the sections; of a run of several trainings, with pictures of all of them.

    Args:
        run: The run.
        info: Its run.json.
        pictures: Thumbnails of its images.
        seen: Its valid predictions, whose losses choose the images of several trainings; None if there are none.
    """
    left, joined = list(left_pictures(run, info)), parts_of(run, info)
    try:
        if not joined:
            found = [_attention(one, pictures) for one in left[:1] if one.attention]
        else:
            found = [_joint_attention(left, pictures, seen, OF_RUNS if info.blend_of else OF_FOLDS)]
        return [*found, *_augmented(left)]
    except (OSError, KeyError, TypeError):  # of damaged facts; the page works without them
        return []


def _attention(left: Left, pictures: Thumbnails) -> Section:
    cards = _cards([(left, each) for each in left.attention], pictures)
    return Section(WHERE, OF_ONE.format(left.attention[0]["member"]), [Cards(cards)], MORE)


def _joint_attention(left: Sequence[Left], pictures: Thumbnails, seen: Predicted | None, text: str) -> Section:
    """Return the maps of several trainings on the images with the highest loss of the joint predictions."""
    losses = dict(zip(seen.ids, seen.loss.tolist(), strict=True)) if seen else {}
    maps = [(one, each) for one in left for each in one.attention if not seen or str(each["id"]) in losses]
    maps.sort(key=lambda pair: -losses.get(str(pair[1]["id"]), 0.0))
    if not maps:
        return Section(WHERE, NONE, [])
    return Section(WHERE, text, [Cards(_cards(maps[:SHOWN], pictures, losses))], MORE)


def _cards(
    maps: Sequence[tuple[Left, dict[str, Any]]], pictures: Thumbnails, losses: dict[str, float] | None = None
) -> list[Card]:
    ids = [str(each["id"]) for _, each in maps]
    cards = []
    for (left, each), image, plain in zip(maps, ids, pictures.pictures(ids), strict=True):
        lines = [left.label] if left.label else []
        lines += [f"explains: {each['explains']}"]
        lines += [f"loss {losses[image]:.2f}"] if losses and image in losses else []
        heated = _uri(left.folder, each)
        cards.append(Card(image, heated, [("", line) for line in lines], pictures.link(image), plain))
    return cards


def _augmented(left: Sequence[Left]) -> list[Section]:
    """Return the training images of one training; those of other folds, or networks of a zoo, are augmented alike."""
    one = next((each for each in left if each.augmented), None)
    if one is None:
        return []
    drawn = []
    for each in one.augmented:
        image = f'<img class="strip" src="{_uri(one.folder, each)}" alt="">'
        epochs = f"epochs 1 to {each['epochs']}" if each["epochs"] > 1 else "epoch 1"
        caption = f"{each['stage']}, {each['size']} px: plain, then {epochs}"
        drawn.append((caption, Markup(image)))
    text = "Training images: plain in the first row, below as training saw them. Mixed images are not shown."
    if one.label:
        text += f" These are of {one.label}; the report of each run has its own."
    return [Section("Augmented images", text, [Drawings(drawn)])]


def _uri(folder: Path, fact: dict[str, Any]) -> str:
    content = (folder / Path(fact["file"]).name).read_bytes()
    return str(escape(f"data:image/webp;base64,{base64.b64encode(content).decode()}"))
