"""The default download: from Kaggle, or from the public addresses that a competition names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from kagglekit import DownloadOptions


@hookimpl
def kagglekit_download(competition: Competition, folder: Path, options: DownloadOptions) -> Path | None:
    """Download by slug from Kaggle, else the files that the competition names."""
    if competition.slug:
        from kagglekit import download_from_kaggle

        return download_from_kaggle(competition, folder, options)
    if competition.files:
        from kagglekit import download_files

        return download_files(competition, folder, options)
    return None
