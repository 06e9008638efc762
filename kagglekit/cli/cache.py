"""`kagglekit cache`: show or clear the decoded images and unpacked archives."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import yes_option
from kagglekit.system.errors import UsageError
from kagglekit.system.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.images.cache import CachedArchive, CachedStore


@click.command()
@click.option("--clear", is_flag=True, help="Remove everything in the cache.")
@yes_option("With --clear: do not ask for confirmation.")
def cache(clear: bool, yes: bool) -> None:
    """Show the decoded images and unpacked archives in the cache, or remove them all.

    The cache is $KAGGLEKIT_CACHE, or a folder in the user's cache folder. Removed images and archives are decoded or
    unpacked again when needed. Do not remove archives while a run reads them.
    """
    from kagglekit.images.cache import cached_archives, cached_stores
    from kagglekit.system.paths import cache_folder

    if yes and not clear:
        raise UsageError("--yes needs --clear", "kagglekit cache --clear --yes")
    stores, archives = cached_stores(), cached_archives()
    kept: list[CachedStore | CachedArchive] = [*stores, *archives]
    if not kept:
        click.echo(f"the cache is empty: {cache_folder()}")
        return
    _show(stores, archives)
    if clear and _agreed(kept, yes):
        _remove(kept)


def _show(stores: Sequence[CachedStore], archives: Sequence[CachedArchive]) -> None:
    from kagglekit.system.console import for_people
    from kagglekit.system.paths import cache_folder

    display = for_people(False)
    if stores:
        columns = ("images", "size", "on disk", "last used", "", "data folder")
        display.table(columns, [_store_row(store) for store in stores])
    if archives:
        display.table(("on disk", "unpacked", "", "archive"), [_archive_row(archive) for archive in archives])
    display.report(f"{_size([*stores, *archives])} in {cache_folder()}")


def _store_row(store: CachedStore) -> tuple[object, ...]:
    size = f"{store.side} px {store.fit}"
    return f"{store.images:,}", size, *_common(store), store.root or "unknown"


def _archive_row(archive: CachedArchive) -> tuple[object, ...]:
    return *_common(archive), archive.name


def _common(kept: CachedStore | CachedArchive) -> tuple[str, str, str]:
    when = datetime.fromtimestamp(kept.used).strftime("%Y-%m-%d %H:%M")
    return _megabytes(kept.n_bytes), when, "" if kept.complete else "incomplete"


def _agreed(kept: Sequence[CachedStore | CachedArchive], yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("--clear needs confirmation, but there is no terminal to ask on", "add --yes")
    return click.confirm(f"Remove {_size(kept)}?")


def _remove(kept: Sequence[CachedStore | CachedArchive]) -> None:
    from kagglekit.images.cache import remove

    in_use = [each for each in kept if not remove(each)]
    for each in in_use:
        click.echo(f"in use by a run, not removed: {printable(str(each.folder))}")
    click.echo(f"removed {_size([each for each in kept if each not in in_use])}")


def _size(kept: Sequence[CachedStore | CachedArchive]) -> str:
    """Return number and size: ``2 image stores and 1 unpacked archive, 1,024.0 MB``."""
    from kagglekit.images.cache import CachedStore

    n_stores = sum(isinstance(each, CachedStore) for each in kept)
    counts = [(n_stores, "image store"), (len(kept) - n_stores, "unpacked archive")]
    parts = [f"{n} {noun}" if n == 1 else f"{n} {noun}s" for n, noun in counts if n]
    return f"{' and '.join(parts) or 'nothing'}, {_megabytes(sum(each.n_bytes for each in kept))}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
