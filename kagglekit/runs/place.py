"""Where runs are, unless the user names another place; apart, since the modules about runs take long to load."""

from pathlib import Path

RUNS = Path("submissions")  # relative to the working folder
RECIPE, INFO = "recipe.json", "run.json"  # files of every run


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (folder / INFO).is_file() and (folder / RECIPE).is_file()
