"""Any bytes in place of an image's: it is read, or one error names the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kagglekit import UnreadableImage
from kagglekit_reader import read_numbers

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "16-bit PNG", "16-bit TIFF", "float TIFF")
MOST_PIXELS = 1_000_000  # a damaged header may claim any number; more take seconds


@pytest.fixture(autouse=True)
def _few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_MAX_PIXELS", str(MOST_PIXELS))


@cache
def small(form: str) -> bytes:
    """A file of 17 x 13 px."""
    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    deep = {"16-bit PNG": (".png", np.uint16), "16-bit TIFF": (".tif", np.uint16), "float TIFF": (".tif", np.float32)}
    if form in deep:
        suffix, dtype = deep[form]
        return cv2.imencode(suffix, pixels.astype(dtype) * dtype(200))[1].tobytes()
    content = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # turned: a tag more to be damaged
    options = {"exif": exif} if form in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    Image.fromarray(pixels).save(content, form, **options)
    return content.getvalue()


def damages(form: str) -> Iterator[st.SearchStrategy[bytes]]:
    """Bytes changed anywhere, or most of all in the header; cut; cut out; doubled."""
    content = small(form)
    n = len(content)
    for end in (min(n, 120), n):
        yield st.dictionaries(st.integers(0, end - 1), st.integers(0, 255), min_size=1, max_size=6).map(
            lambda changed: bytes(changed.get(i, byte) for i, byte in enumerate(content))
        )
    cuts = st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted)
    yield cuts.map(lambda cut: content[: cut[0]] + content[cut[1] :])
    yield cuts.map(lambda cut: content[: cut[1]] + content[cut[0] :])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of odd metadata; the command line does not show them
@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_image_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    path = tmp_path_factory.mktemp("damaged") / "image.bin"

    @settings(max_examples=60, deadline=None)
    @given(st.one_of(*damages(form)))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        pixels, why = read(path)
        if pixels is None:
            assert why.startswith(f"cannot read {path}: ")
            assert len(why.splitlines()) == 1
            assert 5 < len(why) - len(f"cannot read {path}: ") < 200
        else:
            assert pixels.dtype.kind in "uif"
            assert pixels.ndim in (2, 3)
            assert pixels.shape[0] * pixels.shape[1] <= MOST_PIXELS

    holds()


def read(path: Path) -> tuple[np.ndarray | None, str]:
    """The pixels, or the message; everything else fails."""
    try:
        return read_numbers(path), ""
    except UnreadableImage as error:
        return None, str(error)
