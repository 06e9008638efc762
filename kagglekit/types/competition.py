"""Define the facts of a competition, and the names that a plugin provides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

RowRule = Literal["", "mean", "max", "noisy-or"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_HOST = re.compile(r"(?:[a-z]+\.)?kaggle\.com", re.IGNORECASE)


def parse_slug(text: str) -> str:
    """Return the name of a competition from its name or its address.

    Every page of the competition will do: ``https://www.kaggle.com/competitions/NAME/data``, ``kaggle.com/c/NAME``.

    Raises:
        ValueError: It is neither.
    """
    plain = text.strip()
    if _NAME.fullmatch(plain):
        return plain
    try:
        parts = urlsplit(plain if "://" in plain else f"https://{plain.lstrip('/')}")
    except ValueError:
        parts = urlsplit("")
    path = [part for part in parts.path.split("/") if part]
    if not _HOST.fullmatch(parts.hostname or "") and "://" not in plain:  # competitions/NAME, c/NAME
        path = [parts.netloc, *path]
    elif not _HOST.fullmatch(parts.hostname or ""):
        path = []
    if len(path) >= 2 and path[0].lower() in ("competitions", "c") and _NAME.fullmatch(path[1]):
        return path[1]
    raise ValueError(
        f"{text!r} is not the name or address of a competition on Kaggle: https://www.kaggle.com/competitions/NAME"
    )


class RemoteFile(BaseModel):
    """A file that anybody may download.

    Attributes:
        url: Its address.
        md5: Of the whole file, in hexadecimal; empty if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    md5: str = ""

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


class Competition(BaseModel):
    """The facts of one competition.

    Attributes:
        title: Its full name.
        slug: Its name in Kaggle addresses, also given as an address; None if it is not on Kaggle.
        url: The page that describes the data and their source.
        files: The files to download if the data are not on Kaggle; archives among them are unpacked side by side.
            Two or more that hold images without a folder become folders of their names.
        task: What is predicted: ``single-label``, ``multi-label``, ``regression``, ``ordinal``, ``several``, or a
            plugin's own.
        targets: The image table's columns with a target each: 0 or 1 for several labels, numbers for regression; with
            ``several``, of any kind. Empty if its column ``label`` has them.
        kinds: With ``several``: the task of each column of `targets`.
        bounds: Of the numbers to predict, the lowest and the highest possible one; None where there is none.
        rows: With a column ``row`` in the image table, whose values are the ids of the CSV's rows: how the predictions
            of a row's images become one. ``noisy-or`` is 1 - prod(1 - p).
        metadata: Columns of the image table that may help to predict beside the image: an age, a place. The ensemble
            ``tabular`` uses them. Columns of numbers are numbers, all others are categories; both may be missing.
        separator: Between labels in one cell of the CSV.
        metric: The name of the metric that ranks submissions, for example ``log_loss``.
        metric_weights: How much each column counts in a weighted metric; those not named count 1.
        positive: For two classes with one probability a row in the CSV: the class whose probability it is.
        licence: The terms of use of the images.
        known_test_labels: Whether the labels hook also returns the test images' labels. They only score finished
            predictions.
        shown: Of images with other channels than red, green and blue: the channels, from 0, that people see in these
            colours; one is shown grey. Empty for the first three.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    slug: str | None = None
    url: str = ""
    files: Sequence[RemoteFile] = ()
    task: str = "single-label"
    targets: tuple[str, ...] = ()
    kinds: Mapping[str, str] = Field(default_factory=dict)
    bounds: tuple[float | None, float | None] = (None, None)
    rows: RowRule = ""
    metadata: tuple[str, ...] = ()
    separator: str = Field(" ", min_length=1)
    metric: str = "log_loss"
    metric_weights: Mapping[str, float] = Field(default_factory=dict)
    positive: str | None = None
    licence: str = ""
    known_test_labels: bool = False
    shown: tuple[int, ...] = Field((), max_length=3)

    @field_validator("slug")
    @classmethod
    def _take_apart(cls, value: str | None) -> str | None:
        try:
            return parse_slug(value) if value else value
        except ValueError as error:
            raise PydanticCustomError("slug", "{reason}", {"reason": str(error)}) from error

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets names a column twice")
        if len(set(self.metadata)) < len(self.metadata) or set(self.metadata) & {"label", "split", *self.targets}:
            raise ValueError("metadata names a column twice, or one that holds what is predicted")
        if self.task == "several" and (set(self.kinds) != set(self.targets) or not self.targets):
            raise ValueError("task several needs targets and kinds: the task of each column of targets")
        low, high = self.bounds
        if low is not None and high is not None and low >= high:
            raise ValueError(f"bounds are {low:g} and {high:g}: the first must be lower")
        return self


class Provides(BaseModel):
    """The names that a plugin implements, for checks and suggestions before anything starts.

    Attributes:
        views: Values of `Stage.views`.
        augment: Names in `Stage.augment`; ``name.*`` stands for all that begin with ``name.``.
        plain: Values of `Stage.plain`.
        tta: Values of `Recipe.tta_views`.
        schedule: Values of `Stage.schedule`.
        optimizer: Values of `Stage.optimizer`.
        head: Values of `Recipe.head`.
        loss: Values of `Recipe.loss`.
        ensemble: Values of `Recipe.ensemble`.
        metric: Values of `Competition.metric`.
        task: Values of `Competition.task`.
        decision: Values of `Recipe.decision`.
        targets: Values of `Recipe.targets`.
        executor: Names for ``--on``, without what follows ``://``.
        sampler: Names for ``kagglekit sweep --sampler``.
        options: The plugin's own settings with their defaults. A recipe's `options` may override them; their types
            are checked against the defaults'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Sequence[str] = ()
    augment: Sequence[str] = ()
    plain: Sequence[str] = ()
    tta: Sequence[str] = ()
    schedule: Sequence[str] = ()
    optimizer: Sequence[str] = ()
    head: Sequence[str] = ()
    loss: Sequence[str] = ()
    ensemble: Sequence[str] = ()
    metric: Sequence[str] = ()
    task: Sequence[str] = ()
    decision: Sequence[str] = ()
    targets: Sequence[str] = ()
    executor: Sequence[str] = ()
    sampler: Sequence[str] = ()
    options: Mapping[str, Any] = Field(default_factory=dict)
