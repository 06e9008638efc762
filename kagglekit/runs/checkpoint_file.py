"""Checkpoints: files with all that a run needs to resume, each with a checksum of its content.

The last two are kept. A file is read only if its checksum matches, and only as tensors and plain values: a pickle that
would run code is refused.
"""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kagglekit.system.errors import UserError
from kagglekit.system.files import replacing

if TYPE_CHECKING:
    from typing_extensions import Buffer

FORM = b"kagglekit checkpoint 2\n"
DEPTH = 2  # how many are kept
WITHIN = 3  # times the time of one between stages, for one in a stage: AdamW has two tensors beside each weight
SHARE = 0.05  # the largest share of the time that checkpoints in the middle of a stage may take


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file.

    Attributes:
        facts: Values that JSON can hold; ``run`` is the key of the run it belongs to.
        tensors: Tensors and plain values, nested in dictionaries and lists.
    """

    facts: dict[str, Any]
    tensors: dict[str, Any]


@dataclass
class Saver:
    """Writes a run's checkpoints, and knows when the next one in the middle of a stage is due.

    Attributes:
        folder: Their folder.
        every: Time between two of them in the middle of an epoch, s.
    """

    folder: Path
    every: float
    _saved: float = field(default_factory=time.monotonic)
    _took: float = 0.0  # what the next one in the middle of a stage is expected to take, s

    def due(self, epoch_ends: bool) -> bool:
        """Return whether to save now: at an epoch's end or after `every` s, unless saving takes too long."""
        passed = time.monotonic() - self._saved
        return (epoch_ends or passed >= self.every) and self._took <= SHARE * passed

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all but the last two.

        Raises:
            UserError: It cannot be written; earlier ones are not changed.
        """
        began = time.monotonic()
        write_checkpoint(self.folder, checkpoint)
        self._saved = time.monotonic()
        self._took = (self._saved - began) * (1 if checkpoint.tensors.get("state") else WITHIN)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a file with the next number, flushed and renamed; then remove those no longer needed."""
    older = _files(folder)
    number = int(older[-1].stem) + 1 if older else 1
    with replacing(folder / f"{number:08}.checkpoint") as part, _Checked(io.FileIO(part, "wb")) as file:
        file.raw.write(FORM + bytes(file.checksum.digest_size))
        try:
            torch.save({"facts": json.dumps(checkpoint.facts), "tensors": checkpoint.tensors}, file)
        except RuntimeError as error:  # torch's, a consequence of the failed write
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.flush()
        file.raw.seek(len(FORM), io.SEEK_SET)
        file.raw.write(file.checksum.digest())
    for file_ in older[: 1 - DEPTH]:
        file_.unlink(missing_ok=True)


class _Checked(io.BufferedWriter):
    """A file that computes the checksum of its content."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__(file)
        self.checksum = sha256()

    def write(self, content: Buffer, /) -> int:
        self.checksum.update(content)
        return super().write(content)


def newest_checkpoint(folder: Path, run: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest intact checkpoint of this run; warn of the others.

    Args:
        folder: Their folder.
        run: The run's key.
        warn: Called with a line for each one that cannot be used.
    """
    for file in reversed(_files(folder)):
        try:
            found = read_checkpoint(file)
            if found.facts["run"] != run:
                raise UserError(f"the checkpoint {file} belongs to another run")
        except UserError as error:
            warn(f"{error.what}; skipping it")
        else:
            return found
    return None


def read_checkpoint(file: Path) -> Checkpoint:
    """Read a file that `write_checkpoint` wrote.

    Raises:
        UserError: It is damaged, has another form, or contains more than tensors and plain values.
    """
    try:
        content = memoryview(file.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {file}: {error.strerror}") from error
    start = len(FORM) + sha256().digest_size
    if content[: len(FORM)] != FORM:
        raise UserError(f"the checkpoint {file} is damaged, or another version wrote it")
    if sha256(content[start:]).digest() != content[len(FORM) : start]:
        raise UserError(f"the checkpoint {file} is damaged: its checksum does not match")
    try:
        found = torch.load(io.BytesIO(content[start:]), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"the checkpoint {file} is refused: it contains more than tensors and plain values") from error
    return Checkpoint(json.loads(found["facts"]), found["tensors"])


def _files(folder: Path) -> list[Path]:
    """List the checkpoints, oldest first."""
    return sorted(folder.glob("*.checkpoint"))
