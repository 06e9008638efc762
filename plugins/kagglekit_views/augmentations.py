"""The augmentations by name, with their settings, defaults and limits.

Each draws with `uniforms` from an image's key and the epoch. What is drawn is a number for each image: the pixels
themselves are changed in `kagglekit_views.pixels`, which imports torch and is imported when the first batch is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kagglekit import Augmentation, UsageError, UserError, uniforms, unknown
from kagglekit_views.spaces import STANDARD, WIDE, Space, moved, repainted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Keys = NDArray[np.uint64]
    Floats = NDArray[np.float64]

_TORCHVISION = "torchvision."
_SEEDS = 2**24  # whole numbers that float32 holds exactly


class Settings(BaseModel, ABC):
    """The settings of an augmentation, and the augmentation itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def made(self, channels: int) -> Augmentation:
        """Return the augmentation for images of so many channels.

        Raises:
            UserError: It does not work for them.
        """


class Sometimes(Settings):
    """One operation on the pixels of a share of the images, with parameters of its own for each of them.

    Attributes:
        p: Share of the images.
    """

    operation: ClassVar[str]  # of `kagglekit_views.pixels`
    p: float = Field(0.5, ge=0, le=1)

    def made(self, channels: int) -> Augmentation:
        """Return the augmentation, for any channels."""
        return Augmentation(pixels=self.changed)

    def changed(self, images: Tensor, keys: Keys, pass_number: int) -> Tensor:
        """Change the images that are drawn, each with probability `p`."""
        from kagglekit_views.pixels import change

        draws = uniforms(keys, pass_number, 6)
        rows = np.flatnonzero(draws[:, 0] < self.p)
        return change(images, self.operation, rows, self.parameters(draws[rows, 1:]))

    def parameters(self, draws: Floats) -> Floats:
        """Return the operation's parameters (n, K) from uniform draws (n, 5); none by default."""
        return draws[:, :0]


class TrivialAugment(Settings):
    """One operation of any strength for each image.

    After Müller and Hutter 2021, arXiv:2103.10158, section 3: operation and strength are uniform draws; the wide space.

    Attributes:
        space: ``wide``, or ``standard``, that of RandAugment.
    """

    space: Literal["wide", "standard"] = "wide"

    def made(self, channels: int) -> Augmentation:
        """Return the augmentation; `color` is left out where the channels are not red, green and blue."""
        return _of_space(WIDE if self.space == "wide" else STANDARD, channels, n=1, level=None)


class RandAugment(Settings):
    """`n` operations of one strength for each image, one after the other.

    After Cubuk et al. 2020, arXiv:1909.13719, section 3: operations are uniform draws. As in later implementations, the
    direction of an operation that has one is drawn, too.

    Attributes:
        n: Number of operations.
        m: Strength of all of them: 0 for none, 10 for the largest of AutoAugment's ranges.
    """

    n: int = Field(2, ge=1, le=10)
    m: float = Field(9.0, ge=0, le=10)

    def made(self, channels: int) -> Augmentation:
        """Return the augmentation; `color` is left out where the channels are not red, green and blue."""
        return _of_space(STANDARD, channels, n=self.n, level=self.m / 10)


class RandomErasing(Sometimes):
    """A rectangle of noise, or of one grey, in a share of the images.

    After Zhong et al. 2017, arXiv:1708.04896, algorithm 1. The area is a uniform share of the image; the shape's
    logarithm is uniform among those that fit into the image, so that no draw is rejected.

    Attributes:
        min_area: Smallest share of an image that is erased.
        max_area: Largest share.
        min_ratio: Smallest ratio of the sides; the largest is its inverse.
        fill: ``noise`` draws each number, or one number from 0 (black) to 1 (white).
    """

    operation: ClassVar[str] = "erased"
    min_area: float = Field(0.02, gt=0, le=1)
    max_area: float = Field(0.4, gt=0, le=1)
    min_ratio: float = Field(0.3, gt=0, le=1)
    fill: float | str = "noise"

    @model_validator(mode="after")
    def _ordered(self) -> RandomErasing:
        if self.min_area > self.max_area:
            raise ValueError("min_area is larger than max_area")
        if self.fill != "noise" and not (isinstance(self.fill, float) and 0 <= self.fill <= 1):
            raise ValueError("fill should be noise, or a number from 0 to 1")
        return self

    def parameters(self, draws: Floats) -> Floats:
        """Return (n, 6): centre x and y, half width and half height in [-1, 1], grey (-1 for noise), seed of noise."""
        area = self.min_area + (self.max_area - self.min_area) * draws[:, 0]
        most = np.minimum(-np.log(self.min_ratio), -np.log(area))  # of the logarithm of width / height
        ratio = np.exp(most * (2.0 * draws[:, 1] - 1.0))
        half = np.minimum(np.sqrt(np.stack([area * ratio, area / ratio], axis=1)), 1.0)
        centre = (1.0 - half) * (2.0 * draws[:, 2:4] - 1.0)
        fill = np.full((len(draws), 1), -1.0 if self.fill == "noise" else self.fill)
        return np.concatenate([centre, half, fill, np.floor(draws[:, 4:5] * _SEEDS)], axis=1)


