"""Define the demo competition's network, small enough to train from scratch on two CPU cores in half a minute."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from kagglekit import DataConfig, UserError

WIDTHS = (32, 64, 64, 128, 128)
STRIDES = (2, 2, 1, 2, 1)


class ShapesNet(nn.Module):
    """3x3 convolutions, max pooling over the image, one linear layer.

    Args:
        n_classes: Logits for each image.
        drop_rate: Dropout before the linear layer.
    """

    data_config = DataConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), weights="random")

    def __init__(self, n_classes: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        blocks = zip((3, *WIDTHS), WIDTHS, STRIDES, strict=False)
        self.body = nn.Sequential(*(_block(*sizes) for sizes in blocks))
        self.pool = nn.AdaptiveMaxPool2d(1)  # one shape counts wherever it is, and clutter does not dilute it
        self.head = nn.Sequential(nn.Dropout(drop_rate), nn.Linear(WIDTHS[-1], n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, n_classes) of images (B, 3, S, S)."""
        logits: Tensor = self.head(self.pool(self.body(x)).flatten(1))
        return logits


def layer_groups(net: nn.Module, n: int) -> list[list[str]]:
    """Split the parameters' names into `n` groups: blocks of equally many convolutions, then the head.

    Raises:
        UserError: There are fewer convolutions than groups for them.
    """
    if n - 1 > len(WIDTHS):
        raise UserError(
            f"{n} layer groups are too many: shapes-net has {len(WIDTHS)} layers and a head", "--set groups=3"
        )
    names = [name for name, _ in net.named_parameters()]
    if n == 1:
        return [names]
    cuts = [round(i * len(WIDTHS) / (n - 1)) for i in range(n)]
    parts = [tuple(f"body.{i}." for i in range(a, b)) for a, b in pairwise(cuts)]
    return [[name for name in names if name.startswith(part)] for part in (*parts, ("head.",))]


def _block(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # keeps the scale of an untrained body's features
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))
