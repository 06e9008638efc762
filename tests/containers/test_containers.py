"""Each kind of container, read by the reader through the path of a member."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from container_files import bson, drawn, jpeg, write_tfrecord

from kagglekit import UnreadableImage, UserError, members
from kagglekit.containers.opening import open_container
from kagglekit.data.labels.containers import facts_of
from kagglekit_reader import kagglekit_read_image as read
from kagglekit_reader import read_numbers

GREYS = np.stack([drawn(number)[..., 0] for number in range(5)])  # (5, 24, 24)
COLOURS = np.stack([drawn(number) for number in range(5)])


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def close(seen: np.ndarray, wanted: np.ndarray) -> bool:
    return seen.shape == wanted.shape and int(np.abs(seen.astype(int) - wanted).max()) <= 6


def pixel_table(planes: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(planes.reshape(len(planes), -1))
    table.columns = [f"pixel{i}" for i in range(table.shape[1])]
    table.insert(0, "label", [f"class {i}" for i in range(len(planes))])
    return table


@pytest.mark.parametrize("planes", [GREYS, COLOURS], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_pixel_columns_are_square_images(tmp_path: Path, kind: str, planes: np.ndarray) -> None:
    file = tmp_path / f"train.{kind}"
    table = pixel_table(planes)
    table.to_csv(file, index=False) if kind == "csv" else table.to_parquet(file, row_group_size=2)
    assert members(file) == ["0", "1", "2", "3", "4"]
    for i in (4, 0, 3):
        assert (read(file / str(i)) == (planes[i] if planes.ndim == 4 else grey(planes[i]))).all()
    assert list(facts_of(file)["label"]) == [f"class {i}" for i in range(5)]


def test_a_row_may_say_its_height_and_width(tmp_path: Path) -> None:
    wide = np.arange(12 * 20, dtype=np.uint8).reshape(1, 12, 20)
    pixel_table(wide).to_csv(tmp_path / "train.csv", index=False)
    assert (read(tmp_path / "train.csv/12x20/0") == grey(wide[0])).all()
    with pytest.raises(UnreadableImage, match=r"240 numbers are no square image: give their shape"):
        read(tmp_path / "train.csv/0")
    with pytest.raises(UnreadableImage, match=r"do not fill the shape 12x21"):
        read(tmp_path / "train.csv/12x21/0")


def test_pixels_may_be_one_column_of_numbers_between_blanks(tmp_path: Path) -> None:
    lines = ["emotion,pixels,Usage"] + [f"{i},{' '.join(map(str, GREYS[i].ravel()))},Training" for i in range(5)]
    (tmp_path / "fer.csv").write_text("\n".join(lines))
    assert (read(tmp_path / "fer.csv/4") == grey(GREYS[4])).all()
    assert list(facts_of(tmp_path / "fer.csv")) == ["emotion", "Usage"]


def test_a_parquet_column_of_image_files_is_read(tmp_path: Path) -> None:
    images = [{"bytes": jpeg(drawn(i)), "path": f"{i}.jpg"} for i in range(3)]
    pd.DataFrame({"image": images, "label": [0, 1, 0]}).to_parquet(tmp_path / "a.parquet")
    assert close(read(tmp_path / "a.parquet/2"), drawn(2))
    assert facts_of(tmp_path / "a.parquet") == {"label": [0, 1, 0]}


def test_bands_in_json_become_channels(tmp_path: Path) -> None:
    bands = [np.linspace(-40, 20, 64) + i for i in range(3)]
    rows = [
        {"id": f"ab{i}", "band_1": band.tolist(), "note": 'a [1, 2] " }', "band_2": (band / 2).tolist(), "angle": "na"}
        for i, band in enumerate(bands)
    ]
    file = tmp_path / "train.json"
    file.write_text(json.dumps(rows, indent=1))
    assert members(file) == ["ab0", "ab1", "ab2"]
    numbers = read_numbers(file / "ab2")
    assert numbers.shape == (8, 8, 2)
    assert np.allclose(numbers.reshape(64, 2), np.stack([bands[2], bands[2] / 2], axis=1))
    assert facts_of(file)["angle"] == ["na"] * 3
    assert facts_of(file)["note"] == ['a [1, 2] " }'] * 3


def test_json_records_by_name_or_by_position(tmp_path: Path) -> None:
    numbers = GREYS[0].tolist()
    (tmp_path / "named.json").write_text(json.dumps({"a/b": {"x": numbers}, "c": {"x": numbers}}))
    (tmp_path / "plain.json").write_text(json.dumps([{"id": 7, "x": numbers}, {"id": 7, "x": numbers}]))
    assert members(tmp_path / "named.json") == ["a/b", "c"]
    assert members(tmp_path / "plain.json") == ["0", "1"]  # an id twice names no image
    assert (read(tmp_path / "named.json/a/b") == grey(GREYS[0])).all()


def test_arrays_of_numpy_are_read_by_position(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", GREYS)
    np.savez_compressed(tmp_path / "x.npz", x_train=COLOURS, y_train=np.arange(5), one=GREYS[1])
    assert (read(tmp_path / "x.npy/3") == grey(GREYS[3])).all()
    assert (read(tmp_path / "x.npz/x_train/4") == COLOURS[4]).all()
    assert (read(tmp_path / "x.npz/one") == grey(GREYS[1])).all()
    assert members(tmp_path / "x.npz") == [*(f"x_train/{i}" for i in range(5)), "one"]
    assert facts_of(tmp_path / "x.npz", "x_train")["y_train"] == [0, 1, 2, 3, 4]


def test_an_npy_file_may_be_one_image(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", COLOURS[2].transpose(2, 0, 1))
    assert (read(tmp_path / "x.npy") == COLOURS[2]).all()


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    trap = np.array([[Trap()] * 20] * 20, dtype=object)
    np.save(tmp_path / name, trap) if name == "x.npy" else np.savez(tmp_path / name, a=trap)
    for path in (tmp_path / name / "0", tmp_path / name / "a/0", tmp_path / name):
        with pytest.raises(UnreadableImage):
            read(path)
    assert not (tmp_path / "sprung").exists()


def test_an_npz_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    import zipfile

    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000, 100000, 9), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + head + b"1234")
    with pytest.raises(UnreadableImage, match=r"claims to take 90,000,000,000 bytes"):
        read(tmp_path / "x.npz/x/0")


def test_hdf5_holds_stacks_images_and_image_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = GREYS
        file["labels"] = np.arange(5)
        file["one/colour"] = COLOURS[1]
        file["ISIC_1"] = np.void(jpeg(drawn(9)))
        file["row"] = np.frombuffer(jpeg(drawn(8)), np.uint8)
        ragged = file.create_dataset("ragged", 2, h5py.vlen_dtype(np.uint8))
        ragged[1] = np.frombuffer(jpeg(drawn(7)), np.uint8)
    path = tmp_path / "x.h5"
    assert (read(path / "images/3") == grey(GREYS[3])).all()
    assert (read(path / "one/colour") == COLOURS[1]).all()
    assert close(read(path / "ISIC_1"), drawn(9))
    assert close(read(path / "row"), drawn(8))
    assert close(read(path / "ragged/1"), drawn(7))
    assert members(path) == ["ISIC_1", *(f"images/{i}" for i in range(5)), "one/colour", "ragged/0", "ragged/1", "row"]
    assert facts_of(path, "images") == {"labels": [0, 1, 2, 3, 4]}


def test_image_files_in_hdf5_are_read_wherever_they_lie(tmp_path: Path) -> None:
    encoded = np.frombuffer(jpeg(drawn(3)), np.uint8)
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        file["opaque"] = np.void(encoded.tobytes())
        file["whole"] = encoded
        file.create_dataset("packed", data=encoded, chunks=True, compression="gzip")
        file["numbers"] = encoded[5:]  # no image file
    for key in ("opaque", "whole", "packed"):
        assert close(read(tmp_path / "x.h5" / key), drawn(3))
    with pytest.raises(UnreadableImage):
        read(tmp_path / "x.h5" / "numbers")


def test_hdf5_does_not_lead_to_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["images"] = GREYS
    (tmp_path / "secret.bin").write_bytes(GREYS.tobytes())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "images")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("outside", GREYS.shape, "u1", external=[(str(tmp_path / "secret.bin"), 0, GREYS.nbytes)])
        layout = h5py.VirtualLayout(GREYS.shape, "u1")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "images", GREYS.shape)
        file.create_virtual_dataset("virtual", layout)
    for key in ("link/0", "soft/0", "outside/0", "virtual/0"):
        with pytest.raises(UnreadableImage, match=r"another (place or )?file"):
            read(tmp_path / "x.h5" / key)
    with pytest.raises(UserError, match="another file"):
        members(tmp_path / "x.h5")


def test_records_of_tfrecord_are_read_by_position(tmp_path: Path) -> None:
    rows = [
        {"image": jpeg(drawn(i)), "id": f"f{i}".encode(), "class": i % 2, "share": i / 2, "d": -3} for i in range(5)
    ]
    file = write_tfrecord(tmp_path / "00-192x192-5.tfrec", rows)
    for i in (4, 0):
        assert close(read(file / str(i)), drawn(i))
    assert members(file) == ["0", "1", "2", "3", "4"]
    facts = facts_of(file)
    assert (facts["id"], facts["class"]) == ([f"f{i}" for i in range(5)], [0, 1, 0, 1, 0])
    assert (facts["share"], facts["d"]) == ([0, 0.5, 1, 1.5, 2], [-3] * 5)


def test_a_record_may_hold_plain_pixels_or_several_images(tmp_path: Path) -> None:
    plain = {"image_raw": COLOURS[1].tobytes(), "height": 24, "width": 24, "depth": 3}
    several = {"image": jpeg(drawn(1)), "mask": jpeg(drawn(2))}
    file = write_tfrecord(tmp_path / "x.tfrecord-00000-of-00002", [plain, several])
    assert (read(file / "0") == COLOURS[1]).all()
    assert close(read(file / "1/mask"), drawn(2))
    with pytest.raises(UnreadableImage, match=r"several features hold images: name one in its key: 1/image"):
        read(file / "1")


def test_a_record_that_changed_does_not_have_its_checksum(tmp_path: Path) -> None:
    file = write_tfrecord(tmp_path / "x.tfrec", [{"image": jpeg(drawn(i))} for i in range(2)])
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)
    with pytest.raises(UnreadableImage, match="the record does not have its checksum"):
        read(file / "0")
    assert close(read(file / "1"), drawn(1))


@pytest.mark.parametrize("kind", ["tfrec", "bson"])
def test_records_of_any_length_are_found(tmp_path: Path, kind: str) -> None:
    file, mega = tmp_path / f"train.{kind}", 1 << 20
    lengths = [0, 60, mega // 8, 9, 3 * mega, 7, mega // 2, mega, 2 * mega, 0, *range(990, 1010), mega // 3]
    rows = [{"number": i, "filling": bytes(n), "image": jpeg(drawn(i))} for i, n in enumerate(lengths)]
    write_tfrecord(file, rows) if kind == "tfrec" else file.write_bytes(b"".join(map(bson, rows)))
    assert facts_of(file)["number"] == list(range(len(lengths)))
    assert len(members(file)) == len(lengths)


def test_images_in_bson_are_read_by_document_and_position(tmp_path: Path) -> None:
    documents = [
        {"_id": 10 + i, "imgs": [{"picture": jpeg(drawn(i))}] * (i + 1), "category_id": 7 * i} for i in range(3)
    ]
    file = tmp_path / "train.bson"
    file.write_bytes(b"".join(map(bson, documents)))
    assert members(file) == ["0/0", "1/0", "1/1", "2/0", "2/1", "2/2"]
    assert close(read(file / "2/1"), drawn(2))
    assert facts_of(file) == {"_id": [10, 11, 11, 12, 12, 12], "category_id": [0, 7, 7, 14, 14, 14]}


@pytest.mark.parametrize("key", ["99", "y", "-1", "0/nothing", "1" * 30])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json", "a.npy", "a.npz", "a.h5", "a.tfrec", "a.bson"])
def test_a_key_that_is_not_there_is_named(tmp_path: Path, name: str, key: str) -> None:
    with pytest.raises(UnreadableImage, match=r"no such member|does not|less"):
        read(written(tmp_path / name) / key)


def written(path: Path) -> Path:
    """A container of two images, of the kind of its suffix."""
    table, images = pixel_table(GREYS[:2]), [jpeg(drawn(i)) for i in range(2)]
    kinds = {
        ".csv": lambda: table.to_csv(path, index=False),
        ".parquet": lambda: table.to_parquet(path),
        ".json": lambda: path.write_text(json.dumps([{"id": f"i{i}", "x": GREYS[i].tolist()} for i in range(2)])),
        ".npy": lambda: np.save(path, GREYS[:2]),
        ".npz": lambda: np.savez(path, x=GREYS[:2]),
        ".h5": lambda: _write_h5(path),
        ".tfrec": lambda: write_tfrecord(path, [{"image": image} for image in images]),
        ".bson": lambda: path.write_bytes(b"".join(bson({"x": image}) for image in images)),
    }
    kinds[path.suffix]()
    return path


def _write_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = GREYS[:2]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json", "a.npy", "a.npz", "a.h5", "a.tfrec", "a.bson"])
def test_a_truncated_container_is_one_message(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / name)
    key = members(file)[-1]
    content = file.read_bytes()
    for n in (0, 3, len(content) // 2, len(content) - (600 if name == "a.csv" else 2)):  # a digit less is a number, too
        file.write_bytes(content[:n])
        with pytest.raises(UnreadableImage, match=name):
            read(file / key)


def test_an_open_container_follows_the_file(tmp_path: Path) -> None:
    file = written(tmp_path / "a.npy")
    before = read(file / "0")
    np.save(file, 255 - GREYS)
    assert (read(file / "0") == 255 - before).all()
    assert open_container(file) is open_container(file)


def test_another_file_is_no_container(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UnreadableImage, match="its file is no container of a known kind"):
        read(tmp_path / "a.txt/0")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing/0")


@pytest.mark.parametrize(
    ("name", "module", "package"), [("a.h5", "hdf5", "h5py"), ("a.parquet", "parquet_rows", "parquet")]
)
def test_the_extra_is_named_where_a_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    file = written(tmp_path / name)
    monkeypatch.setattr(f"kagglekit.containers.{module}.{package}", None)
    for work in (lambda: read(file / "x/0"), lambda: members(file)):
        with pytest.raises(UserError, match=f"is needed to read .*{name}") as raised:
            work()
        assert raised.value.hint == 'pip install "kagglekit[arrays]"'
