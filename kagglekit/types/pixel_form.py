"""The form in which decoded images are stored: channels, bits, and the range of numbers that becomes black to white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kagglekit.types.pixel_range import PixelRange, range_of, scaled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Depth = Literal[8, 16]


@dataclass(frozen=True)
class PixelForm:
    """The form of a data set's images.

    Attributes:
        channels: Number of channels.
        depth: Bits of a stored number.
        ranges: The numbers that become black and white, where a file has other than 8 bits: one range for all channels,
            or one for each. Empty to find the range of each image by itself.
        shown: The channels, from 0, that people see as red, green and blue; fewer than three leave the others black,
            and a single one is grey.
    """

    channels: int = 3
    depth: Depth = 8
    ranges: tuple[PixelRange, ...] = ()
    shown: tuple[int, ...] = (0, 1, 2)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of stored numbers."""
        import numpy as np  # not at the top: run.json has a form, and history lists runs without numpy

        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def white(self) -> int:
        """The largest stored number."""
        return int(2**self.depth - 1)

    @property
    def pixel_bytes(self) -> int:
        """Length of a stored pixel."""
        return self.channels * self.depth // 8

    @property
    def key(self) -> list[Any]:
        """The facts that the bytes of stored images depend on; empty for 8 bits of red, green and blue."""
        form = [self.channels, self.depth, self.ranges]
        return [] if form == [3, 8, ()] else form

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return an image in this form.

        Args:
            values: (H, W) or (H, W, C'), any numbers; a single channel stands for three.

        Returns:
            (H, W, channels) of `dtype`.

        Raises:
            ValueError: It has other channels, or numbers of an unknown range.
        """
        import numpy as np

        if values.ndim == 2:
            values = values[..., None]
        if values.shape[2] == 1 and self.channels == 3:
            return np.repeat(self._scaled(values), 3, axis=2)
        if values.shape[2] != self.channels:
            raise ValueError(f"it has {values.shape[2]} channels, and other images have {self.channels}")
        return self._scaled(values)

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if values.dtype == np.uint8:
            return values if self.depth == 8 else values.astype(np.uint16) * 257  # 255 becomes 65,535
        ranges = self.ranges or (range_of(values),)
        return scaled(values, ranges, self.white).astype(self.dtype)

    def for_people(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return an image, in any form, as uint8 (H, W, 3) to look at.

        Raises:
            ValueError: Its numbers have an unknown range.
        """
        import numpy as np

        if values.dtype == np.uint8 and values.shape[2:] == (3,) and self.shown == (0, 1, 2):
            return values
        if values.ndim == 2:
            values = values[..., None]
        ranges = self.ranges if len(self.ranges) in (1, values.shape[2]) else ()
        grey = PixelForm(values.shape[2], ranges=ranges)._scaled(values).astype(np.uint8)
        chosen = [channel for channel in self.shown if channel < values.shape[2]][:3]
        if len(chosen) < 2:
            return np.repeat(grey[..., chosen or [0]], 3, axis=2)
        black = np.zeros((*grey.shape[:2], 3 - len(chosen)), np.uint8)
        return np.concatenate([grey[..., chosen], black], axis=2)


RGB = PixelForm()
"""8 bits of red, green and blue."""


def as_rgb(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image of any numbers, (H, W) or (H, W, C), as uint8 (H, W, 3), by the range of its own numbers.

    Raises:
        ValueError: Its numbers have an unknown range.
    """
    return RGB.for_people(values)
