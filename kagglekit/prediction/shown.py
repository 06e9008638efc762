"""Predictions as a table that shows itself in a notebook: each image beside bars of its best classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_for
from kagglekit.prediction.answers import Answer, answers
from kagglekit.prediction.given import given_images
from kagglekit.prediction.new_images import Family, predict_paths
from kagglekit.report.thumbnails import SIDE, data_uri
from kagglekit.runs.folder import Run
from kagglekit.system.display.printable import printable

SHOWN = 24  # images; of more, the table is shown
_FIGURE = "display:inline-flex;gap:10px;margin:4px 12px 8px 0;vertical-align:top;align-items:flex-start"
_IMAGE = "width:128px;height:128px;object-fit:contain;background:rgba(128,128,128,.12)"
_BAR = "height:.75em;background:#2a78d6;border-radius:2px"
_TRACK = "width:90px;background:rgba(128,128,128,.2);border-radius:2px"
_CELL = "padding:0 8px 0 0;border:0;text-align:left;background:none"


@dataclass(frozen=True)
class Shown:
    """What a notebook shows beside the numbers.

    Attributes:
        names: (N) of the images.
        answers: (N) what is predicted for each.
        pictures: (N) small images as data URIs; empty for those that cannot be shown.
    """

    names: Sequence[str]
    answers: Sequence[Answer]
    pictures: Sequence[str]

    def html(self) -> str:
        """Return a figure for each image."""
        triples = zip(self.names, self.answers, self.pictures, strict=True)
        return "".join(_figure(*each) for each in triples)


class Predictions(pd.DataFrame):
    """A row for each image, a column for each class; what is derived from it is an ordinary table.

    Attributes:
        shown: What a notebook shows; None for an ordinary table.
    """

    _metadata: ClassVar[list[str]] = ["shown"]
    shown: Shown | None = None

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __reduce__(self) -> Any:
        """Pickle it as an ordinary table."""
        return pd.DataFrame, (pd.DataFrame(self),)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Return what is predicted for each image, as plain data: ``class``, ``probability``, ``probabilities``, ..."""
        return [answer.record for answer in self.shown.answers] if self.shown else []

    def _repr_html_(self) -> str:
        if self.shown is None or len(self) > SHOWN:
            return pd.DataFrame(self).to_html(max_rows=60)
        return self.shown.html()


def predict_given(run: Run, images: Any, device: torch.device, *, tta: bool, top: int) -> Predictions:
    """Predict what a caller gives, and return a table that shows itself.

    Args:
        run: A finished run.
        images: See `kagglekit.prediction.given.FORMS`.
        device: Where to compute.
        tta: Average in the augmented views.
        top: Classes to show for an image.

    Raises:
        UserError: See `given_images` and `predict_paths`.
    """
    family = Family.read(run)
    with given_images(images) as given:
        table = predict_paths(family, given.files, device, tta=tta)
        table = table.set_axis(pd.Index(given.names, dtype="str", name="id"))
        hooks, form = Hooks(load_for(family.own.info)), family.own.info.form

        def picture(file: Path) -> str:
            try:
                return data_uri(hooks.read_image(file, SIDE, form=form))
            except Exception:  # a plugin's reader may raise anything, and the numbers are there
                return ""

        pictures = [picture(file) for file in given.files] if len(given.files) <= SHOWN else [""] * len(given.files)
    return with_pictures(table, Shown(given.names, answers(family.own, hooks, table, top), pictures))


def with_pictures(table: pd.DataFrame, shown: Shown) -> Predictions:
    """Return a table of predictions that shows itself."""
    predictions = Predictions(table)
    object.__setattr__(predictions, "shown", shown)
    return predictions


def _figure(name: str, answer: Answer, picture: str) -> str:
    image = f'<img src="{picture}" alt="" style="{_IMAGE}">' if picture else ""
    rows = [_row(label, value) for label, value in answer.best] or [
        f'<tr><td style="{_CELL}">{escape(head)}</td><td style="{_CELL}">{escape(text)}</td></tr>'
        for head, text in answer.cells.items()
    ]
    tie = f'<div style="opacity:.75">{escape(answer.tie)}</div>' if answer.tie else ""
    title = f'<div style="font-weight:600;overflow-wrap:anywhere;max-width:280px">{escape(printable(name))}</div>'
    table = f'<table style="border:0;margin:2px 0">{"".join(rows)}</table>'
    return f'<div style="{_FIGURE}">{image}<div>{title}{table}{tie}</div></div>'


def _row(label: str, value: float) -> str:
    bar = f'<div style="{_TRACK}"><div style="{_BAR};width:{max(0.0, min(1.0, value)):.1%}"></div></div>'
    cells = (escape(printable(label)), bar, f"{value:.4f}")
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"
