"""Write nested values with tensors to a file that is no pickle, and read them back exactly.

It is a safetensors file, which any tool for these reads. Its metadata holds the tree as JSON, where each tensor is a
reference to one of the file's tensors, the name of the content's form, and a checksum of tree and tensors.
"""

from __future__ import annotations

import json
import math
import struct
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kagglekit.system.tensor_file import write_tensors


class BadTree(Exception):
    """A file is not what `write_tree` wrote; the text is the end of a sentence about it."""


def write_tree(tree: Any, path: Path, form: str) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, texts, bytes and None; tensors in use twice, once.

    Args:
        tree: The values. The keys of a dict may be of any of these kinds that can be hashed.
        path: Written directly, see `kagglekit.system.files.replacing`.
        form: Name of what the tree holds, which a reader asks for.

    Raises:
        OSError: The file cannot be written.
        TypeError: The tree contains something else.
    """
    pack = _Pack()
    text = json.dumps(pack.node(tree), allow_nan=False)
    checksum = _checksum(text, pack.tensors)
    write_tensors(pack.tensors, path, {"form": form, "tree": text, "sha256": checksum})


def read_tree(path: Path, form: str) -> Any:
    """Read a file of `write_tree`: equal values of the same types; tensors on the CPU, with their strides.

    Raises:
        OSError: The file cannot be read.
        BadTree: It is damaged, or has another form.
    """
    from safetensors import SafetensorError, safe_open

    path.open("rb").close()  # for the system's own error
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except SafetensorError as error:
        raise BadTree("is damaged, or another version wrote it") from error
    if metadata.get("form") != form:
        raise BadTree("is damaged, or another version wrote it")
    text = metadata.get("tree", "")
    if metadata.get("sha256") != _checksum(text, tensors):
        raise BadTree("is damaged: its checksum does not match")
    try:
        return _value(json.loads(text), tensors)
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, struct.error) as error:  # a forged one
        raise BadTree("is damaged: its tree is invalid") from error


class _Pack:
    """Turns values into nodes of JSON, and collects the tensors."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[tuple[object, ...], str] = {}  # by the memory that a tensor is a view of
        self._storages: set[int] = set()

    def node(self, value: Any) -> Any:
        """Return the JSON of a value: an object with one key for each kind that JSON lacks."""
        match value:
            case None | bool() | str():
                return value
            case int():
                return int(value)
            case float():
                return float(value) if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
            case bytes():
                return {"bytes": value.hex()}
            case Tensor():
                return self._tensor(value.detach())
            case list():
                return [self.node(each) for each in value]
            case tuple():
                return {"tuple": [self.node(each) for each in value]}
            case OrderedDict():  # torch's state dicts carry the versions of their modules as an attribute
                return {"ordered": self._pairs(value), "versions": self.node(getattr(value, "_metadata", None))}
            case dict():
                return {"dict": self._pairs(value)}
        raise TypeError(f"a {type(value).__name__} among tensors and plain values")

    def _pairs(self, value: Mapping[Any, Any]) -> list[list[Any]]:
        return [[self.node(key), self.node(each)] for key, each in value.items()]

    def _tensor(self, tensor: Tensor) -> dict[str, Any]:
        """Add a tensor; one that is stored in another order, such as channels_last, as its memory and its strides."""
        layout: dict[str, Any] = {}
        place = tensor.untyped_storage().data_ptr()
        key = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.stride() != torch.empty(tensor.shape, device="meta").stride() and _is_dense(tensor):
            layout = {"shape": list(tensor.shape), "stride": list(tensor.stride())}
        if place and key in self._names:
            return {"tensor": self._names[key], **layout}
        name = str(len(self.tensors))
        if place:
            self._names[key] = name
            if place in self._storages:  # another part of the same memory, which the format does not allow
                tensor = tensor.clone()
            self._storages.add(place)
        if layout:
            tensor = tensor.as_strided((tensor.numel(),), (1,))
        self.tensors[name] = tensor.cpu().contiguous()
        return {"tensor": name, **layout}


def _is_dense(tensor: Tensor) -> bool:
    """Return whether its values fill their part of the memory without gaps and overlaps."""
    run = 1
    strides = zip(tensor.stride(), tensor.shape, strict=True)
    for stride, size in sorted((stride, size) for stride, size in strides if size != 1):
        if stride != run:
            return False
        run *= size
    return run > 0


def _value(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    match node:
        case list():
            return [_value(each, tensors) for each in node]
        case {"tensor": name, "shape": shape, "stride": stride}:
            return torch.as_strided(tensors[name].clone(), shape, stride)
        case {"tensor": name}:
            return tensors[name].clone()  # off the file's pages
        case {"float": text}:
            return struct.unpack(">d", bytes.fromhex(text))[0]
        case {"bytes": text}:
            return bytes.fromhex(text)
        case {"tuple": items}:
            return tuple(_value(items, tensors))
        case {"ordered": pairs, "versions": versions}:
            ordered = OrderedDict(_items(pairs, tensors))
            if versions is not None:
                ordered._metadata = _value(versions, tensors)  # type: ignore[attr-defined]
            return ordered
        case {"dict": pairs}:
            return dict(_items(pairs, tensors))
        case dict():
            raise ValueError("an unknown kind of node")
    return node


def _items(pairs: Iterable[Any], tensors: Mapping[str, Tensor]) -> list[tuple[Any, Any]]:
    return [(_value(key, tensors), _value(each, tensors)) for key, each in pairs]


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the tree, and of each tensor's name, dtype, shape and bytes."""
    checksum = sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        checksum.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        checksum.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return checksum.hexdigest()
