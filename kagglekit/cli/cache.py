"""`kagglekit cache`: show or remove the decoded images and unpacked archives."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagglekit.cli.options import out_option, size_option, yes_option
from kagglekit.system.display.printable import printable
from kagglekit.system.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kagglekit.images.cache import CachedArchive, CachedStore


_UNITS = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def _age(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Return the seconds of ``30d``, ``12h`` or ``2w``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([hdw]?)\s*", text or "", re.IGNORECASE)
    if text is not None and not found:
        raise click.BadParameter(f"{text!r} is no age such as 30d, 12h or 2w", context, parameter)
    return float(found[1]) * _UNITS[found[2].lower() or "d"] if found else None


@click.command()
@click.option("--clear", is_flag=True, help="Remove everything in the cache.")
@click.option("--older-than", callback=_age, metavar="AGE", help="Remove what was not used for AGE: 30d, 12h or 2w.")
@size_option("--max-size", "Remove what was not used for longest, until SIZE is left: 20GB.")
@yes_option("Do not ask for confirmation.")
@out_option()
def cache(clear: bool, older_than: float | None, max_size: int | None, yes: bool, out: Path) -> None:
    """Show the decoded images and unpacked archives in the cache, with the runs that used them, or remove some.

    The cache is $KAGGLEKIT_CACHE, or a folder in the user's cache folder. Removed images and archives are decoded or
    unpacked again when needed; what a process is using stays. Image stores that were not used for longest are also
    removed when less than 5 GB of the disk is free before images are decoded. KAGGLEKIT_KEEP_CACHE=1 turns that off.
    """
    from kagglekit.images.cache import cached_archives, cached_stores
    from kagglekit.images.make_room import surplus
    from kagglekit.system.paths import cache_folder

    some = older_than is not None or max_size is not None
    if yes and not (clear or some):
        raise UsageError("--yes needs --clear, --older-than or --max-size", "kagglekit cache --clear --yes")
    if clear and some:
        raise UsageError("--clear removes everything: leave out --older-than and --max-size")
    stores, archives = cached_stores(), cached_archives()
    kept: list[CachedStore | CachedArchive] = [*stores, *archives]
    if not kept:
        click.echo(f"the cache is empty: {cache_folder()}")
        return
    _show(stores, archives, out)
    oldest = None if older_than is None else time.time() - older_than
    chosen = kept if clear else surplus(kept, oldest, max_size)
    if some and not chosen:
        click.echo("nothing to remove")
    elif chosen and _agreed(chosen, yes):
        _remove(chosen)


def _show(stores: Sequence[CachedStore], archives: Sequence[CachedArchive], out: Path) -> None:
    from kagglekit.system.display.console import for_people
    from kagglekit.system.paths import cache_folder

    display = for_people(False)
    if stores:
        columns = ("images", "size", "on disk", "last used", "newest run", "data folder")
        users = _runs_by_folder(out)
        display.table(columns, [_store_row(store, users.get(store.root, [])) for store in stores])
    if archives:
        display.table(("on disk", "unpacked", "archive"), [_archive_row(archive) for archive in archives])
    display.report(f"{_size([*stores, *archives])} in {cache_folder()}")


def _runs_by_folder(out: Path) -> dict[str, list[str]]:
    """Return the names of the runs that used each data folder, the newest first."""
    from kagglekit.runs.lookup import all_runs
    from kagglekit.system.errors import UserError

    users: dict[str, list[str]] = {}
    for run in reversed(all_runs(out)):
        with contextlib.suppress(UserError):  # a damaged run.json
            if folder := run.info().data:
                users.setdefault(str(Path(folder).absolute()), []).append(run.name)
    return users


def _store_row(store: CachedStore, runs: Sequence[str]) -> tuple[object, ...]:
    size = f"{store.side} px {store.fit}"
    of = Path(store.root)
    folder = "images of kagglekit predict" if store.root and of == Path(of.anchor) else store.root or "unknown"
    newest = f"{runs[0]}{f' and {len(runs) - 1} more' if len(runs) > 1 else ''}" if runs else ""
    return f"{store.images:,}", size, *_common(store), newest, folder


def _archive_row(archive: CachedArchive) -> tuple[object, ...]:
    return *_common(archive), archive.name


def _common(kept: CachedStore | CachedArchive) -> tuple[str, str]:
    when = datetime.fromtimestamp(kept.used).strftime("%Y-%m-%d %H:%M")
    return _megabytes(kept.n_bytes), when if kept.complete else f"{when} incomplete"


def _agreed(kept: Sequence[CachedStore | CachedArchive], yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("removing needs confirmation, but there is no terminal to ask on", "add --yes")
    return click.confirm(f"Remove {_size(kept)}?")


def _remove(kept: Sequence[CachedStore | CachedArchive]) -> None:
    from kagglekit.images.cache import remove

    in_use = [each for each in kept if not remove(each)]
    for each in in_use:
        click.echo(f"in use, not removed: {printable(str(each.folder))}")
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
