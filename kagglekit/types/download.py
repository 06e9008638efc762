"""Options of the hook `kagglekit_download`."""

from __future__ import annotations

from dataclasses import dataclass

from kagglekit.system.display.console import Display


@dataclass(frozen=True)
class DownloadOptions:
    """Options of a download.

    Attributes:
        display: Shows progress and messages.
        timeout: Seconds without progress before the download fails.
        keep_archives: Keep the archives beside the unpacked files.
        max_unpacked: Bytes that the download may unpack to; None for 100 times its size.
    """

    display: Display
    timeout: float = 300
    keep_archives: bool = False
    max_unpacked: int | None = None
