"""The cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder for files that can be recreated: ``$KAGGLEKIT_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("KAGGLEKIT_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("kagglekit")
