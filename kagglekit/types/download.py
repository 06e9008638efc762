"""How data are fetched: what the hook `kagglekit_download` is told beside what to fetch."""

from __future__ import annotations

from dataclasses import dataclass

from kagglekit.system.console import Display


@dataclass(frozen=True)
class DownloadOptions:
    """What the user wants of a download.

    Attributes:
        display: Where it shows itself.
        timeout: Seconds without progress until it gives up.
        keep_archives: Keep the archives beside the unpacked files.
    """

    display: Display
    timeout: float = 300
    keep_archives: bool = False
