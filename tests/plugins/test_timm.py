from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytest
import timm
import torch
from places import SHARED
from safetensors.torch import load_file, save_file
from torch import nn

from kagglekit import DataConfig, Recipe, Stage, UserError
from kagglekit.compute.network import frozen_names, head_module, input_of, round_sizes, set_input_size, set_modes
from kagglekit_timm import kagglekit_layer_groups, kagglekit_model, kagglekit_provides

NETWORKS = [
    "resnet18",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "efficientnet_b0",
    "mobilenetv2_100",
    "mobilenetv4_conv_small",
]
REAL_WEIGHTS = SHARED / "weights" / "mobilenetv2_100_in1k.safetensors"


def recipe(arch: str, *sizes: int, **settings: Any) -> Recipe:
    stages = tuple(Stage(name=f"s{i}", size=size) for i, size in enumerate(sizes or (64,)))
    return Recipe(arch=arch, stages=stages, **{"pretrained": False, **settings})


def build(arch: str, *sizes: int, n_classes: int = 5, **settings: Any) -> Any:
    return kagglekit_model(recipe(arch, *sizes, **settings), n_classes)


def file_of(path: Path, arch: str, num_classes: int = 1000) -> Path:
    """Write the weights of timm's own network, its classifier included."""
    torch.manual_seed(3)
    model = timm.create_model(arch, num_classes=num_classes)
    nn.init.normal_(model.get_classifier().bias)  # timm begins with zeros
    save_file(model.state_dict(), path)
    return path


@pytest.mark.parametrize(
    "arch",
    [
        "test_resnet",
        "test_vit",
        "test_efficientnet",
        "test_convnext",
        "mobilenetv3_small_050",
        "mobilenetv4_conv_small",
    ],
)
def test_the_classifier_of_the_pretraining_is_kept_for_the_features_that_the_head_reads(arch: str, tmp_path: Path):
    weights = file_of(tmp_path / "weights.safetensors", arch, num_classes=11)
    whole = timm.create_model(arch, num_classes=11).eval()
    whole.load_state_dict(load_file(weights))
    model = build(arch, 160, pretrained=True, weights=str(weights)).eval()
    source, images = model.source_classifier, torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        logits = model.body(images) @ source.weight.T + source.bias
        torch.testing.assert_close(logits, whole(images), rtol=1e-3, atol=1e-4)


def test_without_a_classifier_on_these_features_there_is_none(tmp_path: Path):
    weights = file_of(tmp_path / "weights.safetensors", "resnet18")
    assert build("resnet18").source_classifier is None
    assert build("resnet18", pretrained=True, weights=str(weights), head="concat-pool").source_classifier is None
    known = load_file(weights)
    bare = {name: value for name, value in known.items() if not name.startswith("fc.")}
    for number, other in enumerate((bare, {**known, "fc.bias": torch.zeros(1000)})):  # the latter as CLIP's projection
        save_file(other, file := tmp_path / f"{number}.safetensors")
        assert build("resnet18", pretrained=True, weights=str(file)).source_classifier is None


@pytest.mark.parametrize("arch", NETWORKS)
def test_a_network_trains_at_two_sizes_in_layer_groups_that_hold_each_parameter_once(arch: str):
    model = build(arch, 64, 96)
    names = [name for name, _ in model.named_parameters()]
    for n in (2, 3, 5):
        groups = kagglekit_layer_groups(model, recipe(arch, groups=n))
        assert len(groups) == n
        assert all(groups)
        assert sorted(name for group in groups for name in group) == sorted(names)
    assert groups[-1] == ["head.weight", "head.bias"]
    assert head_module(model, groups) == ("head", model.head)
    assert groups[0][0] == names[0]  # the stem is in the earliest group
    layers = [body_layers(arch, group) for group in groups[:-1]]
    assert max(layers) - min(layers) <= 1
    shapes = {name: p.shape for name, p in model.named_parameters()}
    for size in (64, 96):
        before = model.head.weight.detach().clone(), next(model.body.parameters()).detach().clone()
        step(model, size)
        assert not torch.equal(before[0], model.head.weight)
        assert not torch.equal(before[1], next(model.body.parameters()))
    assert {name: p.shape for name, p in model.named_parameters()} == shapes


