"""Where runs are, unless the user names another place; apart, since the modules about runs take long to load."""

from pathlib import Path

RUNS = Path("submissions")  # relative to the working folder
