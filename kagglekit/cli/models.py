"""`kagglekit models`: timm's pretrained networks with size, licence and pretraining data."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from kagglekit.cli.options import json_option
from kagglekit.compute.pretraining import MOST_COUNTED, find_models
from kagglekit.system.display.console import for_people


@click.command()
@click.argument("pattern", default="")
@json_option("Print everything as JSON.")
def models(pattern: str, as_json: bool) -> None:
    """List timm's pretrained models whose name contains PATTERN, or matches it if it has a wildcard (* ? [).

    The pretraining data come from the tag in the model's name. The tag does not name teachers and other sources.
    """
    with for_people(json_output=True).status("loading timm"):  # apart from the table
        listed = find_models(pattern)
    if as_json:
        click.echo(json.dumps([asdict(model) for model in listed], indent=1))
        return
    rows = [(m.model, _millions(m.parameters), str(m.size), m.licence, m.imagenet_labels, m.trained_on) for m in listed]
    for_people(False).table(("model", "parameters", "px", "licence", "ImageNet labels", "trained on"), rows)
    if listed[0].parameters is None:
        click.echo(f"parameters are counted only if at most {MOST_COUNTED} networks match", err=True)


def _millions(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters / 1e6:.1f} M"
