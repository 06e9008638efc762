"""Mark what kagglekit writes to folders of the user, so that it is not taken for data in the next run.

People work inside their data folder: plots and tables then lie beside the images. A name alone would not tell them
apart, since a class may be called ``pictures``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kagglekit.system.files import open_own

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = ".kagglekit-output"  # names the files of its folder that kagglekit wrote, one a line
_TITLE = "# Files in this folder that kagglekit wrote: they are not data."


def mark_output(file: Path) -> None:
    """Note that kagglekit writes a file; its folder is created.

    A note that cannot be written is left out: if the folder is read-only, writing the file explains that.
    """
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        known = output_names(file.parent)
        if file.name not in known:
            with open_own(file.parent / OUTPUT) as marker:
                marker.write("".join(f"{line}\n" for line in (*([] if known else [_TITLE]), file.name)).encode())


def output_names(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder that kagglekit wrote; none if the folder has no note about it."""
    try:
        lines = (folder / OUTPUT).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return frozenset()
    return frozenset(line for line in lines if line != _TITLE)
