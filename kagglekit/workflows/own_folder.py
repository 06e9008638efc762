"""The folder that a process works in: the run's, or, beside the first of several processes, one that nobody keeps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kagglekit.compute.processes.ranks import Ranks
from kagglekit.runs.folder import Run
from kagglekit.runs.info import Record
from kagglekit.runs.lock import locked
from kagglekit.system.files import write_bytes


@contextmanager
def opened(run: Run, ranks: Ranks) -> Iterator[tuple[Run, Record]]:
    """Keep others from working on a run, and yield the folder that this process works in, with its run.json.

    The first process has the run's folder. The others have temporary ones, with what the run knows so far: beside the
    checkpoints, or on machines that do not see these, in the system's place for them. Snapshots are written once on
    each machine, where its processes read them.

    Raises:
        UserError: Another process works on the run, or its folder cannot be written.
    """
    if ranks.is_first:
        with locked(run) as record:
            ranks.of_first(lambda: record.info)
            _share_snapshots(run, run, ranks)
            yield run, record
        return
    info = ranks.of_first(lambda: None)
    assert info is not None
    with _temporary(run.checkpoints, f"process-{ranks.rank}") as own:
        _share_snapshots(run, own, ranks)
        yield own, Record(own.info_file, info)


@contextmanager
def _temporary(parent: Path, name: str) -> Iterator[Run]:
    if not parent.exists():
        with tempfile.TemporaryDirectory(prefix="kagglekit-process-") as folder:
            yield Run(Path(folder))
        return
    place = parent / name
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    place.mkdir()
    try:
        yield Run(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _share_snapshots(run: Run, own: Run, ranks: Ranks) -> None:
    """Let a process find the snapshots that the run has, and those that will be written on its machine."""
    folders = ranks.all(str(own.final_weights.parent.absolute()))
    if ranks.local:
        own.final_weights.parent.symlink_to(folders[ranks.rank - ranks.local], target_is_directory=True)
    if ranks.world == ranks.here:
        return
    names = ranks.of_first(lambda: sorted(file.name for file in run.final_weights.parent.glob("*.safetensors")))
    for name in names:
        content = ranks.of_first((run.final_weights.parent / name).read_bytes)
        if not ranks.local and not ranks.is_first:
            write_bytes(own.final_weights.parent / name, content)
