"""A run that shows itself as the value of a notebook's cell."""

from __future__ import annotations

from pathlib import Path

from kagglekit.runs import folder
from kagglekit.runs.lookup import find_run
from kagglekit.runs.place import RUNS


class Run(folder.Run):
    """The folder of one run, finished or not: its files, ``info()``, ``recipe()`` and ``log()``.

    As the value of a notebook's cell it shows scores, curves, the most confused classes and the images with the highest
    loss, with a link to the report.
    """

    @classmethod
    def of(cls, run: folder.Run | str | Path, out: str | Path = RUNS) -> Run:
        """Return a run by its folder, its name in `out`, a unique prefix of that, or ``latest``.

        Raises:
            UserError: No run matches, or several do.
        """
        return cls((run if isinstance(run, folder.Run) else find_run(str(run), Path(out))).folder)

    def __eq__(self, other: object) -> bool:
        """Return whether the other one is the same folder."""
        return isinstance(other, folder.Run) and self.folder == other.folder

    __hash__ = folder.Run.__hash__

    def _repr_html_(self) -> str | None:
        """Return the summary; None, so that the path is shown, if a file cannot be read."""
        from kagglekit.notebook.summary import summary

        try:
            return summary(self)
        except Exception:  # no damaged file may spoil the cell that made the run
            return None
