"""Low-rank adapters of attention layers: ``W' = W + B A``, of which only B and A train (LoRA).

Hu et al. 2021, arXiv:2106.09685, section 4.1, equation 3, with alpha = r. An adapter changes the weight, not the output
of its layer, so that networks which read the weight themselves (BEiT, EVA) are adapted, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

BLOCK = "attn"  # what timm calls the attention module of a block


class LowRank(nn.Module):
    """Adds ``b @ a`` to a weight; `b` starts at zero, so that the network first computes what it did before.

    Attributes:
        a: (rank, inputs)
        b: (outputs, rank)
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        drawn = torch.randn(rank, inputs, generator=generator) * inputs**-0.5
        self.a = nn.Parameter(drawn.to(weight))
        self.b = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the sum, of the weight's shape."""
        return weight + self.b @ self.a


def attention_layers(model: nn.Module) -> list[str]:
    """Return the names of the linear layers directly in a module that is called ``attn``."""
    return [
        f"{name}.{own}"
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == BLOCK
        for own, layer in module.named_children()
        if isinstance(layer, nn.Linear) and not parametrize.is_parametrized(layer)
    ]


def add_adapters(model: nn.Module, layers: list[str], rank: int, seed: int) -> None:
    """Freeze the weights of these layers, and give each an adapter.

    Args:
        model: The network.
        layers: Names of linear layers.
        rank: Of the adapters.
        seed: Of their `a`.
    """
    generator = torch.Generator().manual_seed(seed)
    for name in layers:
        layer = model.get_submodule(name)
        weight = layer.weight
        assert isinstance(weight, Tensor)
        parametrize.register_parametrization(layer, "weight", LowRank(weight, rank, generator))


def adapters(model: nn.Module) -> dict[str, list[str]]:
    """Return the names of each adapter's parameters by the name of the weight that it belongs to."""
    return {
        f"{name.partition('.parametrizations.')[0]}.weight": [f"{name}.a", f"{name}.b"]
        for name, module in model.named_modules()
        if isinstance(module, LowRank)
    }


def merge_adapters(model: nn.Module) -> None:
    """Replace each weight that has an adapter by their sum, in place, and remove the adapters."""
    for weight in adapters(model):
        parametrize.remove_parametrizations(model.get_submodule(weight.rpartition(".")[0]), "weight")


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name as if the adapters had been merged; the model is not changed."""
    state: dict[str, Tensor] = model.state_dict(keep_vars=True)
    for weight, (a, b) in adapters(model).items():
        layer = weight.rpartition(".")[0]
        original = state.pop(f"{layer}.parametrizations.weight.original")
        with torch.no_grad():
            state[weight] = original + state.pop(b) @ state.pop(a)
    return state
