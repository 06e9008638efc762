"""The built-in optimizers and losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kagglekit import Provides, Recipe, Stage, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from kagglekit import Several, Task


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the optimizers and the losses."""
    return Provides(optimizer=("adamw", "sgd"), loss=("cross-entropy", *_LOSSES, "labels", "blocks"))


@hookimpl
def kagglekit_optimizer(model: nn.Module, groups: list[list[str]], stage: Stage) -> Optimizer | None:
    """Freeze the layer groups before `stage.freeze_to`; give each of the others its own rate.

    Differential rates: Howard and Ruder 2018, arXiv:1801.06146, section 3.2.
    """
    if stage.optimizer not in ("adamw", "sgd"):
        return None
    parameters = dict(model.named_parameters())
    first = stage.freeze_to % len(groups)
    rates = parameter_rates(model, groups, stage)
    param_groups: list[dict[str, Any]] = []
    for number, names in enumerate(groups):
        for name in names:
            parameters[name].requires_grad_(number >= first)
        for lr in dict.fromkeys(rates[name] for name in names if number >= first):
            same = [parameters[name] for name in names if rates[name] == lr]
            param_groups += decay_groups(same, lr, stage.weight_decay)
    return _optimizer(stage.optimizer, param_groups)


def parameter_rates(model: nn.Module, groups: list[list[str]], stage: Stage) -> dict[str, float]:
    """Return the highest learning rate of each parameter: its layer group's, or with `layer_decay` its layer's.

    Layer-wise decay: ``lr * layer_decay ** d`` for a layer d layers before the head (Clark et al. 2020,
    arXiv:2003.10555; for images Bao et al. 2021, arXiv:2106.08254).
    """
    if stage.layer_decay is None:
        rates = zip(groups, group_rates(stage, len(groups)), strict=True)
        return {name: lr for names, lr in rates for name in names}
    numbered: Any = model
    layers: list[list[str]] = numbered.layers()
    shares = {name: stage.layer_decay**depth for depth, names in enumerate(reversed(layers), 1) for name in names}
    return {name: stage.lr * shares.get(name, 1.0) for names in groups for name in names}


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
def kagglekit_loss(recipe: Recipe, task: Task) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return a loss, averaged over the batch; targets that are nan count for nothing.

    ``cross-entropy`` takes probabilities as targets, in nats. ``labels`` is the mean over labels and groups of labels
    that exclude each other; ``blocks`` is the sum of the losses of several targets.
    """
    if recipe.loss == "blocks":
        return partial(_blocks, cast("Several", task))
    if recipe.loss == "labels":
        return partial(_labels, getattr(task, "groups", ()), getattr(task, "free", None))
    if recipe.loss != "cross-entropy":
        return _LOSSES.get(recipe.loss)
    from torch.nn.functional import cross_entropy

    return cross_entropy


def _labels(groups: Sequence[Sequence[int]], free: list[int] | None, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of the log losses of labels, and of groups whose labels exclude each other, nats."""
    if not groups:
        return binary_cross_entropy(outputs, targets)
    parts = [_known_cross_entropy(outputs[:, list(group)], targets[:, list(group)]) for group in groups]
    total = sum(parts[1:], start=parts[0])
    if free:
        total = total + len(free) * binary_cross_entropy(outputs[:, free], targets[:, free])
    return total / (len(groups) + len(free or ()))


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of the log loss of each label, nats."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    known = ~targets.isnan()
    return _mean_of_known(binary_cross_entropy_with_logits(outputs, _filled(targets), reduction="none"), known)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error."""
    return _mean_of_known((outputs - _filled(targets)).square(), ~targets.isnan())


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error."""
    return _mean_of_known((outputs - _filled(targets)).abs(), ~targets.isnan())


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of Huber's loss: squared up to one standard deviation, linear beyond (Huber 1964)."""
    from torch.nn.functional import huber_loss

    return _mean_of_known(huber_loss(outputs, _filled(targets), reduction="none"), ~targets.isnan())


def _filled(targets: Tensor) -> Tensor:
    """Replace nan, whose gradient would be nan even where it is multiplied by 0."""
    return targets.nan_to_num(0.0)


def _mean_of_known(losses: Tensor, known: Tensor) -> Tensor:
    return (losses * known).sum() / known.sum().clamp(min=1)


def _blocks(task: Several, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of each block's loss, by the loss of its kind."""
    parts = [_loss_of(block.task.loss)(outputs[:, block.columns], targets[:, block.columns]) for block in task.blocks]
    return sum(parts[1:], start=parts[0])


def _loss_of(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    if name == "labels":  # a block has one
        return binary_cross_entropy
    return _known_cross_entropy if name == "cross-entropy" else _LOSSES[name]


def _known_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy over the rows whose class is known."""
    known = ~targets.isnan().any(dim=1)
    nats = -(_filled(targets) * outputs.log_softmax(1)).sum(dim=1)
    return _mean_of_known(nats, known)


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "binary-cross-entropy": binary_cross_entropy,
    "squared-error": squared_error,
    "absolute-error": absolute_error,
    "huber": huber,
}
