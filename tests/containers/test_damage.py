"""Damaged containers: an image or one message, whatever bytes have changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from container_files import bson, drawn, jpeg, record, write_tfrecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kagglekit import UnreadableImage, UserError, members
from kagglekit.containers.bson_file import document
from kagglekit.containers.crc32c import crc32c
from kagglekit.containers.tfrecord import example
from kagglekit.data.labels.containers import facts_of
from kagglekit_reader import kagglekit_read_image as read

KINDS = ("csv", "parquet", "json", "npy", "npz", "h5", "tfrec", "bson")
CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str]]:
    """The bytes of a container of each kind, and the key of its last image."""
    import json

    import h5py
    import pandas as pd

    place = tmp_path_factory.mktemp("whole")
    greys = np.stack([drawn(i)[..., 0] for i in range(2)])
    table = pd.DataFrame(greys.reshape(2, -1)).add_prefix("pixel").assign(label=["a", "b"])
    table.to_csv(place / "x.csv", index=False)
    table.to_parquet(place / "x.parquet")
    (place / "x.json").write_text(json.dumps([{"id": f"i{i}", "x": greys[i].tolist(), "y": i} for i in range(2)]))
    np.save(place / "x.npy", greys)
    np.savez_compressed(place / "x.npz", x=greys, y=[0, 1])
    with h5py.File(place / "x.h5", "w") as file:
        file.create_dataset("x", data=greys, chunks=True, compression="gzip")
        file["z"] = np.void(jpeg(drawn(1)))
    write_tfrecord(place / "x.tfrec", [{"image": jpeg(drawn(i)), "y": i, "z": 0.5} for i in range(2)])
    (place / "x.bson").write_bytes(b"".join(bson({"y": i, "t": "a", "x": [jpeg(drawn(i))]}) for i in range(2)))
    return {kind: ((place / f"x.{kind}").read_bytes(), members(place / f"x.{kind}")[-1]) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.floats(0.2, 1))
def test_damage_is_an_image_or_one_message(
    tmp_path: Path, whole: dict[str, tuple[bytes, str]], kind: str, changes: list[tuple[float, int]], cut: float
) -> None:
    content, key = whole[kind]
    damaged = bytearray(content[: max(1, int(cut * len(content)))] if cut < 0.9 else content)
    for place, bits in changes:
        damaged[int(place * len(damaged))] ^= bits
    file = tmp_path / f"x.{kind}"
    file.unlink(missing_ok=True)
    file.write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's and zipfile's, of odd headers
        said = [_said(lambda: read(file / key)), _said(lambda: facts_of(file)), _said(lambda: members(file))]
    assert all(str(file) in text for text in said if text)


def _said(work: Callable[[], object]) -> str:
    """Return the message of some work; empty if it succeeds."""
    try:
        work()
    except UserError as error:
        return str(error)
    return ""


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_an_example_or_an_error(data: bytes) -> None:
    for parse in (lambda: example(memoryview(data)), lambda: document(data)):
        with suppress(ValueError):
            assert isinstance(parse(), dict)


def test_lengths_beyond_the_file_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    huge = b"\xff" * 7 + b"\x7f"
    (tmp_path / "x.tfrec").write_bytes(huge + record(b"")[8:12] + b"rest")
    (tmp_path / "x.bson").write_bytes(b"\xff\xff\xff\x7f\0")
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8), np.uint8))
    content = (tmp_path / "x.npy").read_bytes().replace(b"(2, 8, 8), }      ", b"(2, 80000, 8000), ")
    (tmp_path / "x.npy").write_bytes(content)
    for name in ("x.tfrec", "x.bson", "x.npy"):
        with pytest.raises(UnreadableImage, match=name):
            read(tmp_path / name / "0")


def test_documents_in_documents_have_a_limit() -> None:
    inner: dict[str, object] = {"x": 1}
    for _ in range(100):
        inner = {"d": inner}
    with pytest.raises(ValueError, match="damaged"):
        document(bson(inner))


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the usual check value
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    long = bytes(i % 251 for i in range(10_000))
    state = 0xFFFFFFFF
    for byte in long:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(long) == state ^ 0xFFFFFFFF
