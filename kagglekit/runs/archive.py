"""A run's folder as an archive, for machines that share no disk."""

from __future__ import annotations

import io
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

from kagglekit.runs.folder import Run
from kagglekit.system.errors import UserError

LEFT_OUT = ("lock", "leader")  # locks, which are of one machine


def pack_folder(root: Path, folder: Path, alone: bool = False) -> tuple[bytes, str]:
    """Pack a run, or one part of it with the files that the part needs.

    Args:
        root: The run's folder.
        folder: The same, or the folder of a part in it.
        alone: Leave out the files that the part needs.

    Returns:
        A tar archive with paths relative to `root`, and its SHA-256.
    """
    tops = [folder]
    if folder != root and not alone:
        tops += [*(file for file in root.iterdir() if file.is_file()), root / "plugins"]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        files = {file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))}
        for file in sorted(file for file in files if file.is_file() and not file.name.endswith(".part")):
            if not (file.parent.name == "checkpoint" and file.name in LEFT_OUT):
                archive.add(file, str(file.relative_to(root)))
    packed = content.getvalue()
    return packed, sha256(packed).hexdigest()


def unpack_folder(packed: bytes, digest: str, root: Path) -> None:
    """Unpack an archive of `pack_folder` into a run's folder: all files or none, run.json last.

    Raises:
        UserError: It has changed on its way, or the folder cannot be written.
    """
    if sha256(packed).hexdigest() != digest:
        raise UserError(f"the files of {root} were damaged on their way from another machine", "run the command again")
    place = root / ".returned"
    try:
        shutil.rmtree(place, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(place, filter="data")
        files = sorted(file for file in place.rglob("*") if file.is_file())
        for file in sorted(files, key=lambda file: file.name == Run(root).info_file.name):
            target = root / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"cannot unpack the files of another machine into {root}: {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
