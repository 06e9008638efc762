"""Where data come from unless a competition says otherwise: Kaggle, or the open addresses that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import Competition, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from kagglekit import DownloadOptions


@hookimpl
def kagglekit_download(competition: Competition, folder: Path, options: DownloadOptions) -> Path | None:
    """Download by the slug, else the named files."""
    if competition.slug:
        from kagglekit import download_from_kaggle

        return download_from_kaggle(competition, folder, options)
    if competition.files:
        from kagglekit import download_files

        return download_files(competition, folder, options)
    return None
