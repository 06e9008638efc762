"""Fill in the templates of pages, which are single files and load nothing from elsewhere."""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup


def rendered(name: str, script_name: str, **values: Any) -> str:
    """Fill in a template, with its script and the hash that permits this script alone.

    Args:
        name: The page's template.
        script_name: The script's.
        **values: What the template names.

    Returns:
        The page; what is not Unicode in names of files is escaped.
    """
    environment = _environment()
    script = _template(script_name)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    page = environment.get_template(name).render(script=Markup(script), script_hash=f"sha256-{digest}", **values)
    return page.encode(errors="backslashreplace").decode()


@cache  # with the templates that it has compiled
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(figure=_figure, breakable=_breakable)
    return environment


def _template(name: str) -> str:
    return (files("kagglekit.report") / "templates" / name).read_text(encoding="utf-8")


def _figure(value: float, form: str = ".3f") -> str:
    """Format a number; return nothing for nan, and no sign for what rounds to zero."""
    text = "" if value != value else format(value, form)
    return text if text.strip("-0.") else text.removeprefix("-")


def _breakable(name: str) -> Markup:
    """Allow a line break after each underscore and slash."""
    parts = re.split(r"(?<=[_/])", name)
    return Markup("<wbr>").join(parts)
