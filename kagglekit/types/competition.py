"""Define the facts of a competition, and the names that a plugin provides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from kagglekit.types.slug import parse_slug

Task = Literal["single-label", "multi-label", "regression"]


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
        task: What is predicted; only ``single-label`` can be trained so far.
        metric: The name of the metric that ranks submissions, for example ``log_loss``.
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
    task: Task = "single-label"
    metric: str = "log_loss"
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


class Provides(BaseModel):
    """The names that a plugin implements, for checks and suggestions before anything starts.

    Attributes:
        views: Values of `Stage.views`.
        plain: Values of `Stage.plain`.
        tta: Values of `Recipe.tta_views`.
        schedule: Values of `Stage.schedule`.
        optimizer: Values of `Stage.optimizer`.
        head: Values of `Recipe.head`.
        loss: Values of `Recipe.loss`.
        ensemble: Values of `Recipe.ensemble`.
        metric: Values of `Competition.metric`.
        options: The plugin's own settings with their defaults. A recipe's `options` may override them; their types
            are checked against the defaults'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Sequence[str] = ()
    plain: Sequence[str] = ()
    tta: Sequence[str] = ()
    schedule: Sequence[str] = ()
    optimizer: Sequence[str] = ()
    head: Sequence[str] = ()
    loss: Sequence[str] = ()
    ensemble: Sequence[str] = ()
    metric: Sequence[str] = ()
    options: Mapping[str, Any] = Field(default_factory=dict)
