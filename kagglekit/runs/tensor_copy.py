"""Copy nested values with tensors to the CPU while a GPU works on: what a checkpoint is written from."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor


class Copied:
    """A copy of a tree (see `kagglekit.runs.tensor_tree`) that later steps do not change.

    A GPU's tensors are copied into pinned memory, in the order of its work, so that nobody waits for them here. What
    one tensor was in two places is one in the copy, too.

    Args:
        tree: Nested dicts, lists and tuples of tensors and plain values.
    """

    def __init__(self, tree: Any) -> None:
        self._copies: dict[tuple[object, ...], Tensor] = {}
        self._devices: set[torch.device] = set()
        self._tree = self._copied(tree)
        self._done = [torch.cuda.current_stream(device).record_event() for device in self._devices]

    def tree(self) -> Any:
        """Wait for the copies and return them."""
        for event in self._done:
            event.synchronize()
        return self._tree

    def _copied(self, value: Any) -> Any:
        match value:
            case Tensor():
                return self._tensor(value.detach())
            case list():
                return [self._copied(each) for each in value]
            case tuple():
                return tuple(self._copied(each) for each in value)
            case OrderedDict():  # torch's state dicts carry the versions of their modules as an attribute
                ordered = OrderedDict((key, self._copied(each)) for key, each in value.items())
                if hasattr(value, "_metadata"):
                    ordered._metadata = copy.deepcopy(value._metadata)  # type: ignore[attr-defined]
                return ordered
            case dict():
                return {key: self._copied(each) for key, each in value.items()}
        return value  # plain values do not change

    def _tensor(self, tensor: Tensor) -> Tensor:
        key = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if key in self._copies and tensor.numel():
            return self._copies[key]
        if tensor.device.type == "cuda":
            self._devices.add(tensor.device)
            made = torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
        else:
            made = tensor.to("cpu", copy=True)
        self._copies[key] = made
        return made
