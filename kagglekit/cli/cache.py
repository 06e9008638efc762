"""`kagglekit cache`: what the decoded images take up."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kagglekit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.store_cache import CachedStore


@click.command()
@click.option("--clear", is_flag=True, help="Remove all image stores.")
@click.option("--yes", is_flag=True, help="With --clear: do not ask.")
def cache(clear: bool, yes: bool) -> None:
    """Show the stores of decoded images, or remove them all.

    They lie in $KAGGLEKIT_CACHE, or in the user's cache folder. What is removed is decoded again when it is
    needed.
    """
    from kagglekit.store import cache_folder
    from kagglekit.store_cache import cached_stores

    if yes and not clear:
        raise UsageError("--yes answers the question that --clear asks", "kagglekit cache --clear --yes")
    stores = cached_stores()
    if not stores:
        click.echo(f"no image stores in {cache_folder()}")
        return
    _show(stores)
    if clear and _agreed(stores, yes):
        _remove(stores)


def _show(stores: Sequence[CachedStore]) -> None:
    from kagglekit.progress import for_people
    from kagglekit.store import cache_folder

    display = for_people(False)
    columns = ("images", "size", "on disk", "last used", "", "data folder")
    display.table(columns, [_row(store) for store in stores])
    display.say(f"{_size(stores)} in {cache_folder()}")


def _row(store: CachedStore) -> tuple[object, ...]:
    return (
        f"{store.images:,}",
        f"{store.side} px {store.fit}",
        _megabytes(store.n_bytes),
        datetime.fromtimestamp(store.used).strftime("%Y-%m-%d %H:%M"),
        "" if store.complete else "not complete",
        store.root or "unknown",
    )


def _agreed(stores: Sequence[CachedStore], yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("--clear asks before it removes anything, and there is no terminal to ask on", "add --yes")
    return click.confirm(f"Remove {_size(stores)}?")


def _remove(stores: Sequence[CachedStore]) -> None:
    from kagglekit.store_cache import remove

    in_use = [store for store in stores if not remove(store)]
    for store in in_use:
        click.echo(f"left alone, a run is building it: {store.folder}")
    click.echo(f"removed {_size([store for store in stores if store not in in_use])}")


def _size(stores: Sequence[CachedStore]) -> str:
    """Word how many stores and bytes: ``2 image stores, 1,024 MB``."""
    noun = "image store" if len(stores) == 1 else "image stores"
    return f"{len(stores)} {noun}, {_megabytes(sum(store.n_bytes for store in stores))}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
