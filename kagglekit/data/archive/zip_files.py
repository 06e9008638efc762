"""Unpack zip files for `kagglekit.data.archive.extract`."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import IO

from kagglekit.data.archive.destination import LARGE_IN_ALL, LARGE_MEMBER, RATIO, BadArchive, Place, safe_parts
from kagglekit.data.archive.expand import CHUNK, member_chunks

END = 22  # bytes of the record at an archive's end, without its comment
LOCAL_HEADER = 30  # bytes before a member's name and data


def zip_steps(place: Place) -> Iterator[int]:
    """Unpack a zip file; yield, about every MB, how many of the archive's bytes were consumed.

    Raises:
        BadArchive: It is unsafe.
        UserError: The disk is too full.
        Exception: Of zipfile or its decompressors: the archive is damaged.
    """
    with place.opened() as file, _opened(place, file) as archive:
        members = archive.infolist()
        _check_count(place, archive)
        if len(place.files) > 1:
            _place_spans(place, archive)
        _check_zip(place, members)
        place.check_room(sum(member.file_size for member in members))
        new = 0.0
        for member in members:
            place.member = member.filename
            parts = safe_parts(member.filename) or ()
            if member.is_dir():
                place.make_folder(parts)
                continue
            for n_bytes in place.write(parts, member_chunks(archive, member)):
                new += n_bytes * member.compress_size / member.file_size
                if new >= CHUNK:
                    yield int(new)
                    new = 0


def _opened(place: Place, file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        if "span multiple disks" in str(error):  # it is whole, but of a kind that zipfile does not read
            what = f"cannot unpack {place.archive}: it is split, and larger than 4 GB"
            raise BadArchive(what, "unpack it yourself with 7-Zip, and pass the folder with --data DIR") from error
        raise


def _check_count(place: Place, archive: zipfile.ZipFile) -> None:
    """Compare the number of members with the end record's: zipfile silently skips what it cannot read."""
    with place.opened() as file:
        file.seek(-END - len(archive.comment), 2)
        end = file.read(END)
    (expected,) = struct.unpack_from("<H", end, 10)
    found = len(archive.infolist())
    if end.startswith(b"PK\5\6") and expected not in (found % 0x10000, 0xFFFF):
        raise zipfile.BadZipFile(f"{found:,} members found, {expected:,} expected")


def _place_spans(place: Place, archive: zipfile.ZipFile) -> None:
    """Correct where the members of a zip file of several files begin: each counts from its own file.

    zipfile takes all for one file, and counts from the beginning of the one with the table of contents.
    """
    starts = [0, *accumulate(file.stat().st_size for file in place.files)]
    with place.opened() as file:
        file.seek(-END - len(archive.comment), 2)
        last, _, _, _, _, start = struct.unpack_from("<HHHHII", file.read(END), 4)
    if not last:  # one file that was cut into pieces
        return
    for member in archive.infolist():
        if member.volume >= len(place.files):
            raise zipfile.BadZipFile(f"{len(place.files)} parts are there, a member is in part {member.volume + 1}")
        member.header_offset += starts[member.volume] - (archive.start_dir - start)
        if hasattr(member, "_end_offset"):  # newer versions of zipfile derive it, from the places that are wrong
            member._end_offset = None


def _check_zip(place: Place, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive by its table of contents, before anything is written."""
    if any(member.header_offset < 0 for member in members):
        raise zipfile.BadZipFile("its table of contents points outside the file")
    place.refuse_unsafe(member.filename for member in members if _leads_outside(member))
    place.refuse_strange(member.filename for member in members if not _is_plain(member))
    place.refuse_any("is encrypted", (member.filename for member in members if member.flag_bits & 1))
    place.refuse_deep(member.filename for member in members)
    place.refuse_any("holds members that overlap", _overlapping(members))
    _check_sizes(place, members)


def _check_sizes(place: Place, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse sizes beyond the budget, or beyond measure if there is none."""
    total = sum(member.file_size for member in members)
    largest = max(members, key=lambda member: member.file_size, default=None)
    if largest and place.budget:
        place.member = largest.filename
        place.check_budget(total)
        return
    blown_up = (member.filename for member in members if _is_blown_up(member))
    place.refuse_any(f"would expand more than {RATIO} times", blown_up)
    if largest and total > max(LARGE_IN_ALL, RATIO * place.packed_size):
        place.refuse_any(f"would expand more than {RATIO} times in all, its largest member", [largest.filename])


def _is_blown_up(member: zipfile.ZipInfo) -> bool:
    return member.file_size > LARGE_MEMBER and member.file_size > RATIO * member.compress_size


def _overlapping(members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield the names of members that share bytes with the next one, as some zip bombs do."""
    for member, following in pairwise(sorted(members, key=lambda member: member.header_offset)):
        if member.header_offset + LOCAL_HEADER + member.compress_size > following.header_offset:
            yield member.filename


def _leads_outside(member: zipfile.ZipInfo) -> bool:
    return safe_parts(member.orig_filename) is None or stat.S_ISLNK(member.external_attr >> 16)


def _is_plain(member: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind in (0, stat.S_IFREG, stat.S_IFDIR) and (member.is_dir() or bool(safe_parts(member.filename)))
