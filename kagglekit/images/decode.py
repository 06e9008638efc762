"""Stores of decoded images, made where they are missing, and how long that took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kagglekit.hooks.calls import Hooks
from kagglekit.images.build import being_built, build, build_smaller
from kagglekit.images.store import ImageStore, StoreSpec, exists, open_store
from kagglekit.types.decoded import Decoded, Kind

if TYPE_CHECKING:
    from kagglekit.system.console import Display


def made_store(
    spec: StoreSpec, hooks: Hooks, display: Display, kind: Kind, first: Mapping[int, str], decoded: list[Decoded]
) -> ImageStore:
    """Open a store; make it before, if there is none, and note what that took.

    Args:
        spec: Which one.
        hooks: The plugins.
        display: Shows it.
        kind: Which images it holds.
        first: By side, the first stage that looks at labelled images of that size.
        decoded: Gets the note.
    """
    if exists(spec):
        return open_store(spec)
    if spec.source and not exists(spec.source):
        made_store(spec.source, hooks, display, kind, first, decoded)
    if being_built(spec):
        display.report("another process decodes these images; waiting for it")
    what = f"reducing {kind} images to {spec.side} px" if spec.source else f"decoding {kind} images at {spec.side} px"
    steps = build_smaller(spec) if spec.source else build(spec, hooks.read_image)
    with display.bar(what, len(spec.files)) as bar:
        for done in steps:
            bar.advance(done - bar.done)
    stage = first.get(spec.side, "") if kind == "labelled" else ""
    made = Decoded(kind, stage, spec.side, "copies" if spec.source else "files", len(spec.files), bar.seconds)
    decoded.append(made)
    if not spec.source:
        rate = made.n / max(1e-9, made.seconds)
        display.report(f"decoded {made.n:,} {kind} images at {spec.side} px ({rate:,.0f} a second)")
    return open_store(spec)


def built_store(spec: StoreSpec, read: Callable[[Path, int], NDArray[np.uint8] | None]) -> ImageStore:
    """Decode the files into a store, if that has not been done before, and open it."""
    for _ in build(spec, read):
        pass
    return open_store(spec)
