"""BatchNorm folded into the convolutions before it: the same function with fewer passes over the activations."""

from __future__ import annotations

import copy
import sys
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

Pair = tuple[str, str]  # names of a convolution and of the BatchNorm layer behind it

_pairs: WeakKeyDictionary[nn.Module, list[Pair]] = WeakKeyDictionary()  # tracing takes longer than folding


def folded(model: nn.Module, shared: nn.Module | None = None) -> nn.Module:
    """Return a copy of a network in which BatchNorm layers in eval mode are part of the convolutions before them.

    There BatchNorm is ``y = gamma (x - mean) / sqrt(var + eps) + beta``, which the convolution can do: it takes the
    weights ``gamma w / sqrt(var + eps)`` (Jacob et al. 2018, "Quantization and training of neural networks for
    efficient integer-arithmetic-only inference", arXiv:1712.05877, section 3.2). The results differ by rounding only.

    A pair is folded where a trace of the network shows that nothing else sees what lies between the two. A network
    that can't be copied, since it keeps a lock or the activations of its last step, is left as it is.

    Args:
        model: Not changed; each of its modules in its mode.
        shared: A part of it that the copy is to share, as it is: a head that trains.

    Returns:
        The copy, whose convolutions are not for training; the network itself where nothing is folded.
    """
    apart = set() if shared is None else set(shared.modules())
    pairs = [
        (conv, norm)
        for conv, norm in _found_pairs(model)
        if not model.get_submodule(norm).training and not apart & {*map(model.get_submodule, (conv, norm))}
    ]
    twin = copied(model, shared) if pairs else None
    if twin is None:
        return model
    for conv, norm in pairs:
        _fold(twin, conv, norm)
    return twin


def copied(model: nn.Module, shared: nn.Module | None = None) -> nn.Module | None:
    """Return a copy of a network, which shares a part of it if asked; None if it holds what can't be copied."""
    try:
        return copy.deepcopy(model, {} if shared is None else {id(shared): shared})
    except Exception:  # whatever a plugin's network keeps, and however it says so
        return None


def _found_pairs(model: nn.Module) -> list[Pair]:
    if model not in _pairs:
        some = any(isinstance(module, _BatchNorm) for module in model.modules())
        twin = copied(model) if some else None  # what a forward pass keeps, a trace would replace by its own
        _pairs[model] = [] if twin is None else _traced_pairs(twin)
    return _pairs[model]


class _Tracer(fx.Tracer):
    """Does not look into timm's layers, which are a convolution or a BatchNorm with something around it."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (nn.Conv2d, _BatchNorm)) or super().is_leaf_module(m, module_qualified_name)


def _traced_pairs(model: nn.Module) -> list[Pair]:
    try:
        graph = _Tracer().trace(model)
    except Exception:
        return []
    modules, convolutions, norms = dict(model.named_modules()), _convolutions(), _norms()
    targets = [str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")]

    def plain(node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> bool:
        """Whether it is a module of these very kinds, without hooks, used once, and no one else reads its weights."""
        if node.op != "call_module":
            return False
        name, module = str(node.target), modules[str(node.target)]
        uses = [target for target in targets if target == name or target.startswith(f"{name}.")]
        return type(module) in kinds and not module._forward_hooks and not module._forward_pre_hooks and len(uses) == 1

    pairs = []
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or not plain(node, norms) or not plain(before, convolutions):
            continue
        if len(before.users) == 1 and modules[str(node.target)].running_mean is not None:
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _convolutions() -> tuple[type[nn.Module], ...]:
    """Return the layers whose output is linear in their `weight`, plus their `bias`."""
    return nn.Conv2d, *_timms("Conv2dSame")


def _norms() -> tuple[type[nn.Module], ...]:
    return nn.BatchNorm2d, *_timms("BatchNormAct2d")


def _timms(name: str) -> tuple[type[nn.Module], ...]:
    """Return a layer of timm's; nothing where timm has not been imported: no network has that layer then."""
    layers = sys.modules.get("timm.layers")
    return (getattr(layers, name),) if hasattr(layers, name) else ()


def _fold(model: nn.Module, conv: str, norm: str) -> None:
    before: Any = model.get_submodule(conv)
    behind: Any = model.get_submodule(norm)
    with torch.no_grad():
        weight, bias = fuse_conv_bn_weights(
            before.weight, before.bias, behind.running_mean, behind.running_var, behind.eps, behind.weight, behind.bias
        )
    before.weight, before.bias = weight.requires_grad_(False), bias.requires_grad_(False)
    rest = nn.Identity() if type(behind) is nn.BatchNorm2d else nn.Sequential(behind.drop, behind.act)
    parent, _, own = norm.rpartition(".")
    setattr(model.get_submodule(parent), own, rest.eval())
