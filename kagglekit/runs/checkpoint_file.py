"""Checkpoints: files with all that a run needs to resume, each with a checksum of its content.

The last two are kept. A file is read only if its checksum matches. It is no pickle, so that reading it cannot run code.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kagglekit.runs.tensor_copy import Copied
from kagglekit.runs.tensor_tree import BadTree, read_tree, write_tree
from kagglekit.system.errors import UserError
from kagglekit.system.files import replacing

FORM = "kagglekit checkpoint 3"
PICKLED = b"kagglekit checkpoint "  # how files of forms 1 and 2 begin
DEPTH = 2  # how many are kept
WITHIN = 3  # times the time of one between stages, for one in a stage: AdamW has two tensors beside each weight
BEHIND = 0.5  # the largest share of the time in which a thread may write them
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

    In the background, a thread writes a copy while the training continues. A checkpoint is complete or not there in
    any case: it gets its name when all of it is on the disk.

    Attributes:
        folder: Their folder.
        every: Time between two of them in the middle of an epoch, s.
        in_background: Whether those that nobody waits for are written by a thread: where a GPU trains meanwhile. On a
            CPU it would take the training's time, and a copy its memory.
    """

    folder: Path
    every: float
    in_background: bool = False
    _saved: float = field(default_factory=time.monotonic)
    _took: float = 0.0  # what the next one in the middle of a stage is expected to take of the training's time, s
    _writing: Future[float] | None = None

    def due(self, epoch_ends: bool) -> bool:
        """Return whether to save now: at an epoch's end or after `every` s, unless saving takes too long.

        Raises:
            UserError: One that was written in the background could not be written.
        """
        if self._writing and not self._writing.done():
            return False
        self.wait()
        passed = time.monotonic() - self._saved
        return (epoch_ends or passed >= self.every) and self._took <= SHARE * passed

    def save(self, checkpoint: Checkpoint, wait: bool = True) -> None:
        """Write a checkpoint, then remove all but the last two.

        Args:
            checkpoint: Its content; the training may change the tensors after the call.
            wait: Return when it is written, even with `in_background`.

        Raises:
            UserError: It, or the one before it, cannot be written; earlier ones are not changed.
        """
        self.wait()
        began = time.monotonic()
        if self.in_background and not wait:
            self._write_behind(checkpoint)
            self._saved = time.monotonic()
            self._took = self._saved - began
            return
        write_checkpoint(self.folder, checkpoint)
        self._saved = time.monotonic()
        self._took = (self._saved - began) * (1 if checkpoint.tensors.get("state") else WITHIN)
        self._took *= SHARE / BEHIND if self.in_background else 1

    def wait(self) -> None:
        """Wait until the thread has written its checkpoint.

        Raises:
            UserError: It cannot be written.
        """
        if self._writing:
            writing, self._writing = self._writing, None
            self._took = max(self._took, writing.result() * SHARE / BEHIND)

    def _write_behind(self, checkpoint: Checkpoint) -> None:
        copied = Copied({"facts": copy.deepcopy(checkpoint.facts), "tensors": checkpoint.tensors})

        def write() -> float:
            began = time.monotonic()
            write_checkpoint(self.folder, Checkpoint(**copied.tree()))
            return time.monotonic() - began

        with_one = ThreadPoolExecutor(1, "checkpoint")
        self._writing = with_one.submit(write)
        with_one.shutdown(wait=False)  # the thread ends when it has written


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a file with the next number, flushed and renamed; then remove those no longer needed.

    Raises:
        UserError: It cannot be written, or contains more than tensors and plain values.
    """
    older = _files(folder)
    number = int(older[-1].stem) + 1 if older else 1
    with replacing(folder / f"{number:08}.checkpoint") as part:
        try:
            write_tree({"facts": checkpoint.facts, "tensors": checkpoint.tensors}, part, FORM)
        except TypeError as error:
            raise UserError(
                f"cannot write a checkpoint: the state of the training has {error}",
                "the state of a plugin's optimizer may contain tensors, numbers, texts, lists and dicts only",
            ) from error
    for file_ in older[: 1 - DEPTH]:
        file_.unlink(missing_ok=True)


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
            if found.facts.get("run") != run:
                raise UserError(f"the checkpoint {file} belongs to another run")
        except UserError as error:
            warn(f"{error.what}; skipping it")
        else:
            return found
    return None


def read_checkpoint(file: Path) -> Checkpoint:
    """Read a file that `write_checkpoint` wrote.

    Raises:
        UserError: It is damaged, or has another form.
    """
    try:
        with file.open("rb") as opened:
            if opened.read(len(PICKLED)) == PICKLED:
                raise UserError(f"the checkpoint {file} is a pickle of an earlier version, which is not read")
        found = read_tree(file, FORM)
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {file}: {error.strerror or error}") from error
    except BadTree as error:
        raise UserError(f"the checkpoint {file} {error}") from error
    match found:
        case {"facts": dict(facts), "tensors": dict(tensors)}:
            return Checkpoint(facts, tensors)
    raise UserError(f"the checkpoint {file} is damaged: it has no facts and tensors")


def _files(folder: Path) -> list[Path]:
    """List the checkpoints, oldest first."""
    return sorted(folder.glob("*.checkpoint"))
