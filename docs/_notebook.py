"""Execute docs/notebook.ipynb in a kernel and keep what it shows: ``uv run python docs/_notebook.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTHING: Mapping[str, str] = {}
NOTEBOOK = Path(__file__).parent / "notebook.ipynb"


def executed(folder: Path, changed: Mapping[str, str] = NOTHING) -> nbformat.NotebookNode:
    """Return the notebook with the output of all its cells, executed in a folder; `changed` replaces text in them."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for old, new in changed.items():
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    return notebook


def main() -> None:
    """Write the notebook with its output."""
    with tempfile.TemporaryDirectory() as place:
        notebook = executed(Path(place))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of this machine
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    NOTEBOOK.write_text(nbformat.writes(notebook).replace(f"{place}/", "") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