def body_layers(arch: str, names: list[str]) -> int:
    """Count timm's layers among parameter names."""
    body = timm.create_model(arch, num_classes=0)
    number = timm.models.group_parameters(body, body.group_matcher(coarse=False), reverse=True)
    return len({number[name.removeprefix("body.")] for name in names})


def step(model: nn.Module, size: int) -> None:
    set_input_size(model, size)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logits = model(torch.randn(4, 3, size, size))
    assert logits.shape == (4, 5)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_transformer_freed_from_its_size_says_the_same_at_that_size(arch: str):
    model, plain = build(arch, 224, 96).eval(), timm.create_model(arch, num_classes=0).eval()
    plain.load_state_dict(model.body.state_dict())
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.body(x), plain(x))


def test_a_frozen_body_keeps_its_buffers_and_the_heads_dropout_works():
    model = build("resnet18", drop_rate=0.5, drop_path=0.5)
    groups = kagglekit_layer_groups(model, recipe("resnet18"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in groups[-1])
    set_modes(model, frozen_names(model), "update", head_module(model, groups)[0])
    before = {name: tensor.clone() for name, tensor in model.body.state_dict().items()}
    x = torch.randn(4, 3, 64, 64)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(input_of(model, model.head, x), input_of(model, model.head, x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.body.state_dict().items())


def test_new_weights_depend_on_the_seed_and_on_nothing_else():
    torch.manual_seed(5)
    first = build("test_resnet")
    state = torch.get_rng_state()
    again, other = build("test_resnet"), build("test_resnet", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.head.weight, again.head.weight)
    states = zip(first.body.state_dict().values(), again.body.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in states)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_the_data_config_is_that_of_the_weights():
    assert build("vit_tiny_patch16_224").data_config == DataConfig((0.5,) * 3, (0.5,) * 3, 16, "", "random")
    assert build("resnet18.tv_in1k").data_config.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("arch", "multiple"), [("resnet18", 1), ("convnext_atto", 1), ("vit_small_patch14_dinov2", 14), ("dla34", 32)]
)
def test_the_multiple_is_what_the_network_needs(arch: str, multiple: int):
    asked = recipe(arch, 100, 150)
    model = kagglekit_model(asked, 5).eval()
    assert model.data_config.multiple == multiple
    for size in round_sizes(asked, multiple).sizes:
        with torch.no_grad():
            assert model(torch.randn(1, 3, size, size)).shape == (1, 5)


def test_a_network_that_must_be_told_its_size_is_told():
    if not hasattr(timm.models.VisionTransformerRelPos, "set_input_size"):
        pytest.skip("this timm can't tell any network that it can't free")
    model = build("vit_relpos_small_patch16_224", 48, 64).eval()
    for size in (64, 48):
        set_input_size(model, size)
        assert model(torch.randn(1, 3, size, size)).shape == (1, 5)


def test_a_network_of_one_size_only_is_refused_for_growing_sizes_and_built_at_one():
    with pytest.raises(UserError, match=r"gmlp_s16_224 has a fixed image size.* \(48, 64\)"):
        build("gmlp_s16_224", 48, 64)
    assert build("gmlp_s16_224", 64).eval()(torch.randn(1, 3, 64, 64)).shape == (1, 5)


def test_a_size_that_is_too_small_is_refused_before_anything_starts():
    with pytest.raises(UserError, match="inception_v3 does not accept images of 32 px"):
        build("inception_v3", 32)


@pytest.mark.parametrize(
    "arch", ["resnet18", "convnext_atto", "swin_tiny_patch4_window7_224", "mobilenetv4_conv_small"]
)
def test_the_concat_pool_head_pools_average_and_maximum(arch: str):
    model = build(arch, 64, head="concat-pool", drop_rate=0.5).eval()
    x = torch.randn(2, 3, 64, 64)
    assert model(x).shape == (2, 5)
    seen = input_of(model, model.head, x)
    half = seen.shape[1] // 2
    assert half == model.body.num_features or half == model.body.head_hidden_size
    assert (seen[:, half:] >= seen[:, :half]).all()
    kinds = [type(module).__name__ for module in model.head]
    assert kinds == ["BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert (model.head[1].p, model.head[5].p, model.head[2].out_features) == (0.25, 0.5, 512)
    groups = kagglekit_layer_groups(model, recipe(arch))
    assert head_module(model, groups) == ("head", model.head)


def test_the_concat_pool_head_agrees_with_timms_pooling():
    model = build("resnet18", head="concat-pool").eval()
    plain = timm.create_model("resnet18", num_classes=0, global_pool="catavgmax").eval()
    plain.load_state_dict(model.body.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(input_of(model, model.head, x), plain(x))


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "efficientvit_b0"])
def test_the_concat_pool_head_is_refused_where_there_is_no_map(arch: str):
    with pytest.raises(UserError, match=f"{arch} returns no feature map"):
        build(arch, head="concat-pool")


def test_stochastic_depth_reaches_the_body_or_is_refused():
    from timm.layers import DropPath

    rates = [
        module.drop_prob for module in build("convnext_atto", drop_path=0.2).modules() if isinstance(module, DropPath)
    ]
    assert max(rates) == pytest.approx(0.2)
    with pytest.raises(UserError, match="vgg11 has no stochastic depth"):
        build("vgg11", drop_path=0.2)


def test_heads_of_other_plugins_are_left_to_them():
    assert kagglekit_provides().head == ("linear", "concat-pool")
    assert kagglekit_model(recipe("resnet18", head="attention"), 5) is None


def test_an_unknown_network_is_refused_with_the_nearest_names():
    with pytest.raises(UserError, match=r"no network 'resnet43'; similar: .*resnet34"):
        build("resnet43.a1_in1k")
    with pytest.raises(UserError, match="no network 'timm/resnet34'"):
        build("timm/resnet34")


def test_an_unknown_tag_is_refused_with_those_that_exist():
    with pytest.raises(UserError, match=r"no weights 'foo' of resnet34; it has .*a1_in1k.*tv_in1k"):
        build("resnet34.foo")


@pytest.mark.parametrize(
    ("arch", "message"), [("resnet50d_evos", "no network"), ("darknet17", "no pretrained weights")]
)
def test_a_network_without_pretrained_weights_says_so(arch: str, message: str):
    with pytest.raises(UserError, match=message):
        build(arch, pretrained=True)


def test_layer_groups_of_timms_bare_networks_and_of_those_without_a_matcher_are_found():
    bare = timm.create_model("resnet18", num_classes=3)
    groups = kagglekit_layer_groups(bare, recipe("x", groups=3))
    assert groups[-1] == ["fc.weight", "fc.bias"]
    assert sorted(chain.from_iterable(groups)) == sorted(name for name, _ in bare.named_parameters())
    assert not hasattr(timm.create_model("caformer_s18").__class__, "group_matcher")
    model = build("caformer_s18", 64)
    groups = kagglekit_layer_groups(model, recipe("x", groups=4))
    assert sorted(chain.from_iterable(groups)) == sorted(name for name, _ in model.named_parameters())
    assert [group[0].split(".")[1:3] for group in groups[:2]] == [["stem", "conv"], ["stages", "2"]]


def test_networks_that_are_not_timms_are_left_to_their_plugin():
    assert kagglekit_layer_groups(nn.Sequential(nn.Linear(2, 2)), recipe("x")) is None
    holder = nn.Module()
    holder.body = nn.Linear(2, 2)
    assert kagglekit_layer_groups(holder, recipe("x")) is None


def test_more_groups_than_layers_are_refused():
    with pytest.raises(UserError, match=r"too many layer groups \(30\): the body has 9 layers"):
        kagglekit_layer_groups(build("resnet18"), recipe("resnet18", groups=30))


@pytest.mark.parametrize("wrapped", ["bare", "state_dict", "model"])
def test_a_local_file_fills_the_body_and_the_head_is_new(tmp_path: Path, wrapped: str):
    own = timm.create_model("test_resnet", num_classes=1000)
    state = own.state_dict()
    path = tmp_path / "w.pth"
    if wrapped == "bare":
        path = tmp_path / "w.safetensors"
        save_file(state, path)
    else:
        torch.save({wrapped: {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}, path)
    model = build("test_resnet", pretrained=True, weights=str(path))
    body = model.body.state_dict()
    assert len(body) > 20
    assert all(torch.equal(state[name], tensor) for name, tensor in body.items())
    assert model.head.weight.shape[0] == 5
    assert model.data_config.weights == str(path)
    assert "local file" in model.data_config.licence


def test_a_file_that_pretrained_false_would_leave_unread_is_refused():
    with pytest.raises(UserError, match=r"weights=w\.pth has no effect with pretrained=false"):
        build("test_resnet", pretrained=False, weights="w.pth")


def test_position_embeddings_of_another_size_are_resized(tmp_path: Path):
    torch.manual_seed(0)
    large = timm.create_model("vit_tiny_patch16_224", img_size=96, num_classes=7)
    save_file(large.state_dict(), tmp_path / "w.safetensors")
    model = build("vit_tiny_patch16_224", pretrained=True, weights=str(tmp_path / "w.safetensors"))
    assert model.body.pos_embed.shape == (1, 197, 192)
    assert torch.equal(model.body.cls_token, large.cls_token)


def test_a_wider_networks_file_is_refused_with_the_shapes(tmp_path: Path):
    path = file_of(tmp_path / "w.safetensors", "resnet50")
    with pytest.raises(
        UserError, match=r"does not fit resnet18: layer1\.0\.conv1\.weight is \[64, 64, 1, 1\] in the file"
    ):
        build("resnet18", pretrained=True, weights=str(path))


def test_a_deeper_networks_file_is_refused_though_every_layer_is_filled(tmp_path: Path):
    path = file_of(tmp_path / "w.safetensors", "resnet34")
    with pytest.raises(UserError, match=r"larger network than resnet18, which has no layer1\.2\.bn1\.bias"):
        build("resnet18", pretrained=True, weights=str(path))


def test_a_shallower_networks_file_is_refused_with_what_is_missing(tmp_path: Path):
    path = file_of(tmp_path / "w.safetensors", "resnet18")
    with pytest.raises(UserError, match=r"lacks \d+ of \d+ tensors of resnet34: layer1\.2\.conv1\.weight"):
        build("resnet34", pretrained=True, weights=str(path))


def test_a_file_that_fills_no_layer_is_refused_with_both_sides_first_names(tmp_path: Path):
    save_file({"encoder.w": torch.ones(2), "fc.bias": torch.ones(1000)}, tmp_path / "w.safetensors")
    with pytest.raises(
        UserError, match=r"fills no layer of resnet18: it has encoder\.w.*the network has conv1\.weight"
    ):
        build("resnet18", pretrained=True, weights=str(tmp_path / "w.safetensors"))


class Evil:
    """A pickle that makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_pickle_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path: Path):
    for name, save in (("new.pth", torch.save), ("old.bin", lambda x, path: path.write_bytes(pickle.dumps(x)))):
        save({"conv1.weight": Evil(tmp_path / "ran")}, tmp_path / name)
        with pytest.raises(UserError, match=name):
            build("resnet18", pretrained=True, weights=str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\x80\x02broken", b"\x10\0\0\0\0\0\0\0{truncated"]
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors"):
        build("resnet18", pretrained=True, weights=str(path))


def test_a_missing_file_and_a_file_without_weights_are_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"no weights file .*nowhere\.pth"):
        build("resnet18", pretrained=True, weights=str(tmp_path / "nowhere.pth"))
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match=r"empty\.pth contains no named weights"):
        build("resnet18", pretrained=True, weights=str(tmp_path / "empty.pth"))


@pytest.mark.skipif(not REAL_WEIGHTS.exists(), reason="the pretrained weights that development uses are not here")
def test_the_pretrained_weights_that_development_uses_fill_the_whole_body():
    model = build("mobilenetv2_100", 64, pretrained=True, weights=str(REAL_WEIGHTS))
    file = load_file(REAL_WEIGHTS)
    assert all(torch.equal(file[name], tensor) for name, tensor in model.body.state_dict().items())


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for two repositories, never for another, and knows no others."""

    files: ClassVar[dict[str, bytes]] = {}  # by address
    sent: ClassVar[list[str]] = []
    hang = threading.Event()

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        if "/test_vit." in self.path:
            self.hang.wait(60)
            return
        if self.path in self.files:
            file = self.files[self.path]
            self.send_response(200)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{len(file)}"')
            self.send_header("Content-Length", str(len(file)))
            self.end_headers()
            if body:
                self.sent.append(self.path)
                self.wfile.write(file)
            return
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = file_of(tmp_path_factory.mktemp("hub") / "w", "test_resnet")
    Hub.files["/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"] = path.read_bytes()
    torch.save(timm.create_model("test_byobnet").state_dict(), path)
    Hub.files["/timm/test_byobnet.r160_in1k/resolve/main/pytorch_model.bin"] = path.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Hub.hang.set()
    server.shutdown()
    server.server_close()


TRY = """
    import json, sys, time
    from kagglekit_timm import kagglekit_model
    from kagglekit import Recipe, Stage, UserError
    import kagglekit_timm.network

    for arch in sys.argv[1:]:
        started = time.perf_counter()
        try:
            model = kagglekit_model(Recipe(arch=arch, stages=(Stage(name="a", size=64),)), 5)
            first = next(model.body.parameters()).sum().item()
            said = [model.data_config.weights, model.data_config.licence, first]
        except UserError as error:
            said = str(error)
        print(json.dumps([said, time.perf_counter() - started]), flush=True)
"""


def ask_hub(endpoint: str, cache: Path, *archs: str) -> subprocess.Popen[str]:
    """Build networks one after the other in a new process that knows this hub only."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING")) and "proxy" not in k.lower()}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(TRY), *archs]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def answers_of(process: subprocess.Popen[str]) -> list[Any]:
    """Return what each network's building said and the seconds it took; nothing else may be printed."""
    out, errors = process.communicate(timeout=120)
    assert errors == ""
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def test_weights_come_from_the_hub_and_next_time_from_the_cache_or_are_missed_within_seconds(hub: str, tmp_path: Path):
    refused = ask_hub("http://127.0.0.1:9", tmp_path / "other", "test_vit.r160_in1k")
    archs = [f"test_{name}.r160_in1k" for name in ("resnet", "resnet", "byobnet", "vit", "vit2")]
    asked = ask_hub(hub, tmp_path, *archs)
    (first, _), (again, _), (pickled, _), (silent, seconds), (unknown, _) = answers_of(asked)
    assert first[:2] == ["timm/test_resnet.r160_in1k", "apache-2.0"]
    assert again == first
    assert [line.split(".")[0] for line in Hub.sent].count("/timm/test_resnet") == 1  # the second time from the cache
    assert pickled[0] == "timm/test_byobnet.r160_in1k"  # where there is no safetensors file
    assert seconds < 12
    for part in (
        "cannot get the pretrained weights of test_vit.r160_in1k",
        "no response within",
        hub,
        str(tmp_path),
        "--set weights=FILE",
    ):
        assert part in silent
    assert "cannot get the pretrained weights of test_vit2.r160_in1k" in unknown
    [(message, seconds)] = answers_of(refused)
    assert seconds < 12
    assert "cannot get the pretrained weights of test_vit.r160_in1k" in message