class ColorJitter(Sometimes):
    """Brightness, contrast, saturation and hue by random factors, in this order.

    Attributes:
        brightness: Factors are from 1 - brightness to 1 + brightness.
        contrast: The same, around an image's mean grey.
        saturation: The same, around an image's grey version.
        hue: Largest turn of the hue, as a share of the circle.
    """

    operation: ClassVar[str] = "jittered"
    p: float = Field(1.0, ge=0, le=1)
    brightness: float = Field(0.4, ge=0, le=1)
    contrast: float = Field(0.4, ge=0, le=1)
    saturation: float = Field(0.4, ge=0, le=1)
    hue: float = Field(0.1, ge=0, le=0.5)

    def made(self, channels: int) -> Augmentation:
        """Return the augmentation; saturation and hue need red, green and blue."""
        if channels != 3 and (self.saturation or self.hue):
            raise _needs_colours("saturation and hue", channels, "set color-jitter(saturation=0, hue=0)")
        return super().made(channels)

    def parameters(self, draws: Floats) -> Floats:
        """Return (n, 4): factors of brightness, contrast and saturation, and the turn of the hue."""
        most = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        return most * (2.0 * draws[:, :4] - 1.0) + [1.0, 1.0, 1.0, 0.0]


class GaussianBlur(Sometimes):
    """A Gaussian blur of random width, after Chen et al. 2020, arXiv:2002.05709, appendix A.

    Attributes:
        min_sigma: Smallest standard deviation, px of what the network sees.
        max_sigma: Largest one.
    """

    operation: ClassVar[str] = "blurred"
    min_sigma: float = Field(0.1, gt=0, le=20)
    max_sigma: float = Field(2.0, gt=0, le=20)

    @model_validator(mode="after")
    def _ordered(self) -> GaussianBlur:
        if self.min_sigma > self.max_sigma:
            raise ValueError("min_sigma is larger than max_sigma")
        return self

    def parameters(self, draws: Floats) -> Floats:
        """Return (n, 1): the standard deviation, px."""
        return self.min_sigma + (self.max_sigma - self.min_sigma) * draws[:, :1]


class Jpeg(Sometimes):
    """The traces of JPEG compression. Other channels than red, green and blue are compressed one by one.

    Attributes:
        min_quality: Lowest quality, 1 to 100.
        max_quality: Highest one.
    """

    operation: ClassVar[str] = "compressed"
    min_quality: int = Field(30, ge=1, le=100)
    max_quality: int = Field(95, ge=1, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> Jpeg:
        if self.min_quality > self.max_quality:
            raise ValueError("min_quality is larger than max_quality")
        return self

    def parameters(self, draws: Floats) -> Floats:
        """Return (n, 1): the quality, a whole number."""
        return self.min_quality + np.floor((self.max_quality - self.min_quality + 1) * draws[:, :1])


class Grayscale(Sometimes):
    """A share of the images without colours."""

    operation: ClassVar[str] = "grey"
    p: float = Field(0.1, ge=0, le=1)

    def made(self, channels: int) -> Augmentation:
        """Return the augmentation, for red, green and blue."""
        if channels != 3:
            raise _needs_colours("grayscale", channels, "leave it out")
        return super().made(channels)


KINDS: dict[str, type[Settings]] = {
    "trivial-augment": TrivialAugment,
    "rand-augment": RandAugment,
    "random-erasing": RandomErasing,
    "color-jitter": ColorJitter,
    "gaussian-blur": GaussianBlur,
    "jpeg": Jpeg,
    "grayscale": Grayscale,
}
NAMES = (*KINDS, f"{_TORCHVISION}*")


def augmentation_of(name: str, settings: dict[str, Any], channels: int, size: int) -> Augmentation | None:
    """Return an augmentation by name; None for the names of other plugins.

    Raises:
        UserError: It does not take these settings or images.
    """
    if name.startswith(_TORCHVISION):
        from kagglekit_views.torchvision_names import adapted

        return adapted(name.removeprefix(_TORCHVISION), settings, channels, size)
    if name not in KINDS:
        return None
    try:
        chosen = KINDS[name].model_validate(settings)
    except ValidationError as error:
        raise UsageError(_fault(name, error), f"its settings: {_described(KINDS[name])}") from None
    return chosen.made(channels)


def _fault(name: str, error: ValidationError) -> str:
    """Return the first thing that is wrong with the settings of an augmentation."""
    fault = error.errors()[0]
    key, text = "".join(map(str, fault["loc"][:1])), str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return unknown(f"setting of {name}", key, KINDS[name].model_fields)
    return f"{name}: {text.replace('Input', key, 1)}"


def _described(kind: type[Settings]) -> str:
    return ", ".join(f"{name}={field.default}" for name, field in kind.model_fields.items())


def _needs_colours(what: str, channels: int, hint: str) -> UserError:
    return UserError(
        f"{what} in stage.N.augment: red, green and blue are needed, and the images have {channels} channels", hint
    )


def _of_space(space: Space, channels: int, n: int, level: float | None) -> Augmentation:
    """Return `n` operations of a space, of one level or of levels that are drawn."""
    space = space.for_channels(channels)
    return Augmentation(maps=partial(moved, space, n, level), pixels=partial(repainted, space, n, level))
