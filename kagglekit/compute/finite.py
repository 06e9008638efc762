"""Refuse weights with values that are not finite, as a diverged training leaves them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError, listing

if TYPE_CHECKING:
    from torch import Tensor


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check the weights of a file.

    Args:
        tensors: By name.
        path: Their file, for the message.

    Raises:
        UserError: Some contain NaN or infinity. A mask may contain minus infinity.
    """
    bad = not_finite(tensors)
    if bad:
        what = "all of its" if len(bad) == len(tensors) else f"{len(bad)} of its {len(tensors)}"
        raise UserError(
            f"the weights {path} are not finite: NaN or infinity in {what} tensors: {listing(bad, 3)}",
            "the training that wrote them has diverged: use an earlier file of it, or other weights",
        )


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no floating-point tensor contains NaN or infinity; a GPU is waited for once."""
    import torch

    floating = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    if not floating or floating[0].device.type == "cpu":  # nothing to wait for, and no function for many at once
        return all(bool(torch.isfinite(tensor).all()) for tensor in floating)
    largest = torch._foreach_norm(floating, math.inf)
    return bool(torch.isfinite(torch.stack([each.float() for each in largest])).all())


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinity."""
    return [name for name, tensor in tensors.items() if not _is_finite(name, tensor)]


def _is_finite(name: str, tensor: Tensor) -> bool:
    import torch

    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    values = tensor.detach()
    if values.element_size() == 1:  # torch.isfinite knows no 8-bit floats
        values = values.float()
    if bool(torch.isfinite(values).all()):
        return True
    if "mask" not in name.rpartition(".")[2] or values.is_complex():
        return False
    return not bool((torch.isnan(values) | (values == torch.inf)).any())  # what attention must not see
