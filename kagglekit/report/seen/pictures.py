"""The sections of the pictures that a run left: augmented training images, and where a network looks."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from kagglekit.report.sections import Card, Cards, Drawings, Section

if TYPE_CHECKING:
    from pathlib import Path

    from kagglekit.report.thumbnails import Thumbnails
    from kagglekit.runs.folder import Run


def picture_sections(run: Run, pictures: Thumbnails) -> list[Section]:
    """Return the sections, of folds those of the first; none for what was not left, or whose files are damaged."""
    first = run.fold(1)
    run = run if run.pictures.exists() or not first.pictures.exists() else first
    try:
        facts = json.loads((run.pictures / "pictures.json").read_text(encoding="utf-8"))
        return [*_attention(run, facts["attention"], pictures), *_augmented(run, facts["augmented"])]
    except (OSError, ValueError, KeyError, TypeError):  # the page works without them
        return []


def _attention(run: Run, facts: list[dict[str, Any]], pictures: Thumbnails) -> list[Section]:
    if not facts:
        return []
    ids = [str(each["id"]) for each in facts]
    made = []
    for each, image, plain in zip(facts, ids, pictures.pictures(ids), strict=True):
        heated = _uri(run.pictures / each["file"])
        made.append(Card(image, heated, [("", f"explains: {each['explains']}")], pictures.link(image), plain))
    member = facts[0]["member"]
    text = f"The valid images with the highest loss, and where {member} looks for the class that it predicts."
    more = (
        "Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) on the network's last map of features. Red places raise "
        "the output of the class that this one network predicts, which may differ from the ensemble's. A map shows "
        "what the output depends on, at the resolution of the features: not why."
    )
    return [Section("Where it looks", text, [Cards(made)], more)]


def _augmented(run: Run, facts: list[dict[str, Any]]) -> list[Section]:
    if not facts:
        return []
    drawn = []
    for each in facts:
        image = f'<img class="strip" src="{_uri(run.pictures / each["file"])}" alt="">'
        caption = f"{each['stage']}, {each['size']} px: plain, then epochs 1 to {each['epochs']}"
        drawn.append((caption, Markup(image)))
    text = "Training images: plain in the first row, below as training saw them. Mixed images are not shown."
    return [Section("Augmented images", text, [Drawings(drawn)])]


def _uri(file: Path) -> str:
    return str(escape(f"data:image/webp;base64,{base64.b64encode(file.read_bytes()).decode()}"))
