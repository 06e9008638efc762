"""What a training loop needs, on made-up inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from kagglekit import SingleLabel, Stage
from kagglekit.compute.device import Compute, Format
from kagglekit.training.state import StageFit
from kagglekit_schedules import kagglekit_schedule
from kagglekit_training import kagglekit_optimizer

FP32 = Format("fp32", channels_last=True)


THREE = SingleLabel(("a", "b", "c"))

CPU = Compute(torch.device("cpu"), FP32, FP32, "test")


class Memory:
    """Images held in memory."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images
        self.size = images.shape[-1]

    def batches(self, rows, pass_number):
        for picked in rows:
            yield self.images[torch.from_numpy(picked)]


def network() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    )
    return nn.Sequential(body, nn.Dropout(0.1), nn.Linear(128, 3))


def fit(n: int = 24, model: nn.Module | None = None, images: torch.Tensor | None = None, **fields: object) -> StageFit:
    model = model or network()
    if images is None:
        images = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    stage = Stage(**{"name": "s", "size": 8, "batch_size": 8, "lr": 0.01, "schedule": "constant", **fields})
    names = [name for name, _ in model.named_parameters()]
    optimizer = kagglekit_optimizer(model, [names[:-2], names[-2:]], stage)
    schedule = kagglekit_schedule(stage, n // min(n, stage.batch_size))
    assert optimizer
    assert schedule
    labels = np.arange(n) % 3
    return StageFit(
        model.train(),
        Memory(images),
        np.arange(n),
        labels,
        THREE,
        stage,
        1,
        optimizer,
        schedule,
        cross_entropy,
        CPU,
        FP32,
        0,
    )
