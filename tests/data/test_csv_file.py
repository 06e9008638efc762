"""CSV files are read as they are written, or refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import UserError
from kagglekit.data.csv_file import read_csv

TABLE = b"id,label\na,b\n"


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        (b"id,label\na,b,\nc,d,\n", ["id", "label"], [["a", "b"], ["c", "d"]]),
        (b"id,label,\na,b,\n", ["id", "label"], [["a", "b"]]),
        (b"id,label\na,b\nc,d,\n", ["id", "label"], [["a", "b"], ["c", "d"]]),
        (b"\xef\xbb\xbfid,label\r\n001,NA\r\n", ["id", "label"], [["001", "NA"]]),
        (b"\n\nid,label\n\n1,\n2\n", ["id", "label"], [["1", ""], ["2", ""]]),
        (b",id,label\n0,a,b\n", ["Unnamed: 0", "id", "label"], [["0", "a", "b"]]),
        (b"id,label,label\na,b,c\n", ["id", "label", "label"], [["a", "b", "c"]]),
        (b'id,label\na,"b, ""c""\nd"\n', ["id", "label"], [["a", 'b, "c"\nd']]),
        (b"id,label", ["id", "label"], []),
    ],
)
def test_fields_are_read_as_they_are_written(
    tmp_path: Path, content: bytes, columns: list[str], rows: list[list[str]]
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    table = read_csv(tmp_path / "a.csv")
    assert list(table.columns) == columns
    assert table.to_numpy().tolist() == rows


def zipped(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return whole.getvalue()


def spoiled(whole: bytes) -> bytes:
    return whole[:45] + bytes(8) + whole[53:]


MAC = {"a.csv": TABLE, "__MACOSX/._a.csv": b"\0\5\x16\7", ".DS_Store": b"\0"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.zip", zipped(MAC)),
        ("a.CSV.ZIP", zipped(MAC)),
        ("a.csv.gz", gzip.compress(TABLE, mtime=0)),
        ("a.csv.bz2", bz2.compress(TABLE)),
        ("a.csv.xz", lzma.compress(TABLE)),
    ],
)
def test_compressed_files_are_read_and_what_a_mac_adds_is_skipped(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_csv(tmp_path / name).to_dict("list") == {"id": ["a"], "label": ["b"]}


LONG = b"id,label\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(400))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,label\na,b,c\nd,e,f\n", r"more fields than its header \(id, label\): .* a, d\n.*commas"),
        ("a.csv", b"id,label\na,b,c,d\n", "a.csv has 4 fields in line 2, and its header has 2"),
        ("a.csv", b"", "cannot read .*a.csv: it is empty"),
        ("a.csv", b"\n \n", "cannot read .*a.csv: it is empty"),
        ("a.csv", b"id,label\nstra\xdfe,b\n", r"cannot read .*a.csv: it is not UTF-8 text \(byte 0xdf\)\n"),
        ("a.csv", b'id,label\na,"b\n', "cannot read .*a.csv: .*EOF inside string"),
        ("a.csv.zip", spoiled(zipped({"a.csv": LONG})), "cannot read .*a.csv.zip: "),
        ("a.csv.zip", zipped({"a.csv": LONG})[:-30], "cannot read .*a.csv.zip: File is not a zip file"),
        ("a.csv.zip", zipped({"a.csv": TABLE, "b.csv": TABLE}), "holds 2 files, not one CSV: a.csv, b.csv\nunpack"),
        ("a.csv.zip", zipped({}), "holds 0 files, not one CSV"),
        ("a.csv.gz", gzip.compress(LONG, mtime=0)[:-20], "cannot read .*a.csv.gz: "),
        ("a.csv.gz", TABLE, "cannot read .*a.csv.gz: Not a gzipped file"),
        ("a.csv.bz2", bz2.compress(LONG)[:-20], "cannot read .*a.csv.bz2: "),
        ("a.csv.xz", lzma.compress(LONG)[:-20], "cannot read .*a.csv.xz: "),
        ("a.csv.xz", spoiled(lzma.compress(LONG)), "cannot read .*a.csv.xz: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_csv(tmp_path / name)


def test_a_name_from_before_or_after_unpacking_counts(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_bytes(TABLE)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(TABLE, mtime=0))
    for name in ("plain.csv.zip", "plain.csv.gz", "plain.csv.7z", "packed.csv"):
        assert list(read_csv(tmp_path / name).columns) == ["id", "label"]
    with pytest.raises(UserError, match=r"there is no file .*other\.csv"):
        read_csv(tmp_path / "other.csv")


def refusal(file: Path) -> str | None:
    try:
        read_csv(file)
    except UserError as error:
        return error.what
    return None


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.csv.zip", "a.csv.gz", "a.csv.xz"]))
def test_any_bytes_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    file = tmp_path_factory.mktemp("any") / name
    file.write_bytes(content)
    assert refusal(file) is None or name in refusal(file)


@settings(max_examples=100, deadline=None)
@given(where=st.integers(0, 400), new=st.binary(min_size=1, max_size=6), method=st.sampled_from([8, 12, 14]))
def test_damage_anywhere_in_a_zip_file_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, where: int, new: bytes, method: int
) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr("a.csv", LONG[:600])
    raw = bytearray(whole.getvalue())
    raw[where : where + len(new)] = new
    file = tmp_path_factory.mktemp("damaged") / "a.csv.zip"
    file.write_bytes(raw)
    assert refusal(file) is None or "a.csv.zip" in refusal(file)


def test_a_file_that_is_cut_off_in_a_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,label\na,x\nb,y\nc")
    with pytest.raises(UserError, match=r"train.csv ends in the middle of a row\nit is cut off: download it again"):
        read_csv(tmp_path / "train.csv")
    for whole in ("id,label\na,x\nb\n", "id,label\na,x\nb\nc", "id,label\na,x"):
        (tmp_path / "train.csv").write_text(whole)
        assert len(read_csv(tmp_path / "train.csv"))


def test_a_row_of_many_surplus_fields_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,label\na,x\nb,y,z,w\n")
    with pytest.raises(UserError, match=r"has 4 fields in line 3, and its header has 2\nremove the surplus commas"):
        read_csv(tmp_path / "train.csv")
