"""The checksum CRC-32C (Castagnoli; RFC 3720, section 12.1), by numpy.

A checksum is linear: that of a block is the exclusive or of one value for each byte, which depends on the byte and on
its place. So a block is one look-up in a table; blocks are joined by the same tables.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024  # bytes of a block: its table of 1 MB fits into a processor's cache
_REVERSED = 0x82F63B78  # the polynomial, least significant bit first


def crc32c(data: bytes | memoryview) -> int:
    """Return the checksum of some bytes."""
    if len(data) < 64:
        return ~_slowly(data, 0xFFFFFFFF) & 0xFFFFFFFF
    values = np.frombuffer(data, dtype=np.uint8)
    n_blocks, rest = divmod(len(values), BLOCK)
    state = _slowly(data[:rest], 0xFFFFFFFF) if rest < 64 else _block(values[:rest], 0xFFFFFFFF)
    if not n_blocks:
        return ~state & 0xFFFFFFFF
    table, places = _tables()
    blocks = values[rest:].reshape(n_blocks, BLOCK)
    for block in np.bitwise_xor.reduce(table[blocks + places], axis=1).tolist():
        state = _moved(state) ^ block
    return ~state & 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return a checksum as TFRecord files store it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(values: NDArray[np.uint8], state: int) -> int:
    """Continue a checksum over less than a block."""
    table, places = _tables()
    n = len(values)
    mixed = values.copy()
    mixed[:4] ^= np.frombuffer(state.to_bytes(4, "little"), dtype=np.uint8)
    return int(np.bitwise_xor.reduce(table[mixed + places[BLOCK - n :]]))


def _moved(state: int) -> int:
    """Return a checksum's state after a block of zeros."""
    zero, one, two, three = _after_block()
    return zero[state & 255] ^ one[state >> 8 & 255] ^ two[state >> 16 & 255] ^ three[state >> 24]


def _slowly(data: bytes | memoryview, state: int) -> int:
    single = _single()
    for byte in data:
        state = state >> 8 ^ single[(state ^ byte) & 255]
    return state


@cache
def _single() -> list[int]:
    """Return the checksum's state after each single byte."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(_REVERSED), values >> 1).astype(np.uint32)
    return [int(value) for value in values]


@cache
def _tables() -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return the values (256 * BLOCK,) of each byte at each place of a block, and where each place begins."""
    single = np.array(_single(), dtype=np.uint32)
    rows = [single]
    while len(rows) < BLOCK:  # a byte one place earlier is followed by one more zero
        rows.append(rows[-1] >> 8 ^ single[rows[-1] & 255])
    return np.concatenate(rows[::-1]), np.arange(BLOCK, dtype=np.intp) * 256


@cache
def _after_block() -> list[list[int]]:
    """Return what each byte of a state becomes by a block of zeros."""
    table = _tables()[0].reshape(BLOCK, 256)
    return [table[place].tolist() for place in range(4)]
