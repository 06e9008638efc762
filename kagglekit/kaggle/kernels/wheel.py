"""Pack an installed distribution as a wheel, so that another machine can install it without a network.

The files are those that Python imports here. So it makes no difference whether the distribution came from a wheel or is
a source tree in editable mode, and no build backend is needed.
"""

from __future__ import annotations

import base64
import importlib.util
import re
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from kagglekit.system.errors import UserError

COMPILED = (".so", ".pyd", ".dylib", ".dll")
LONG_AGO = (2020, 1, 1, 0, 0, 0)  # the same files give the same wheel
WHEEL = "Wheel-Version: 1.0\nGenerator: kagglekit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def pack_wheel(name: str, folder: Path) -> Path:
    """Write the wheel of an installed distribution of pure Python; return its path.

    Raises:
        UserError: It is not installed, has compiled files, or its files cannot be found.
    """
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise UserError(f"{name} is not installed", f"install it: pip install {name}") from None
    own = re.sub(r"[-_.]+", "_", found.metadata["Name"]).lower()
    info = f"{own}-{found.version}.dist-info"
    files = {**dict(_modules(found)), **{f"{info}/{each}": text for each, text in _metadata(found).items()}}
    if compiled := [each for each in files if each.endswith(COMPILED)]:
        what = f"{name} {found.version} is made for this kind of machine alone: it has {compiled[0]}"
        raise UserError(what, "only distributions of pure Python can be packed")
    record = f"{info}/RECORD"
    lines = [f"{each},{_digest(content)},{len(content)}" for each, content in sorted(files.items())]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    wheel = folder / f"{own}-{found.version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for each, content in sorted(files.items(), key=lambda item: (item[0].startswith(info), item[0])):
            entry = zipfile.ZipInfo(each, LONG_AGO)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return wheel


def _modules(found: Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield the files that are imported, by their paths in site-packages."""
    listed = [
        (each.as_posix(), Path(str(found.locate_file(each))))
        for each in found.files or []
        if each.suffix != ".pth" and not each.parts[0].endswith((".dist-info", ".egg-info")) and ".." not in each.parts
    ]
    for name, path in listed or _of_source_tree(found):
        if path.suffix != ".pyc" and path.is_file():
            yield name, path.read_bytes()


def _of_source_tree(found: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the files of an editable installation: of the package of its name, and of those its entry points name."""
    names = {re.sub(r"[-.]+", "_", found.metadata["Name"])} | {each.module for each in found.entry_points}
    for top in sorted({name.partition(".")[0] for name in names}):
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.origin:
            continue
        origin = Path(spec.origin)
        if not spec.submodule_search_locations:
            yield origin.name, origin
            continue
        for path in sorted(origin.parent.rglob("*")):
            yield f"{top}/{path.relative_to(origin.parent).as_posix()}", path


def _metadata(found: Distribution) -> dict[str, bytes]:
    """Return the files of the wheel's dist-info but for RECORD."""
    texts = {name: found.read_text(name) for name in ("METADATA", "entry_points.txt", "top_level.txt")}
    kept = {name: text.encode() for name, text in texts.items() if text}
    for each in found.files or []:
        if each.parts[0].endswith(".dist-info") and "licenses" in each.parts:
            kept["/".join(each.parts[1:])] = Path(str(found.locate_file(each))).read_bytes()
    return {**kept, "WHEEL": WHEEL.encode()}


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
