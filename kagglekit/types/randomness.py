"""Random numbers as a pure function of an image's id."""

from __future__ import annotations

from functools import wraps
from hashlib import blake2b
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

P = ParamSpec("P")
T = TypeVar("T")


def image_keys(ids: Sequence[str], *salt: object) -> NDArray[np.uint64]:
    """Hash each image id, together with `salt`, to a key (N,) uint64.

    The same id and salt give the same key, independent of order, batch size and platform.
    """
    key = blake2b(repr(salt).encode()).digest()
    hashes = b"".join(blake2b(image.encode(errors="surrogateescape"), digest_size=8, key=key).digest() for image in ids)
    return np.frombuffer(hashes, dtype="<u8").astype(np.uint64)


def _also_called(old: str, new: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Accept the former name of an argument from plugins."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if old in kwargs:
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


@_also_called("turn", "pass_number")
def uniforms(keys: NDArray[np.uint64], pass_number: int, n: int) -> NDArray[np.float64]:
    """Draw `n` uniform numbers in [0, 1) for each key, (B, n), as a pure function of the key and the pass.

    The generator is splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators"), counted instead of stepped: draw j of pass t is the mixing function of
    ``mix(key + (t + 1) * gamma) + (j + 1) * gamma``.
    """
    gamma = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        start = _mix(keys + np.uint64(pass_number + 1) * gamma)
        bits = _mix(start[:, None] + np.arange(1, n + 1, dtype=np.uint64) * gamma)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def channel_keys(keys: NDArray[np.uint64], n: int) -> list[NDArray[np.uint64]]:
    """Return `n` other keys (B,) for each key, with random numbers independent of one another."""
    with np.errstate(over="ignore"):
        return [_mix(keys ^ np.uint64(0xD1B54A32D192ED03 * (number + 1) % 2**64)) for number in range(n)]


def augmentation_keys(keys: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    """Return other keys (B,) for augmentation `number`, from 0: it draws independently of the view and the others."""
    with np.errstate(over="ignore"):
        return _mix(keys + np.uint64(0x8CB92BA72F3D8DD7 * (number + 1) % 2**64))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
