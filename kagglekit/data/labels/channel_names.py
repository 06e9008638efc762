"""Name images whose channels lie in a file each: ``7_red.png`` and ``7_green.png`` are ``7_{red,green}.png``."""

from __future__ import annotations

from collections.abc import Sequence

from kagglekit.types.image_path import channel_names


def with_channels(names: Sequence[str], suffix: str) -> list[str]:
    """Return file names, those of an image's channels as one.

    Args:
        names: File names.
        suffix: The end of all names of images; ``_{red,green}.png`` for images with these channels. Without braces,
            the names stay as they are.

    Returns:
        The names in their order; an image takes the place of its first channel.
    """
    ends = channel_names(suffix)
    if len(ends) == 1:
        return list(names)
    there = set(names)
    stems = [name.removesuffix(ends[0]) for name in names if name.endswith(ends[0])]
    whole = {stem for stem in stems if all(f"{stem}{end}" in there for end in ends)}
    joined = {f"{stem}{end}": f"{stem}{suffix}" for stem in whole for end in ends}
    return list(dict.fromkeys(joined.get(name, name) for name in names))
