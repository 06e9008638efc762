"""The built-in optimizers and loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kagglekit import Provides, Recipe, Stage, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the optimizers and the loss."""
    return Provides(optimizer=("adamw", "sgd"), loss=("cross-entropy",))


@hookimpl
def kagglekit_optimizer(model: nn.Module, groups: list[list[str]], stage: Stage) -> Optimizer | None:
    """Freeze the layer groups before `stage.freeze_to`; give each of the others its own rate.

    Differential rates: Howard and Ruder 2018, arXiv:1801.06146, section 3.2.
    """
    if stage.optimizer not in ("adamw", "sgd"):
        return None
    parameters = dict(model.named_parameters())
    first = stage.freeze_to % len(groups)
    param_groups: list[dict[str, Any]] = []
    for number, (names, lr) in enumerate(zip(groups, group_rates(stage, len(groups)), strict=True)):
        for name in names:
            parameters[name].requires_grad_(number >= first)
        if number >= first:
            param_groups += decay_groups([parameters[name] for name in names], lr, stage.weight_decay)
    return _optimizer(stage.optimizer, param_groups)


def group_rates(stage: Stage, n: int) -> list[float]:
    """Return the highest learning rate of each of `n` layer groups, earliest first.

    The head has lr, the group before it lr / factor, the first lr / factor^2, with geometric spacing between them.
    Explicit rates override them.
    """
    if stage.group_lrs is not None:
        return list(stage.group_lrs)
    body = n - 1
    powers = [1 + (body - 1 - i) / (body - 1) if body > 1 else 1.0 for i in range(body)]
    return [stage.lr / stage.body_factor**power for power in powers] + [stage.lr]


def decay_groups(parameters: list[nn.Parameter], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters into decayed weights and undecayed biases and scales (one-dimensional)."""
    weights = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": weights, "lr": lr, "weight_decay": weight_decay},
        {"params": others, "lr": lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _optimizer(name: str, param_groups: list[dict[str, Any]]) -> Optimizer:
    import torch

    device = param_groups[0]["params"][0].device.type
    fused = device in ("cpu", "cuda", "mps")
    if name == "sgd":
        return torch.optim.SGD(param_groups, momentum=0.9, nesterov=True, fused=fused and device != "mps")
    return torch.optim.AdamW(param_groups, betas=(0.9, 0.99), eps=1e-5, fused=fused)


@hookimpl
def kagglekit_loss(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return cross-entropy with probabilities as targets, in nats, averaged over the batch."""
    if recipe.loss != "cross-entropy":
        return None
    from torch.nn.functional import cross_entropy

    return cross_entropy
