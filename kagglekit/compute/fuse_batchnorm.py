"""Fold BatchNorm into the convolutions before it: the same function with fewer passes over the activations."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

Pair = tuple[str, str]  # names of a convolution and of the BatchNorm layer behind it

_PLAIN = (bool, int, float, str)

_pairs: WeakKeyDictionary[nn.Module, list[Pair]] = WeakKeyDictionary()  # tracing takes longer than folding
_twins: WeakKeyDictionary[nn.Module, _Twin] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Twin:
    """A folded copy, with the pairs that were folded, and name and strides of the network's tensors at that time."""

    network: nn.Module
    pairs: list[Pair]
    layout: list[tuple[str, tuple[int, ...]]]


def folded(model: nn.Module, shared: nn.Module | None = None) -> nn.Module:
    """Return a copy of a network with the BatchNorm layers in eval mode folded into the convolutions before them.

    In eval mode BatchNorm is ``y = gamma (x - mean) / sqrt(var + eps) + beta``. A convolution with the weights
    ``gamma w / sqrt(var + eps)`` computes the same (Jacob et al. 2018, "Quantization and training of neural networks
    for efficient integer-arithmetic-only inference", arXiv:1712.05877, section 3.2). The results differ by rounding.

    A pair is folded if a trace of the network shows that no other layer uses the tensor between the two. A network that
    cannot be copied, for example because it holds a lock or activations, is returned unchanged.

    Args:
        model: Not changed; its modules keep their modes.
        shared: A part of the network that the copy shares unchanged: a head that trains.

    Returns:
        The copy, whose convolutions must not be trained; the network itself if nothing is folded.
    """
    pairs = _pairs_to_fold(model, shared)
    twin = copied(model, shared) if pairs else None
    if twin is None:
        return model
    for conv, norm in pairs:
        _fold(twin, conv, norm)
    return twin


def refolded(model: nn.Module) -> nn.Module:
    """Return what `folded` returns, in the copy of the last call: for a network that trains between two calls.

    Copying weights takes a fraction of the time of copying a network. The copy is kept until `forget_folded`.
    """
    kept, pairs = _twins.get(model), _pairs_to_fold(model)
    tensors = _tensors(model)
    layout = [(name, tensor.stride()) for name, tensor in tensors.items()]
    if kept and kept.pairs == pairs and kept.layout == layout:
        _refold(kept, model, tensors)
        return kept.network
    twin = folded(model)
    if twin is not model:
        _twins[model] = _Twin(twin, pairs, layout)
    return twin


def forget_folded(model: nn.Module) -> None:
    """Free the copy that `refolded` keeps of a network."""
    _twins.pop(model, None)


def copied(model: nn.Module, shared: nn.Module | None = None) -> nn.Module | None:
    """Return a copy of a network, which may share a part with it; None if the network cannot be copied."""
    try:
        return copy.deepcopy(model, {} if shared is None else {id(shared): shared})
    except Exception:  # a plugin's network may hold anything, and raise anything
        return None


def _pairs_to_fold(model: nn.Module, shared: nn.Module | None = None) -> list[Pair]:
    apart = set() if shared is None else set(shared.modules())
    return [
        (conv, norm)
        for conv, norm in _found_pairs(model)
        if not model.get_submodule(norm).training and not apart & {*map(model.get_submodule, (conv, norm))}
    ]


def _found_pairs(model: nn.Module) -> list[Pair]:
    if model not in _pairs:
        some = any(isinstance(module, _BatchNorm) for module in model.modules())
        twin = copied(model) if some else None  # a trace would replace what forward passes store in the network
        _pairs[model] = [] if twin is None else _traced_pairs(twin)
    return _pairs[model]


class _Tracer(fx.Tracer):
    """Treats timm's subclasses of convolution and BatchNorm as leaves."""

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
        """Return whether a node is an unhooked module of exactly these kinds, used once, with weights of its own."""
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
    """Return the classes of layers whose output is linear in their `weight`, plus their `bias`."""
    return nn.Conv2d, *_timms("Conv2dSame")


def _norms() -> tuple[type[nn.Module], ...]:
    return nn.BatchNorm2d, *_timms("BatchNormAct2d")


def _timms(name: str) -> tuple[type[nn.Module], ...]:
    """Return a layer class of timm's; nothing if timm has not been imported, as no network has that layer then."""
    layers = sys.modules.get("timm.layers")
    return (getattr(layers, name),) if hasattr(layers, name) else ()


def _fold(model: nn.Module, conv: str, norm: str) -> None:
    before: Any = model.get_submodule(conv)
    weight, bias = _fused(model, conv, norm)
    before.weight, before.bias = weight.requires_grad_(False), bias.requires_grad_(False)
    behind: Any = model.get_submodule(norm)
    rest = nn.Identity() if type(behind) is nn.BatchNorm2d else nn.Sequential(behind.drop, behind.act)
    parent, _, own = norm.rpartition(".")
    setattr(model.get_submodule(parent), own, rest.eval())


@torch.no_grad()
def _fused(model: nn.Module, conv: str, norm: str) -> tuple[nn.Parameter, nn.Parameter]:
    before: Any = model.get_submodule(conv)
    behind: Any = model.get_submodule(norm)
    return fuse_conv_bn_weights(
        before.weight, before.bias, behind.running_mean, behind.running_var, behind.eps, behind.weight, behind.bias
    )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def _refold(twin: _Twin, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy weights into a folded copy, and the plain values that forward passes may have set in modules."""
    fused = {f"{conv}.{part}" for conv, _ in twin.pairs for part in ("weight", "bias")}
    same = {name: tensor for name, tensor in _tensors(twin.network).items() if name not in fused}
    if same:
        torch._foreach_copy_(list(same.values()), [tensors[name] for name in same])
    for conv, norm in twin.pairs:
        layer: Any = twin.network.get_submodule(conv)
        for mine, now in zip((layer.weight, layer.bias), _fused(model, conv, norm), strict=True):
            mine.copy_(now)
    modules = dict(model.named_modules())
    for name, module in twin.network.named_modules():
        if type(module) is type(modules.get(name)):
            set_now = vars(modules[name]).items()
            vars(module).update({key: value for key, value in set_now if isinstance(value, _PLAIN)})
