"""Whether this machine may have a GPU, without torch, whose import takes seconds."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kagglekit.system.errors import UserError

NAMES = "use auto, cpu, cuda, cuda:1 or mps"


@cache
def may_have_gpu() -> bool:
    """Return False only if torch cannot find a GPU: the library of NVIDIA's driver and AMD's device are missing.

    Torch calls a GPU of NVIDIA's through that library, and one of AMD's through that device (ROCm). On other systems
    than Linux and Windows, only torch knows.
    """
    if sys.platform == "linux":
        return _loads("libcuda.so.1") or Path("/dev/kfd").exists()
    return _loads("nvcuda.dll") if sys.platform == "win32" else True


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_device(name: str) -> None:
    """Refuse the name of a device that no machine has, or a GPU where there is certainly none.

    Raises:
        UserError: It is one of these.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UserError(f"unknown device {name!r}", NAMES)
    if name not in ("auto", "cpu") and not may_have_gpu():
        raise missing_device(name, "cpu")


def check_on_cpu(precision: str, store: str) -> None:
    """Refuse what a CPU does not have.

    Raises:
        UserError: The precision, or the place of decoded images, needs a GPU.
    """
    if precision == "fp16":
        raise UserError("fp16 needs a GPU", "use --precision bf16, fp32 or auto on a CPU")
    if store == "device":
        raise UserError("--store device: cpu has no memory of its own", "use --store auto, ram or map")


def missing_device(name: str, usable: str) -> UserError:
    """Return the error for a device that this machine lacks."""
    return UserError(f"no device {name!r} on this machine", f"torch {version('torch')} finds: {usable}")
