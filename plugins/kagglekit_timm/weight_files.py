"""Read weights from safetensors and from torch's own files, without running code."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from timm.models import clean_state_dict
from torch import Tensor

from kagglekit import UserError, check_finite, listing
from kagglekit_timm.file_kinds import AGAIN, kind_of

# Words of the names under which training scripts save a network's weights: model, state_dict, model_ema ...
WORDS = {"model", "state", "dict", "statedict", "net", "network", "weights", "params", "module", "ema", "swa"}
DEPTH = 3  # how many of such names may be around a set of weights
SAFE = Version("2.10")  # torch's first version that reads a pickle as weights only, without a known way around that
STATE_DICT = "save only the weights: torch.save(model.state_dict(), FILE), or as safetensors"


@dataclass(frozen=True)
class Weights:
    """The weights of a file.

    Attributes:
        tensors: On the CPU, by name, without the prefixes of DistributedDataParallel and torch.compile.
        part: Name of the part of the file they come from if it has several sets of weights, else empty.
    """

    tensors: dict[str, Tensor]
    part: str = ""


def read_weights(path: Path) -> Weights:
    """Read a safetensors file or a PyTorch state dict, bare or inside a training script's dict; never run code.

    Raises:
        UserError: There is no such file; it is something else, damaged or refused; which of several sets of weights is
            meant is unclear; or the weights are not finite.
    """
    if not path.is_file():
        raise UserError(f"no weights file {path}", "check the path: --set weights=FILE")
    try:
        kind = kind_of(path)
    except OSError as error:
        raise UserError(f"cannot read the weights file {path}: {error.strerror or error}") from error
    if kind == "pickle":
        check_torch(str(path))
    found = _read(path, _read_safetensors if kind == "safetensors" else _read_pickle)
    weights = _chosen(found, path)
    check_finite(weights.tensors, path)
    return weights


def check_torch(name: str) -> None:
    """Check that this torch can read a pickle without running code from it.

    Args:
        name: The file, for the message.

    Raises:
        UserError: It is older than 2.10.
    """
    if Version(str(torch.__version__)) < SAFE:
        raise UserError(
            f"the weights file {name} is refused: it is a pickle, and torch {torch.__version__} may run code from it: "
            f"weights_only is not safe before torch {SAFE} (CVE-2026-24747; before 2.6 also CVE-2025-32434)",
            f"use a safetensors file, or install torch {SAFE}; to convert one that you trust: "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW)",
        )


def _read(path: Path, read: Any) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, about the format
            return read(path)
    except Exception as error:  # torch and safetensors raise many kinds of errors for a damaged file
        unsafe = re.findall(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else []
        if unsafe:
            raise UserError(
                f"the weights file {path} is refused: it contains more than weights ({unsafe[0]}), "
                "and reading it could run code",
                STATE_DICT,
            ) from error
        raise UserError(f"the weights file {path} is damaged: {reason(error)}", AGAIN) from error


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]):  # timm's training script saves its arguments as one
        return torch.load(path, map_location="cpu", weights_only=True)


def _chosen(found: Any, path: Path) -> Weights:
    """Choose the set of weights: the only one, the only one with a usual name, or a moving average of the others."""
    if not isinstance(found, Mapping):
        raise UserError(f"{path} contains no named weights: it is a {type(found).__name__}", STATE_DICT)
    sets = _nested(found)
    usual = {name: tensors for name, tensors in sets.items() if _is_usual(name.rpartition(".")[2])}
    own = _named(found)
    if own and not usual:
        return Weights(own)
    offered = usual or sets
    if not offered:
        raise UserError(f"{path} contains no named weights: it has {listing(list(found)) or 'nothing'}", STATE_DICT)
    name = next(iter(offered)) if len(offered) == 1 else _average(offered)
    if name is None:
        sizes = [f"{name} ({len(tensors)} tensors)" for name, tensors in offered.items()]
        raise UserError(
            f"{path} contains several sets of weights: {listing(sizes)}",
            "save the one you want in a file of its own, such as torch.save(torch.load(FILE)["
            f"{next(iter(offered)).partition('.')[0]!r}], NEW)",
        )
    return Weights(offered[name], name if len(sets) > 1 else "")


def _nested(found: Mapping[Any, Any], depth: int = DEPTH) -> dict[str, dict[str, Tensor]]:
    """Return the sets of weights one level down, or further down under usual names."""
    sets = {}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Mapping):
            continue
        if tensors := _named(value):
            sets[name] = tensors
        elif depth > 1 and _is_usual(name):
            sets |= {f"{name}.{inner}": tensors for inner, tensors in _nested(value, depth - 1).items()}
    return sets


def _named(found: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors by name, without wrappers' prefixes; none if they are only numbers, such as a loss."""
    tensors = {
        name: tensor.detach()
        for name, tensor in found.items()
        if isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and not tensor.is_meta
    }
    weights = any(tensor.is_floating_point() and tensor.ndim for tensor in tensors.values())
    return dict(clean_state_dict(tensors)) if weights else {}


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.lower())) - {""}


def _is_usual(name: str) -> bool:
    return _words(name) <= WORDS


def _average(sets: Mapping[str, Mapping[str, Tensor]]) -> str | None:
    """Return the one that is a moving average of all others, by its name and the names of its tensors."""
    averages = [name for name in sets if _words(name) & {"ema", "swa"}]
    if len(averages) != 1 or any(not tensors.keys() <= sets[averages[0]].keys() for tensors in sets.values()):
        return None
    return averages[0]


def reason(error: Exception) -> str:
    """Return an error's kind and the first line of its text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
