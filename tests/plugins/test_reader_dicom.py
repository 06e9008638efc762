"""DICOM files, written by pydicom and by GDCM."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from container_files import drawn, write_tfrecord
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from kagglekit import UnreadableImage, UsageError
from kagglekit.data.listing import is_image
from kagglekit.eda.headers import read_header
from kagglekit_reader import kagglekit_read_image as read
from kagglekit_reader import read_numbers

RAMP = np.arange(64 * 40, dtype=np.uint16).reshape(40, 64)  # 0 to 2559


def saved(path: Path, pixels: np.ndarray, kind: str = "MONOCHROME2", compress: object = None, **fields: object) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    bits = fields.pop("BitsStored", 8 * pixels.dtype.itemsize)
    set_pixel_data(file, pixels, "YBR_FULL" if kind == "YBR_FULL" else kind.replace("1", "2"), bits)
    file.PhotometricInterpretation = kind
    for name, value in fields.items():
        setattr(file, name, value)
    if compress:
        file.compress(compress)
    file.save_as(path)
    return path


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.clip(0, 255).round()[..., None], 3, axis=2)


def close(seen: np.ndarray, wanted: np.ndarray, most: int = 1) -> bool:
    return seen.dtype == np.uint8 and seen.shape == wanted.shape and np.abs(seen.astype(int) - wanted).max() <= most


def test_the_window_of_the_header_is_shown(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.dcm", RAMP, WindowCenter=[1000, 5], WindowWidth=[501, 9])
    assert close(read(path), grey((RAMP - 749.5) / 500 * 255))
    exact = saved(tmp_path / "b.dcm", RAMP, WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
    assert close(read(exact), grey((RAMP - 750.0) / 500 * 255))
    bent = saved(tmp_path / "c.dcm", RAMP, WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")
    assert close(read(bent), grey(255 / (1 + np.exp(-4 * (RAMP - 1000.0) / 500))))


def test_numbers_are_rescaled_before_the_window(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.dcm", RAMP, WindowCenter=40, WindowWidth=81, RescaleSlope=1, RescaleIntercept=-1024)
    assert close(read(path), grey((RAMP - 1024.0 + 0.5) / 80 * 255), 2)


def test_without_a_window_the_data_set_decides_what_is_black_and_white(tmp_path: Path) -> None:
    values = read_numbers(saved(tmp_path / "a.dcm", RAMP, RescaleSlope=2, RescaleIntercept=-10))
    assert (values == RAMP * 2.0 - 10).all()
    inverted = saved(tmp_path / "b.dcm", RAMP, "MONOCHROME1", BitsStored=12)
    assert (read_numbers(inverted) == 4095 - RAMP.astype(int)).all()


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    window = {"WindowCenter": 1280, "WindowWidth": 2561}
    bright = read(saved(tmp_path / "a.dcm", RAMP, **window))
    assert (read(saved(tmp_path / "b.dcm", RAMP, "MONOCHROME1", **window)) == 255 - bright).all()


def test_signed_numbers_and_a_table_are_read(tmp_path: Path) -> None:
    signed = RAMP.astype(np.int16) - 1000
    path = saved(tmp_path / "a.dcm", signed, WindowCenter=0, WindowWidth=1001)
    assert close(read(path), grey((signed + 500.5) / 1000 * 255))
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [2560, 0, 8], np.linspace(255, 0, 2560).astype("<u2").tobytes()
    path = saved(tmp_path / "b.dcm", RAMP, VOILUTSequence=[table])
    assert close(read(path), grey(np.linspace(255, 0, 2560).reshape(40, 64)))


def test_colours_are_kept(tmp_path: Path) -> None:
    assert (read(saved(tmp_path / "a.dcm", drawn(3), "RGB")) == drawn(3)).all()
    other = pydicom.pixels.convert_color_space(drawn(3), "RGB", "YBR_FULL")
    assert close(read(saved(tmp_path / "b.dicom", other, "YBR_FULL")), drawn(3), 3)


def test_of_several_frames_the_first_one_is_read(tmp_path: Path) -> None:
    frames = np.stack([RAMP, RAMP[::-1], RAMP // 2])
    assert (read(saved(tmp_path / "a.dcm", frames)) == read(saved(tmp_path / "b.dcm", RAMP))).all()


def by_gdcm(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    "packed",
    [
        lambda path: saved(path, RAMP, compress=JPEG2000Lossless, BitsStored=12),
        lambda path: saved(path, RAMP, compress=RLELossless, BitsStored=12),
        lambda path: by_gdcm(saved(path, RAMP, BitsStored=12), gdcm.TransferSyntax.JPEGLosslessProcess14_1),
        lambda path: by_gdcm(saved(path, RAMP, BitsStored=12), gdcm.TransferSyntax.JPEGLosslessProcess14),
        lambda path: by_gdcm(saved(path, RAMP, BitsStored=12), gdcm.TransferSyntax.JPEGLSLossless),
    ],
    ids=["jpeg 2000", "rle", "jpeg lossless sv1", "jpeg lossless", "jpeg-ls"],
)
def test_compressed_pixels_are_the_same(tmp_path: Path, packed: Callable[[Path], object]) -> None:
    packed(tmp_path / "a.dcm")
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID.is_compressed
    assert (read(tmp_path / "a.dcm") == read(saved(tmp_path / "b.dcm", RAMP, BitsStored=12))).all()


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.dcm", RAMP, Rows=10_000, Columns=10_000)
    with pytest.raises(UnreadableImage, match="truncated: it has fewer pixels than its header says"):
        read(path)
    path = saved(tmp_path / "b.dcm", RAMP, Rows=60_000, Columns=60_000)
    with pytest.raises(UnreadableImage, match=r"3,600 million, more than the limit"):
        read(path)


def test_what_is_no_dicom_is_one_message(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.dcm", RAMP).read_bytes()
    for content in (b"", b"text", whole[:200], whole[:600], whole[: len(whole) // 2], b"\0" * 500):
        (tmp_path / "b.dcm").write_bytes(content)
        with pytest.raises(UnreadableImage, match=r"b\.dcm"):
            read(tmp_path / "b.dcm")


def test_a_member_may_be_a_dicom(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.dcm", RAMP)
    records = write_tfrecord(tmp_path / "x.tfrec", [{"image": file.read_bytes()}])
    assert (read(records / "0") == read(file)).all()


def test_look_and_labels_know_the_suffix(tmp_path: Path) -> None:
    assert is_image("ID_1.dcm")
    assert is_image("ID_1.DICOM")
    assert read_header(str(saved(tmp_path / "a.dcm", RAMP)))[:3] == (64, 40, "DICOM")


def test_the_extra_is_named_where_pydicom_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.dcm", RAMP)
    theirs = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "pydicom":
            raise ModuleNotFoundError(name)
        return theirs(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError) as raised:
        read(path)
    assert raised.value.hint == 'pip install "kagglekit[medical]"'


def test_the_extra_is_named_where_no_decoder_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.dcm", RAMP, compress=JPEG2000Lossless)
    decoder = pydicom.pixels.decoders.JPEG2000LosslessDecoder
    lacking = dict.fromkeys(decoder._available, ("numpy",))
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", lacking)
    with pytest.raises(UsageError, match="no decoder for DICOM files of JPEG 2000") as raised:
        read(path)
    assert raised.value.hint == 'pip install "kagglekit[medical]"'
