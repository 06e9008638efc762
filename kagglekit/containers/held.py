"""Keep parts of containers in memory that cannot be read image by image: arrays of npz, row groups of parquet."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from kagglekit.system.limits import usable_memory

SHARE = 0.25  # of the memory that all parts together may take; the last one stays in any case
MOST = 0.5  # of the memory that a single part may take

_numbers = itertools.count()
_parts: OrderedDict[tuple[int, Hashable], tuple[Any, int]] = OrderedDict()
_lock = threading.RLock()  # a container may be collected while one of its parts is read


class Held:
    """The parts of one container; of all containers, those used last stay in memory."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        weakref.finalize(self, _drop, self._number)

    def get(self, name: Hashable, read: Callable[[], Any], n_bytes: int) -> Any:
        """Return a part; read it first if it is not in memory.

        Args:
            name: Of the part.
            read: Reads it.
            n_bytes: Its size.
        """
        key = (self._number, name)
        with _lock:
            if key not in _parts:
                part = read()
                _parts[key] = (part, n_bytes)
                while len(_parts) > 1 and sum(size for _, size in _parts.values()) > SHARE * usable_memory():
                    _parts.popitem(last=False)
                return part
            _parts.move_to_end(key)
            return _parts[key][0]


def check_size(n_bytes: int, what: str) -> None:
    """Check the size that a header gives.

    Raises:
        ValueError: It does not fit into memory.
    """
    if n_bytes > MOST * usable_memory():
        raise ValueError(f"{what} claims to take {n_bytes:,} bytes")


def _drop(number: int) -> None:
    with _lock:
        for key in [key for key in _parts if key[0] == number]:
            del _parts[key]
