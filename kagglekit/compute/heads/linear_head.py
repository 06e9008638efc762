"""The only layer of a linear head."""

from __future__ import annotations

from torch import nn

from kagglekit.system.errors import UserError


def linear_layer(head: nn.Module) -> nn.Linear:
    """Return the only layer with parameters of a linear head.

    Raises:
        UserError: The head is more than a linear layer.
    """
    layers = [module for module in head.modules() if list(module.parameters(recurse=False))]
    if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
        raise UserError(
            "solver=regression and solver=stack fit a single linear layer, but this head has more",
            "use gradient steps: --set 'stage.*.solver=gradient'",
        )
    return layers[0]
