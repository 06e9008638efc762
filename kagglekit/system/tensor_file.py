"""Write tensors to a safetensors file, and report a failed write as the operating system does."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Args:
        tensors: Contiguous, on the CPU; no two of them share memory.
        path: Written directly, see `kagglekit.system.files.replacing`.
        metadata: Texts for the file's header.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata=metadata)
    except SafetensorError as error:
        number = re.search(r"(?:os error |Os { code: )(\d+)", str(error))  # safetensors 0.8 and 0.4
        if not number:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
