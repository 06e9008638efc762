"""Files of weights: what is read, which set of several is taken, and what is said about everything else."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save, save_file
from torch import Tensor, nn

from kagglekit import Recipe, Stage, UserError
from kagglekit_timm import kagglekit_model, weights
from kagglekit_timm.weight_files import read_weights

STATE = {"conv.weight": torch.arange(4.0).reshape(2, 2), "conv.bias": torch.ones(2), "count": torch.tensor(3)}
OTHER = {"fc.weight": torch.zeros(2, 2)}


def pickled(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def refusal(path: Path) -> str:
    """Return what is said about a file that is not read; it must name the file."""
    with pytest.raises(UserError) as refused:
        read_weights(path)
    assert str(path) in refused.value.what
    assert refused.value.hint
    return str(refused.value)


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def under(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        under("module."),
        under("_orig_mod.module."),
        {name: nn.Parameter(tensor) if tensor.is_floating_point() else tensor for name, tensor in STATE.items()},
        *({name: STATE, "epoch": 3} for name in ("state_dict", "model_state_dict", "model", "model_state", "net")),
        *({name: STATE, "loss": torch.tensor(0.5)} for name in ("ema", "model_ema", "state_dict_ema", "backbone")),
        {"model_state_dict": STATE, "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        {"state": {"model": under("module.")}, "metrics": {"loss": torch.tensor(0.5)}},
        {"net": STATE, "centers": torch.ones(3)},
    ],
)
def test_the_one_set_of_weights_in_a_file_is_read(tmp_path: Path, content: Any) -> None:
    found = read_weights(pickled(tmp_path / "w.pth", content))
    assert same(found.tensors, STATE)
    assert found.part == ""


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"model": OTHER | STATE, "model_ema": OTHER | under("module.")}, "model_ema"),
        ({"ema": {"module": STATE}, "model": STATE}, "ema.module"),
        ({"state_dict": STATE, "criterion": {"centers": torch.ones(3)}}, "state_dict"),
        ({"model": STATE, "swa_model": under("module.") | {"n_averaged": torch.tensor(5)}}, "swa_model"),
    ],
)
def test_of_several_sets_a_clear_rule_takes_one_and_it_is_named(tmp_path: Path, content: Any, part: str) -> None:
    found = read_weights(pickled(tmp_path / "w.pth", content))
    assert found.part == part
    assert torch.equal(found.tensors["conv.weight"], STATE["conv.weight"])


@pytest.mark.parametrize(
    "content",
    [
        {"generator": STATE, "discriminator": OTHER},
        {"model": STATE, "net": STATE},
        {"model": STATE, "ema": OTHER},
        {"model": STATE, "ema": STATE, "model_ema": STATE},
    ],
)
def test_several_sets_without_a_rule_are_named_and_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    said = refusal(pickled(tmp_path / "w.pth", content))
    assert "contains several sets of weights" in said
    assert all(f"{name} ({len(tensors)} tensors)" in said for name, tensors in content.items())
    assert f"torch.save(torch.load(FILE)['{next(iter(content))}'], NEW)" in said


def test_the_part_of_a_file_that_fills_a_network_is_reported(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet").state_dict()
    path = pickled(tmp_path / "w.pth", {"model": state, "ema": {name: 0 * value for name, value in state.items()}})
    stage = Stage(name="all", size=64)
    model = kagglekit_model(Recipe(arch="test_resnet", stages=(stage,), weights=str(path)), 5)
    assert model.data_config.weights == f"{path} (its ema)"
    assert not any(parameter.any() for parameter in model.body.parameters())


def png(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, "PNG")


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"))


def gzipped(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"))


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/model.pth", b"x")


def program(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("w/data.pkl", "w/constants.pkl", "w/code/__torch__.py"):
            archive.writestr(name, b"")


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def cut_safetensors(path: Path) -> None:
    save_file(STATE, path)
    cut(path, 0.95)


def cut_header(path: Path) -> None:
    save_file(STATE, path)
    cut(path, 0.2)


def cut_pickle(path: Path) -> None:
    pickled(path, STATE)
    cut(path)


def bad_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 20) + b"{".ljust(20, b"x"))


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def text(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


NOT_WEIGHTS: dict[str, Callable[[Path], Any]] = {
    "is empty": lambda path: path.touch(),
    "is a web page, not weights": text(b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>Sign in</body></html>"),
    "open its address in a browser": text(b"<HTML><title>404</title>"),
    "is an XML text, not weights": text(b"<?xml version='1.0'?><Error>AccessDenied</Error>"),
    'is a JSON text, not weights: it begins with \'{"error": "no such': text(
        json.dumps({"error": "no such file", "more": [1, {}]}).encode()
    ),
    "is a JSON text": text(b'[1, 2, {"a": {}}]'),
    "is a text, not weights: it begins with 'Entry not found'": text(b"Entry not found"),
    "is a pointer of Git LFS": text(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 45\n"),
    "git lfs pull": text(b"version https://git-lfs.github.com/spec/v1\n"),
    "is a PNG image": png,
    "is a tar archive": tar,
    "is a gzip archive": gzipped,
    "is a zip archive of weights/model.pth, not weights": other_zip,
    "is a TorchScript program": program,
    "is a NumPy array": array,
    "is a truncated safetensors file: it has ": cut_safetensors,
    "is a truncated safetensors file": cut_header,
    "is a damaged safetensors file: its header is invalid": bad_header,
    "begins as a PyTorch file or another zip archive, and its end is missing": cut_pickle,
    "begins with the bytes 00 01 02 03 04 05 06 07": text(bytes(range(256))),
    "is damaged: IndexError": text(b"\x80\x02broken"),
}


@pytest.mark.parametrize("words", NOT_WEIGHTS)
def test_a_file_that_is_something_else_is_described(tmp_path: Path, words: str) -> None:
    NOT_WEIGHTS[words](tmp_path / "w.pth")
    said = refusal(tmp_path / "w.pth")
    assert words in said
    assert "run code" not in said


def test_what_a_pickle_has_beside_weights_is_named(tmp_path: Path) -> None:
    said = refusal(pickled(tmp_path / "w.pth", {"state_dict": STATE, "best": np.float64(0.9)}))
    assert "it contains more than weights (numpy." in said
    assert "(torch.nn.modules.linear.Linear), and reading it could run code" in refusal(
        pickled(tmp_path / "whole.pth", nn.Linear(1, 1))
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([torch.ones(2)], "it is a list"),
        (torch.ones(2), "it is a Tensor"),
        ({}, "it has nothing"),
        ({"epoch": 3, "losses": {"a": torch.tensor(1.0)}}, "it has epoch, losses"),
        ({1: torch.ones(2), ("a",): {"w": torch.ones(1)}}, "it has 1, ('a',)"),
        ({"model": {"w": torch.ones(2).to_sparse()}}, "it has model"),
    ],
)
def test_a_file_without_named_weights_says_what_it_has(tmp_path: Path, value: Any, words: str) -> None:
    assert f"contains no named weights: {words}" in refusal(pickled(tmp_path / "w.pth", value))


def test_a_dict_that_contains_itself_is_refused(tmp_path: Path) -> None:
    around: dict[str, Any] = {}
    around["model"] = around
    assert "contains no named weights" in refusal(pickled(tmp_path / "w.pth", around))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite_are_refused_with_their_names(tmp_path: Path, value: float, dtype: Any) -> None:
    state = {f"layer{n}": torch.zeros(3, 2, dtype=dtype) for n in range(6)} | {"attn_mask": torch.zeros(2)}
    for n in range(1, 5):
        state[f"layer{n}"][2, 1] = value
    save_file(state, tmp_path / "w.safetensors")
    for path in (tmp_path / "w.safetensors", pickled(tmp_path / "w.pth", {"model": state})):
        assert (
            f"the weights {path} are not finite: NaN or infinity in 4 of its 7 tensors: "
            "layer1, layer2, layer3 ... (4 in all)" in refusal(path)
        )


def test_weights_of_nan_only_are_refused_and_masks_of_minus_infinity_are_read(tmp_path: Path) -> None:
    nothing = {name: torch.full_like(value, torch.nan) for name, value in STATE.items() if value.is_floating_point()}
    assert "NaN or infinity in all of its tensors: conv.weight, conv.bias" in refusal(pickled(tmp_path / "w", nothing))
    masked = STATE | {"text.attn_mask": torch.full((2, 2), -torch.inf).triu(1)}
    assert same(read_weights(pickled(tmp_path / "w", masked)).tensors, masked)
    masked["text.attn_mask"][0, 0] = torch.nan
    assert "in 1 of its 4 tensors: text.attn_mask" in refusal(pickled(tmp_path / "w", masked))


@pytest.mark.parametrize("version", ["2.5.1", "2.6.0+cu124", "2.9.1", "2.10.0a0+git1", "2.10.0.dev20251101"])
def test_below_torch_2_10_pickles_are_refused_and_safetensors_read(tmp_path, monkeypatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    save_file(STATE, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth").tensors, STATE)
    monkeypatch.setattr(torch, "load", None)
    (tmp_path / "old.bin").write_bytes(pickle.dumps(STATE, 2))
    for path in (pickled(tmp_path / "w.pt", STATE), tmp_path / "old.bin"):
        said = refusal(path)
        for words in (f"torch {version} ", "CVE-2026-24747", "CVE-2025-32434", "safetensors", "install torch 2.10"):
            assert words in said
    (tmp_path / "w.pth").write_bytes(b"<html>")
    assert "is a web page" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize("version", ["2.10.0", "2.10.0+cpu", "2.11.0.dev20260101", "3.0"])
def test_from_torch_2_10_on_pickles_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    assert same(read_weights(pickled(tmp_path / "w.pt", STATE)).tensors, STATE)


def test_below_torch_2_10_a_pickle_of_the_hub_is_not_even_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(weights, "_first_there", lambda repo, names, revision: names[-1])
    monkeypatch.setattr(weights, "hf_hub_download", None)
    with pytest.raises(UserError, match=r"pytorch_model\.bin of timm/some is refused: .* torch 2\.9\.1"):
        weights.hub_file("some", "timm/some", "pytorch_model.bin")
    monkeypatch.setattr(weights, "_first_there", lambda repo, names, revision: names[0])
    monkeypatch.setattr(weights, "hf_hub_download", lambda repo, name, **_: f"/cache/{name}")
    assert weights.hub_file("some", "timm/some", "pytorch_model.bin") == Path("/cache/model.safetensors")


def bare_pickle() -> bytes:
    file = io.BytesIO()
    torch.save({"model": STATE, "epoch": 3}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zipped_pickle() -> bytes:
    file = io.BytesIO()
    torch.save({"model": STATE, "epoch": 3}, file)
    return file.getvalue()


WHOLE = {"safetensors": save(STATE), "bare": bare_pickle(), "zipped": zipped_pickle()}


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_weights_or_one_message_whatever_its_bytes_are(tmp_path: Path, kind: str, data: Any) -> None:
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    path = tmp_path / "w.pth"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        found = read_weights(path)
    except UserError as error:
        assert str(path) in error.what  # noqa: PT017 (a damaged byte may mean nothing)
    else:
        assert all(isinstance(tensor, Tensor) for tensor in found.tensors.values())
