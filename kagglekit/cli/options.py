"""The options that choose and change a recipe, shared by the commands that have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("competition", required=False, default=""),
    click.option(
        "--preset",
        default="auto",
        metavar="NAME",
        help="auto, features, quick, standard, best or lesson.",
        show_default=True,
    ),
    click.option("--arch", metavar="NAME", help="timm model; the same as --set arch=NAME."),
    click.option(
        "--epochs", type=click.IntRange(1), metavar="N", help="One cycle of N epochs in the last stage that is run."
    ),
    click.option("--size", type=click.IntRange(8), metavar="PX", help="Largest image side; the others in proportion."),
    click.option(
        "--limit",
        type=click.IntRange(1),
        metavar="N",
        help="At most N labelled and N test images, stratified.",
    ),
    click.option("--folds", type=click.IntRange(2), metavar="K", help="Train K models, each without another part."),
    click.option(
        "--group-duplicates",
        is_flag=True,
        help="Keep near-duplicates together: in train or valid, in one fold.",
    ),
    click.option("--seed", type=click.IntRange(0), metavar="N", help="Of the split, the order and all randomness."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any recipe field: stage.2.size=299. Repeatable.",
    ),
    click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.", show_default=True),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("submissions"),
        show_default=True,
        metavar="DIR",
        help="Folder of all runs.",
    ),
    click.option(
        "--from",
        "from_run",
        default="",
        metavar="RUN",
        help="Start from a finished run's recipe and weights.",
    ),
    click.option("--stages", default="", metavar="A-B", help="Only these stages: 3, 2-3 or 3-."),
    click.option("--disable", multiple=True, metavar="PLUGIN", help="Leave a shared plugin out. Repeatable."),
)


def recipe_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def shorthand_settings(options: dict[str, Any]) -> tuple[str, ...]:
    """Turn the shorthands ``--arch``, ``--limit``, ``--seed``, ... into settings, before those given by ``--set``."""
    given = {key: options.pop(key) for key in ("arch", "limit", "seed", "folds")}
    short = [f"{key}={value}" for key, value in given.items() if value is not None]
    short += ["group_duplicates=true"] if options.pop("group_duplicates") else []
    return (*short, *options.pop("settings"))
