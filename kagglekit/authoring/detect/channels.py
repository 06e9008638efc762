"""Find images whose channels lie in a file each, by the ends of their names: ``7_red.png``, ``7_green.png``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from kagglekit.data.labels.channel_names import with_channels
from kagglekit.data.listing import stem_of, suffix_of

LEAST_IMAGES = 2
CHANNELS = (2, 16)  # at least, at most
COLOURS = ("red", "green", "blue")  # in this order, whatever comes between
_END = re.compile(r"(.+)([_.\- ][^_.\- ]+)")


def join_channels(files: Mapping[str, Sequence[str]]) -> dict[str, list[str]] | None:
    """Return the images of each folder with those of one image's channels as one name; None if there are no such.

    All images must have the same channels, and there must be no other images.
    """
    names = [name for of_folder in files.values() for name in of_folder]
    suffix = _suffix(names)
    if not suffix:
        return None
    joined = {folder: with_channels(of_folder, suffix) for folder, of_folder in files.items()}
    whole = all(name.endswith(suffix) for of_folder in joined.values() for name in of_folder)
    return joined if whole else None


def _suffix(names: Sequence[str]) -> str:
    """Return the end of all images' names, with braces around the channels; empty if there are no channels."""
    suffixes = Counter(suffix_of(name) for name in names)
    ends: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        if found := _END.fullmatch(stem_of(name)):
            ends[found[1]].add(found[2])
    kinds = set(map(frozenset, ends.values()))
    if len(suffixes) != 1 or len(kinds) != 1 or len(ends) < LEAST_IMAGES:
        return ""
    channels = sorted(kinds.pop(), key=_rank)
    separators = {end[0] for end in channels}
    if not CHANNELS[0] <= len(channels) <= CHANNELS[1] or len(separators) != 1:
        return ""
    return f"{separators.pop()}{{{','.join(end[1:] for end in channels)}}}{next(iter(suffixes))}"


def _rank(end: str) -> tuple[int, str]:
    """Rank red, green and blue first, so that people see them as such; then by name."""
    word = end[1:].lower()
    return (COLOURS.index(word) if word in COLOURS else len(COLOURS), word)
