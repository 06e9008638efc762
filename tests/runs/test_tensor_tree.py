"""A tree of values in a file: the same when it is read back, to the last bit, and one message for any other file."""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor, nn

from kagglekit.runs.tensor_tree import BadTree, _checksum, read_tree, write_tree
from kagglekit.system.tensor_file import write_tensors

FORM = "values of a test"


def through(value: Any, path: Path) -> Any:
    write_tree(value, path, FORM)
    return read_tree(path, FORM)


def bits(value: Any) -> Any:
    """Return a value in a form that compares by type and bits: NaN equals itself, 0.0 is not -0.0, True is not 1."""
    match value:
        case Tensor():
            flat = value.contiguous().reshape(-1).view(torch.uint8).tolist()
            return "tensor", value.dtype, tuple(value.shape), value.stride() if value.numel() else (), flat
        case float():
            return "float", struct.pack(">d", value)
        case dict():
            pairs = [(bits(key), bits(each)) for key, each in value.items()]
            return type(value), pairs, getattr(value, "_metadata", None)
        case list() | tuple():
            return type(value), [bits(each) for each in value]
    return type(value), value


TENSORS = {
    "bfloat16": torch.tensor([1.5, float("nan"), -0.0, float("-inf")], dtype=torch.bfloat16),
    "half": torch.tensor([[1.5, 65504.0]], dtype=torch.float16),
    "double": torch.tensor([1 / 3, float("inf")], dtype=torch.float64),
    "int64": torch.tensor([-(2**63), 2**63 - 1]),
    "int32": torch.tensor([-(2**31)], dtype=torch.int32),
    "uint8": torch.arange(256).to(torch.uint8),
    "bool": torch.tensor([True, False]),
    "number": torch.tensor(7.25),
    "count": torch.tensor(3),
    "empty": torch.zeros(0),
    "no rows": torch.zeros(0, 3, dtype=torch.bfloat16),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "channels last, 1 x 1": torch.randn(4, 3, 1, 1).to(memory_format=torch.channels_last),
    "parameter": nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_of_any_kind_is_read_back_with_its_bits_and_strides(tmp_path: Path, name: str) -> None:
    found = through(TENSORS[name], tmp_path / "tree")
    assert bits(found) == bits(TENSORS[name].detach())
    found.fill_(1)  # it is a tensor of its own, not the file's pages


def test_views_and_tensors_that_share_memory_are_read_back(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tree = {"base": base, "same": base, "row": base[1], "column": base[:, 2], "one": torch.ones(1).expand(3)}
    found = through(tree, tmp_path / "tree")
    assert all(torch.equal(found[name], tensor) for name, tensor in tree.items())
    assert found["same"] is not found["base"]
    with safe_open(tmp_path / "tree", framework="pt") as file:
        assert len(file.keys()) == 4  # base once


VALUES = [
    [None, True, False, 0, 1, -1, 2**64, -(2**200), "", "ä\n\x00\udc80", b"", b"\x00\xff"],
    [0.1, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 1.0],
    {"a": 1, 2: "b", None: (), (1, "x"): [()], True: {}, 0.5: b"c"},
    {"dict": [], "tuple": 1, "tensor": "0", "float": "nan", "bytes": "00"},
    OrderedDict(b=1, a=OrderedDict()),
    struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0],
    (1, (2, [3, (4,)])),
]


@pytest.mark.parametrize("value", VALUES)
def test_plain_values_are_read_back_with_their_types(tmp_path: Path, value: Any) -> None:
    assert bits(through(value, tmp_path / "tree")) == bits(value)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5)
keys = st.integers() | st.text() | st.tuples(st.text(), st.integers())
trees = st.recursive(
    plain | st.sampled_from(list(TENSORS.values())),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
    max_leaves=12,
)
here = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@here
@given(value=trees)
def test_any_tree_is_read_back(tmp_path: Path, value: Any) -> None:
    assert bits(through(value, tmp_path / "tree")) == bits(value)


def test_the_state_of_a_network_and_of_its_optimizer_are_read_back_with_the_versions_of_modules(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    tree = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    assert tree["model"]._metadata["1"] == {"version": 2}
    assert bits(through(tree, tmp_path / "tree")) == bits(tree)


def test_another_form_is_not_read(tmp_path: Path) -> None:
    write_tree({}, tmp_path / "tree", "another")
    with pytest.raises(BadTree, match="is damaged, or another version wrote it"):
        read_tree(tmp_path / "tree", FORM)


@pytest.mark.parametrize(
    "tree",
    [
        "[" * 100_000,
        "{",
        '{"tensor": "9"}',
        '{"tensor": "0", "shape": [1000000], "stride": [1]}',
        '{"tensor": "0", "shape": [2], "stride": [-1]}',
        '{"tensor": "0", "shape": "x", "stride": {}}',
        '{"dict": [[[], 1]]}',
        '{"dict": 3}',
        '{"dict": [[1, 2, 3]]}',
        '{"ordered": [], "versions": 1, "more": 2, "dict": 3}',
        '{"float": "00"}',
        '{"float": 3}',
        '{"tensor": "0", "shape": [1e400], "stride": [1]}',
        '{"tensor": "0", "shape": [%s], "stride": [1]}' % 10**40,
        '{"bytes": "x"}',
        '{"tuple": null}',
        '{"import": "os"}',
    ],
)
def test_a_forged_tree_with_a_right_checksum_is_refused_or_plain(tmp_path: Path, tree: str) -> None:
    tensors = {"0": torch.ones(2)}
    metadata = {"form": FORM, "tree": tree, "sha256": _checksum(tree, tensors)}
    write_tensors(tensors, tmp_path / "tree", metadata)
    try:
        found = read_tree(tmp_path / "tree", FORM)
    except BadTree as error:
        assert str(error) == "is damaged: its tree is invalid"  # noqa: PT017 (one of them may be a tree)
    else:
        assert json.loads(tree)["versions"] == 1
        assert found == {}


@here
@given(data=st.data())
def test_a_damaged_file_is_refused_whatever_its_bytes_are(tmp_path: Path, data: st.DataObject) -> None:
    write_tree({"a": torch.ones(3), "b": [1]}, tmp_path / "tree", FORM)
    content = bytearray((tmp_path / "tree").read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    (tmp_path / "tree").write_bytes(content)
    try:
        found = read_tree(tmp_path / "tree", FORM)
    except BadTree:
        return
    assert bits(found) == bits({"a": torch.ones(3), "b": [1]})
