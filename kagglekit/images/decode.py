"""Build missing image stores, and record how long that took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from kagglekit.hooks.calls import Hooks
from kagglekit.images.build import being_built, build, build_smaller
from kagglekit.images.store import ImageStore, StoreSpec, made, open_store
from kagglekit.types.decoded import Decoded, Kind

if TYPE_CHECKING:
    from kagglekit.system.display.console import Display


def made_store(
    spec: StoreSpec, hooks: Hooks, display: Display, kind: Kind, first: Mapping[int, str], decoded: list[Decoded]
) -> ImageStore:
    """Open a store, or its source if that has the same images; build it first if it is missing, and record the time.

    Args:
        spec: The store.
        hooks: The plugins.
        display: Shows the progress.
        kind: Kind of its images.
        first: By side, the first stage that uses labelled images of that size.
        decoded: Receives the record.
    """
    if spec.source and not made(spec):
        made_store(spec.source, hooks, display, kind, first, decoded)
    if found := made(spec):
        return open_store(found)
    if being_built(spec):
        display.report("another process is decoding these images; waiting for it")
    what = f"reducing {kind} images to {spec.side} px" if spec.source else f"decoding {kind} images at {spec.side} px"
    steps = build_smaller(spec) if spec.source else build(spec, hooks.read_values)
    with display.bar(what, len(spec.files)) as bar:
        before = 0  # images that an interrupted run, or another process, has decoded: the rate does not count them
        for done in steps:
            if done > 1 and not bar.done:
                before = done
                bar.restart(done, len(spec.files))
            bar.advance(done - bar.done)
    stage = first.get(spec.side, "") if kind == "labelled" else ""
    n = len(spec.files)
    decoded.append(Decoded(kind, stage, spec.side, "copies" if spec.source else "files", n, bar.seconds))
    if not spec.source:
        rate = (n - before) / max(1e-9, bar.seconds)
        display.report(f"decoded {n:,} {kind} images at {spec.side} px ({rate:,.0f} images/s)")
    return open_store(spec)


def built_store(spec: StoreSpec, read: Callable[[Path, int], NDArray[Any] | None]) -> ImageStore:
    """Open a store; decode the files into it first if it is missing."""
    for _ in build(spec, read):
        pass
    return open_store(spec)
