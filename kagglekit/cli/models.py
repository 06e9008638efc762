"""`kagglekit models`: timm's networks with pretrained weights, what they weigh, allow and have seen."""

from __future__ import annotations

import difflib
import fnmatch
import json
from dataclasses import asdict, dataclass
from typing import Any

import click

from kagglekit.errors import UserError
from kagglekit.exposure import exposure
from kagglekit.progress import for_people

MOST_COUNTED = 24  # architectures; counting parameters means building the network


@dataclass(frozen=True)
class Listed:
    """One line of the answer.

    Attributes:
        model: What `--arch` takes.
        parameters: With its classifier; None where too many matched to count.
        size: Side of the images it was trained at, px.
        licence: Of the weights, as timm states it.
        imagenet_labels: Whether its tag says that it has seen ImageNet's images with their labels.
        trained_on: What its weights' tag says it was trained on.
    """

    model: str
    parameters: int | None
    size: int
    licence: str
    imagenet_labels: str
    trained_on: str


@click.command()
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def models(pattern: str, as_json: bool) -> None:
    """Find timm models with pretrained weights whose name contains PATTERN, or matches it (with * ? [).

    What a model was trained on is read from its name's tag; it says nothing of teachers and of unnamed data.
    """
    import timm

    names = matching(pattern, timm.list_pretrained())
    listed = describe(names)
    if as_json:
        click.echo(json.dumps([asdict(model) for model in listed], indent=1))
        return
    rows = [(m.model, _millions(m.parameters), str(m.size), m.licence, m.imagenet_labels, m.trained_on) for m in listed]
    for_people(False).table(("model", "parameters", "px", "licence", "ImageNet labels", "trained on"), rows)
    if listed[0].parameters is None:
        click.echo(f"parameters are counted where at most {MOST_COUNTED} networks match", err=True)


def matching(pattern: str, names: list[str]) -> list[str]:
    """Return the names that contain a pattern, or match it where it has wildcards; case does not count.

    Raises:
        UserError: None does; the message has the nearest.
    """
    wanted = pattern.lower()
    if any(wildcard in wanted for wildcard in "*?["):
        found = [name for name in names if fnmatch.fnmatchcase(name.lower(), wanted)]
    else:
        found = [name for name in names if wanted in name.lower()]
    if not found:
        near = difflib.get_close_matches(wanted.strip("*"), {*names, *(n.partition(".")[0] for n in names)}, 5, 0.5)
        raise UserError(
            f"no timm model with pretrained weights matches {pattern!r}",
            f"near it are {', '.join(near)}" if near else "all of them: kagglekit models",
        )
    return found


def describe(names: list[str]) -> list[Listed]:
    """Look up each model; count parameters where few match."""
    import timm

    archs = {name.partition(".")[0] for name in names}
    counts = {name: _count(name) for name in names} if len(archs) <= MOST_COUNTED else {}
    listed = []
    for name in names:
        cfg: Any = timm.get_pretrained_cfg(name)
        seen = exposure(name)
        listed.append(
            Listed(
                name,
                counts.get(name),
                max(cfg.input_size[-2:]),
                cfg.license or "unknown",
                seen.imagenet_labels,
                seen.trained_on,
            )
        )
    return listed


def _count(name: str) -> int:
    """Count the parameters of a network of shapes alone."""
    import timm
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(name, pretrained=False).parameters())


def _millions(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters / 1e6:.1f} M"
