"""Decide where decoded images are kept: on the device, in memory, memory-mapped, or streamed block by block."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from kagglekit.compute.device import free_bytes
from kagglekit.images.store import PIXELS, ImageStore, StoreSpec, exists, made
from kagglekit.system.display.console import amount
from kagglekit.system.errors import UsageError, UserError, unknown
from kagglekit.system.paths import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch

Keep = Literal["auto", "device", "ram", "map", "stream"]
MEMORY = Path("/proc/meminfo")  # Linux


def check_keep(keep: str, device: torch.device) -> None:
    """Check the choice of `--store`.

    Raises:
        UsageError: There is no such choice.
        UserError: The device has no memory of its own.
    """
    if keep not in get_args(Keep):
        raise UsageError(unknown("store", keep, get_args(Keep)))
    if keep == "device" and device.type != "cuda":
        raise UserError(f"--store device: {device.type} has no memory of its own", "use --store auto, ram or map")


def fits_device(n_bytes: int, device: torch.device) -> bool:
    """Return whether the device has twice that memory free; the network needs memory, too."""
    return 2 * n_bytes <= free_bytes(device)


def may_place(keep: Keep, device: torch.device) -> bool:
    """Return whether pixels may be copied to the device."""
    return keep not in ("ram", "map") and device.type == "cuda"


def deterministic_keep(keep: Keep) -> Keep:
    """Return the choice for deterministic runs: pixels warped on a GPU are rounded otherwise."""
    return "map" if keep in ("auto", "stream") else keep


def with_sources(specs: Iterable[StoreSpec]) -> list[StoreSpec]:
    """Return stores and their sources, each once."""
    each = [each for spec in specs for each in (spec, spec.source) if each]
    return list({spec.key: spec for spec in each}.values())


def estimated_bytes(specs: Iterable[StoreSpec]) -> int:
    """Estimate the bytes of stores, for images of 3:2 that are at least as large as the store's side."""
    return int(sum(len(spec.files) * spec.side**2 * 1.5 * spec.form.pixel_bytes for spec in specs))


def why_stream(keep: Keep, labelled: Iterable[StoreSpec], test: Sequence[StoreSpec], follows: bool = False) -> str:
    """Return why the test images are streamed; an empty string if they get stores like the others.

    They are streamed with ``stream``, and with ``auto`` if the disk is too small for all missing stores. A process that
    `follows` another one finds out what that has decided.
    """
    if not test or keep in ("device", "ram", "map"):
        return ""
    if keep == "stream":
        return "--store stream"
    if follows:
        return "" if all(made(spec) for spec in test) else "as in the other processes"
    missing = with_sources(spec for spec in (*labelled, *test) if not made(spec))
    needed, free = estimated_bytes(spec for spec in missing if not exists(spec)), free_disk()
    if needed <= free or all(made(spec) for spec in test):
        return ""
    return f"decoded images need about {amount(needed)}, and {amount(free)} are free on the disk"


def free_disk() -> int:
    """Return the free bytes on the disk of the cache folder."""
    folder = cache_folder()
    return shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists())).free


def in_memory(store: ImageStore) -> ImageStore:
    """Read a store's pixels into memory.

    Raises:
        UserError: They do not fit.
    """
    if len(store.pixels) > _free_memory():
        raise UserError(
            f"--store ram: {amount(len(store.pixels))} of decoded images, {amount(_free_memory())} free",
            "use --store auto: a memory map needs no memory of its own",
        )
    return replace(store, pixels=np.fromfile(store.folder / PIXELS, dtype=np.uint8))


def _free_memory() -> int:
    """Return the available memory, bytes; file caches count as available."""
    with suppress(OSError):
        for line in MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:  # macOS has no such number
        return 1 << 62
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def describe_kept(keep: Keep, stores: Sequence[ImageStore], device: torch.device) -> str:
    """Describe where the decoded images are kept, as far as that is known before the run."""
    where = "in memory" if keep == "ram" else "memory-mapped"
    if may_place(keep, device):
        where += f"; copied to {device} size by size{'' if keep == 'device' else ' if they fit'}"
    n_bytes = {store.folder: len(store.pixels) for store in stores}  # several sizes may have the same one
    return f"image stores: {sum(n_bytes.values()) / 1e6:,.0f} MB, {where}"


def describe_placed(what: str, store: ImageStore, device: torch.device, placed: bool) -> str:
    """Describe whether a store was copied to the device."""
    size = f"{what}: {len(store.pixels) / 1e6:,.0f} MB"
    return f"{size} copied to {device}" if placed else f"{size} stay memory-mapped: {device} lacks twice that memory"
