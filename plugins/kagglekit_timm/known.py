"""Check a recipe's networks and files of weights before timm is loaded, which takes seconds."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from kagglekit import Recipe, UsageError, UserError, timm_names
from kagglekit_timm.file_kinds import kind_of


def check_recipe(recipe: Recipe) -> None:
    """Refuse networks, weights or files of weights that do not exist.

    If timm is loaded, its registry is asked, which also knows the weights that are not on its hub. If not, the text of
    its modules is searched: it has the names of all networks, unless a plugin has added one, and then timm is loaded.
    It does not have all tags of weights, so timm is loaded for a tag that is not there.

    Raises:
        UserError: One of them does not exist, or a file holds something else than weights.
    """
    for each in singles(recipe):
        if "timm.models" in sys.modules or not _is_in_text(each.arch):
            from kagglekit_timm.spec import known_cfg

            known_cfg(each)
        check_weights(each)


def _is_in_text(name: str) -> bool:
    """Return whether the text of timm's modules has a network with these weights; False if only timm knows.

    Raises:
        UsageError: There is no such network.
    """
    arch, _, tag = name.partition(".")
    known = timm_names()
    if known and arch not in known:
        raise no_network(arch, list(known))
    return bool(known) and (not tag or tag in known[arch])


def no_network(arch: str, known: list[str]) -> UsageError:
    """Return the error for a network that timm does not have, with the most similar names."""
    near = difflib.get_close_matches(arch, known, n=5, cutoff=0.6)
    return UsageError(
        f"timm has no network {arch!r}" + (f"; similar: {', '.join(near)}" if near else ""),
        "search: kagglekit models PATTERN",
    )


def no_tag(arch: str, tag: str, tags: set[str]) -> UsageError:
    """Return the error for weights that timm does not have."""
    return UsageError(
        f"timm has no weights {tag!r} of {arch}; it has {', '.join(sorted(tags)) or 'none'}",
        "choose one of them with --arch, or omit the tag",
    )


def check_weights(recipe: Recipe) -> None:
    """Check the file of weights of a recipe with one network, if it names one.

    Raises:
        UserError: It does not exist, cannot be read, holds something else, or would not be used.
    """
    if not recipe.weights:
        return
    if not recipe.pretrained:
        raise UserError(
            f"weights={recipe.weights} has no effect with pretrained=false",
            "load them: --set pretrained=true; or start from random weights: --set weights=",
        )
    path = Path(recipe.weights).expanduser()
    if not path.is_file():
        raise UserError(f"no weights file {path}", "check the path: --set weights=FILE")
    try:
        kind_of(path)
    except OSError as error:
        raise UserError(f"cannot read the weights file {path}: {error.strerror or error}") from error


def singles(recipe: Recipe) -> list[Recipe]:
    """Return a recipe for each network.

    Raises:
        UserError: The number of weight files is not the number of networks.
    """
    archs = (recipe.arch, *recipe.archs)
    files = recipe.weights.split(",") if recipe.weights and recipe.archs else [recipe.weights] * len(archs)
    if len(files) != len(archs):
        raise UserError(
            f"{len(archs)} networks ({', '.join(archs)}) need {len(archs)} files of weights, not {len(files)}",
            "--set weights=FIRST,SECOND,... in the order of arch and archs",
        )
    return [
        recipe.model_copy(update={"arch": arch, "archs": (), "weights": file})
        for arch, file in zip(archs, files, strict=True)
    ]
