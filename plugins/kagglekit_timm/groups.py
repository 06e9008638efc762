"""Layer groups of timm's networks: parts of the body, then the head."""

from __future__ import annotations

from itertools import chain, pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kagglekit import UserError

if TYPE_CHECKING:
    from torch import nn


def layer_groups(model: nn.Module, n: int) -> list[list[str]] | None:
    """Split a network's parameters into `n` layer groups, earliest first, the head last.

    The body's layers, as timm numbers them, are distributed evenly over the groups before the head.

    Returns:
        Parameter names, each once; None if it is not a network of timm's.

    Raises:
        UserError: There are fewer layers than groups.
    """
    prefix = "body." if hasattr(getattr(model, "body", None), "pretrained_cfg") else ""
    body = model.get_submodule(prefix[:-1])
    if not hasattr(body, "pretrained_cfg"):  # every network that timm creates has one
        return None
    everything = [name for name, _ in model.named_parameters()]
    head = {name for name in everything if not name.startswith(prefix)} if prefix else _classifier_names(model)
    layers = [[prefix + name for name in layer if prefix + name not in head] for layer in _layers(body)]
    layers = [layer for layer in layers if layer]
    parts = n - 1
    if len(layers) < parts:
        raise UserError(
            f"too many layer groups ({n}): the body has {len(layers)} layers", f"--set groups={len(layers) + 1}"
        )
    cuts = [round(i * len(layers) / parts) for i in range(parts + 1)]
    body_groups = [list(chain.from_iterable(layers[a:b])) for a, b in pairwise(cuts)]
    return [*body_groups, [name for name in everything if name in head]]


def numbered_layers(body: Any) -> list[list[str]]:
    """Return the parameter names of each layer of a network without its classifier, as timm's layer decay numbers them.

    What timm numbers with the classifier (the norm before it, in some networks) is in none of them: it is the head's.
    """
    layers = _layers(body)
    if not hasattr(body, "group_matcher"):
        return layers
    from timm.models import group_parameters

    cfg: Any = body.pretrained_cfg
    found = cfg["classifier"] if isinstance(cfg, dict) else cfg.classifier
    classifier = f"{found if isinstance(found, str) else found[0]}.weight"
    whole: Any = SimpleNamespace(named_parameters=lambda: [*body.named_parameters(), (classifier, None)])
    grouped = group_parameters(whole, body.group_matcher(coarse=False), reverse=True)
    return [names for names in layers if grouped[names[0]] != grouped[classifier]]


def _layers(body: Any) -> list[list[str]]:
    """Return the parameter names of each layer: by timm's numbering, or else by their names."""
    from timm.models import group_parameters

    if hasattr(body, "group_matcher"):
        return [names for _, names in sorted(group_parameters(body, body.group_matcher(coarse=False)).items())]
    layers: dict[str, list[str]] = {}
    for name, _ in body.named_parameters():
        layers.setdefault(_layer_name(name), []).append(name)
    return list(layers.values())


def _layer_name(parameter: str) -> str:
    """Cut ``stages.1.blocks.0.norm.weight`` after its second number: ``stages.1.blocks.0``."""
    parts = parameter.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()][:2]
    return ".".join(parts[: numbers[-1] + 1]) if numbers else parts[0]


def _classifier_names(model: nn.Module) -> set[str]:
    timm_model: Any = model
    found = timm_model.get_classifier()
    modules = found if isinstance(found, tuple | list) else (found,)
    ids = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}
