"""Places in timm's networks where features can be taken beside the last ones."""

from __future__ import annotations

from typing import Any

from torch import nn

from kagglekit import Tap

EARLIER = 3  # blocks before the head, at the ends of resolutions


def taps_of(body: nn.Module) -> tuple[Tap, ...]:
    """Return the averages of the last blocks that timm lists, and the maximum of the map that the network pools."""
    listed: Any = getattr(body, "feature_info", None) or ()
    names = dict(body.named_modules())
    found = [(str(each["module"]), int(each["num_chs"])) for each in list(listed) if each.get("module") in names]
    taps = [Tap(f"body.{module}", channels, "earlier") for module, channels in found[-EARLIER:]]
    return (*taps, *_maximum(body, found))


def _maximum(body: nn.Module, blocks: list[tuple[str, int]]) -> tuple[Tap, ...]:
    """Return the maximum of the pooling layer's input; without such a layer, of the last block's output."""
    from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d

    pools = [name for name, module in body.named_modules() if isinstance(module, SelectAdaptivePool2d)]
    channels = int(getattr(body, "num_features", 0))
    if pools and channels:
        return (Tap(f"body.{pools[-1]}", channels, "max", of_input=True),)
    return tuple(Tap(f"body.{module}", channels, "max") for module, channels in blocks[-1:])
