"""The checksum CRC-32C (Castagnoli; RFC 3720, 12.1), by OpenCV's look-up tables.

A checksum is linear: that of some bytes is the exclusive or of one value for each byte, which depends on the byte and
on the number of bytes after it. So a block is one look-up in a table with a channel for each place; blocks are joined
alike.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 128  # bytes of a block: as many channels as any version of OpenCV takes
GROUP = BLOCK // 4  # blocks that are joined by one look-up of their checksums' bytes
_REVERSED = 0x82F63B78  # the polynomial, least significant bit first
_FEW = 64  # bytes that a plain loop takes


def crc32c(data: bytes | memoryview) -> int:
    """Return the checksum of some bytes."""
    if len(data) < _FEW:
        return _slowly(data)
    tables = _tables()
    size = BLOCK * GROUP
    padded = np.zeros(-(-len(data) // size) * size, dtype=np.uint8)  # zeros in front of it change nothing
    message = padded[len(padded) - len(data) :]
    message[:] = np.frombuffer(data, dtype=np.uint8)
    message[:4] ^= 255  # the state in which a checksum begins
    of_blocks = _looked_up(padded, tables.of_block)
    state = 0
    for group in _looked_up(of_blocks.view(np.uint8), tables.of_group).tolist():
        state = _moved(state, tables.after_group) ^ group
    return ~state & 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return a checksum as TFRecord files store it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class _Tables(NamedTuple):
    """Look-up tables.

    Attributes:
        of_block: (1, 256, BLOCK) int32: for each byte at each place of a block.
        of_group: The same for each byte of the checksums of a group's blocks.
        after_group: What each byte of a state becomes by a group of zeros.
    """

    of_block: NDArray[np.int32]
    of_group: NDArray[np.int32]
    after_group: list[list[int]]


def _looked_up(values: NDArray[np.uint8], table: NDArray[np.int32]) -> NDArray[np.uint32]:
    """Return the exclusive or of what the table says of each `BLOCK` bytes."""
    found = cv2.LUT(values.reshape(-1, 1, BLOCK), table).reshape(-1, BLOCK)
    joined: NDArray[np.uint32] = np.bitwise_xor.reduce(found, axis=1).astype("<i4", copy=False).view("<u4")
    return joined


def _moved(state: int, tables: list[list[int]]) -> int:
    zero, one, two, three = tables
    return zero[state & 255] ^ one[state >> 8 & 255] ^ two[state >> 16 & 255] ^ three[state >> 24]


def _slowly(data: bytes | memoryview) -> int:
    single, state = _single(), 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ single[(state ^ byte) & 255]
    return ~state & 0xFFFFFFFF


@cache
def _single() -> list[int]:
    """Return the checksum's state after each single byte."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(_REVERSED), values >> 1).astype(np.uint32)
    return [int(value) for value in values]


@cache
def _tables() -> _Tables:
    single = np.array(_single(), dtype=np.uint32)
    after = [single]  # [k]: of a byte with k zeros after it
    while len(after) < BLOCK * GROUP:
        after.append(after[-1] >> 8 ^ single[after[-1] & 255])

    def state_after(n: int) -> list[NDArray[np.uint32]]:
        """Return what each byte of a state becomes by `n` zeros."""
        if not n:
            return [np.arange(0, 256 << 8 * byte, 1 << 8 * byte, dtype=np.uint32) for byte in range(4)]
        return [after[n - 1 - byte] for byte in range(4)]

    in_group = [table for place in range(GROUP) for table in state_after(BLOCK * (GROUP - 1 - place))]
    return _Tables(
        _channels(after[BLOCK - 1 :: -1]),
        _channels(in_group),
        [table.tolist() for table in state_after(BLOCK * GROUP)],
    )


def _channels(tables: list[NDArray[np.uint32]]) -> NDArray[np.int32]:
    return np.ascontiguousarray(np.stack(tables, axis=-1)).view(np.int32).reshape(1, 256, BLOCK)
