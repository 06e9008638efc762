"""BatchNorm folded into convolutions: the same function, wherever it is shown to be; else nothing is touched."""

from __future__ import annotations

import copy
import threading

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d, Conv2dSame, ScaledStdConv2d
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import kagglekit.compute.fuse_batchnorm
from kagglekit.compute.fuse_batchnorm import folded, forget_folded, refolded


def lived_in(model: nn.Module) -> nn.Module:
    """Give BatchNorm layers statistics and weights as after a training; return the model in eval mode."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.5, generator=generator)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def images(n: int = 2, side: int = 64) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("arch", "left"),
    [
        ("test_resnet.r160_in1k", 0),
        ("test_efficientnet.r160_in1k", 0),
        ("test_byobnet.r160_in1k", 0),
        ("tf_mobilenetv3_small_minimal_100", 0),  # its convolutions pad as TensorFlow's do
        ("densenet121", 62),  # of 121: the others come before their convolutions
    ],
)
@torch.no_grad()
def test_timms_networks_give_the_same_logits_without_their_batch_norms(arch, left):
    torch.manual_seed(0)
    model = lived_in(timm.create_model(arch, num_classes=5))
    before, whole = copy.deepcopy(model.state_dict()), model(images())
    twin = folded(model)
    assert norms(model) > norms(twin) == left
    torch.testing.assert_close(twin(images()), whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("arch", ["test_vit.r160_in1k", "test_convnext.r160_in1k", "test_nfnet.r160_in1k"])
def test_where_there_is_no_batch_norm_the_network_itself_is_used(arch):
    model = timm.create_model(arch, num_classes=5).eval()
    assert folded(model) is model


@torch.no_grad()
def test_a_network_that_has_trained_is_folded_again_in_the_same_copy(monkeypatch):
    torch.manual_seed(0)
    model = lived_in(timm.create_model("test_efficientnet.r160_in1k", num_classes=5))
    twin = refolded(model)
    monkeypatch.setattr(copy, "deepcopy", None)  # copying is what takes long
    lived_in(model)
    for parameter in model.parameters():
        parameter.mul_(1.1)
    model.conv_stem.scale = 0.5  # what a plugin's layer may change while it trains
    again = refolded(model)
    monkeypatch.undo()
    assert again is twin
    assert again.conv_stem.scale == 0.5
    torch.testing.assert_close(dict(again.state_dict()), dict(folded(model).state_dict()), rtol=0, atol=0)
    assert torch.equal(again(images()), folded(model)(images()))
    assert refolded(model.to(memory_format=torch.channels_last)) is not twin
    forget_folded(model)
    assert model not in kagglekit.compute.fuse_batchnorm._twins


class Net(nn.Module):
    """A convolution, BatchNorm behind it, and a way to use them."""

    def __init__(self, conv: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = conv or nn.Conv2d(3, 3, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Twice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(x)))


class SeenBefore(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class NormTwice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.norm(self.conv(x)))


class WeightsRead(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv.weight.sum()


class Depends(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.sum() > 0 else self.conv(x)


def hooked() -> Net:
    model = Net()
    model.conv.register_forward_hook(lambda module, inputs, output: output * 2)
    return model


def trained() -> nn.Module:
    model = lived_in(Net())
    model.norm.train()
    return model


@pytest.mark.parametrize(
    "build",
    [
        lambda: lived_in(Twice()),
        lambda: lived_in(SeenBefore()),
        lambda: lived_in(NormTwice()),
        lambda: lived_in(WeightsRead()),
        lambda: lived_in(Depends()),
        lambda: lived_in(hooked()),
        trained,
        lambda: Net(norm=nn.BatchNorm2d(3, track_running_stats=False)).eval(),
        lambda: lived_in(Net(ScaledStdConv2d(3, 3, 3, padding=1))),
        lambda: lived_in(Net(nn.ConvTranspose2d(3, 3, 3, padding=1))),
        lambda: lived_in(Net(parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1)))),
    ],
    ids=[
        "convolution twice",
        "seen before",
        "norm twice",
        "weights read",
        "depends on the data",
        "hook",
        "in training",
        "statistics of the batch",
        "standardised weights",
        "transposed",
        "parametrised",
    ],
)
def test_where_something_else_depends_on_the_pair_nothing_is_folded(build):
    model = build()
    assert folded(model) is model


@pytest.mark.parametrize(
    ("conv", "norm"),
    [
        (nn.Conv2d(3, 4, 3, bias=True, groups=1), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 6, 3, bias=False, groups=3, stride=2), nn.BatchNorm2d(6, affine=False)),
        (Conv2dSame(3, 4, 3, stride=2), BatchNormAct2d(4)),
        (nn.Conv2d(3, 4, 3, padding_mode="reflect", padding=1), BatchNormAct2d(4, act_layer=nn.SiLU)),
    ],
    ids=["bias", "groups, without weights", "timm", "reflect"],
)
@torch.no_grad()
def test_each_kind_of_layer_is_folded(conv, norm):
    model = lived_in(Net(conv, norm))
    twin = folded(model)
    assert not norms(twin)
    torch.testing.assert_close(twin(images()), model(images()), rtol=1e-5, atol=1e-5)


def test_a_shared_head_trains_and_nothing_of_the_body_does():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    model = lived_in(nn.Sequential(body, head))
    body.requires_grad_(False)
    head.train()
    twin = folded(model, shared=head)
    assert not norms(twin)
    assert twin[1] is head
    assert head[0].training
    before = copy.deepcopy(model.state_dict())
    twin(images(4)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert all(parameter.grad is None for parameter in twin[0].parameters())
    torch.testing.assert_close(body.state_dict(), {k[2:]: v for k, v in before.items() if k[0] == "0"}, rtol=0, atol=0)


class Keeps(Net):
    """Keeps what it saw last, for whoever looks."""

    features: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.features = self.conv(x)
        return self.norm(self.features)


def test_a_network_that_cannot_be_copied_is_used_as_it_is():
    keeps, locked = Keeps(), Net()
    keeps(images()).sum().backward()
    locked.lock = threading.Lock()
    features = keeps.features
    for model in (lived_in(keeps), lived_in(locked)):
        assert folded(model) is model
        assert not model.training
    assert keeps.features is features


def test_a_network_that_cannot_be_copied_any_more_is_no_longer_folded():
    model = lived_in(Keeps())
    assert not norms(folded(model))
    assert model.features is None  # the trace's was a copy's
    model.train()(images()).sum().backward()
    assert folded(model.eval()) is model


def test_pairs_in_the_shared_head_are_left_alone():
    head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    model = lived_in(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), head))
    assert norms(folded(model, shared=head)) == 1


def test_a_network_is_traced_once(monkeypatch):
    model, traced = lived_in(Net()), []
    real = kagglekit.compute.fuse_batchnorm._traced_pairs
    monkeypatch.setattr(kagglekit.compute.fuse_batchnorm, "_traced_pairs", lambda it: traced.append(it) or real(it))
    first = folded(model)
    with torch.no_grad():
        model.norm.running_mean += 1
    second = folded(model)
    assert len(traced) == 1
    assert not torch.equal(first.conv.bias, second.conv.bias)
