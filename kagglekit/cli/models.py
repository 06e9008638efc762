"""`kagglekit models`: timm's networks with pretrained weights, what they weigh, allow and have seen."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from kagglekit.cli.options import json_option
from kagglekit.compute.pretraining import MOST_COUNTED, describe, matching
from kagglekit.system.console import for_people


@click.command()
@click.argument("pattern", default="")
@json_option("Print everything as JSON.")
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


def _millions(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters / 1e6:.1f} M"
