"""Writes the pages of the reference from the code; mkdocs calls `on_files` (mkdocs.yml, hooks)."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def commands_page() -> str:
    """Return every command's ``--help``."""
    import click

    from kagglekit.cli import COMMANDS, cli

    parts = ["# Commands\n\nGenerated from the code: what `--help` says.\n"]
    for name in ("", *COMMANDS):
        with click.Context(cli, info_name="kagglekit", max_content_width=100, terminal_width=100) as above:
            command = cli.get_command(above, name) if name else cli
            assert command is not None
            parent = above if name else None
            with click.Context(command, info_name=name or "kagglekit", parent=parent, terminal_width=100) as context:
                parts.append(
                    f"## kagglekit {name}\n\n```text\n{command.get_help(context)}\n```\n".replace(
                        "## kagglekit \n", "## kagglekit\n"
                    )
                )
    return "\n".join(parts)


def hooks_page() -> str:
    """Return every hook's arguments and what it answers, with a link to its example."""
    from kagglekit.hooks import specs as hookspecs
    from kagglekit.hooks.specs import HOOKS

    parts = ["# Hooks in short\n\nGenerated from the code. [Hooks](../hooks.md) has an example of each.\n"]
    for name, arguments in HOOKS.items():
        spec = getattr(hookspecs, name)
        heading = f"{name}({', '.join(arguments)})"
        anchor = re.sub(r"[^\w\s-]", "", heading).replace(" ", "-").lower()
        returns = str(inspect.signature(spec).return_annotation)
        parts.append(f"## {name}\n\n[`{heading}`](../hooks.md#{anchor}) answers `{returns}`.\n\n{_text(spec)}\n")
    return "\n".join(parts)


def recipe_page() -> str:
    """Return every field of a recipe and of a stage: type, default, meaning."""
    parts = [
        "# Recipe\n\nGenerated from the code. Set any field with `--set KEY=VALUE`: `seed=1`, `stage.2.size=299`, "
        "`stage.*.batch_size=32`.\n"
    ]
    for module, name in (("recipe", "Recipe"), ("recipe", "Stage"), ("competition", "Competition")):
        model = getattr(importlib.import_module(f"kagglekit.types.{module}"), name)
        meanings = _attributes(inspect.getdoc(model) or "")
        parts.append(f"## {name}\n\n| field | default | meaning |\n| --- | --- | --- |")
        for field, info in model.model_fields.items():
            default = "required" if info.is_required() else f"`{info.get_default(call_default_factory=True)!r}`"
            parts.append(f"| `{field}` | {default} | {_cell(meanings.get(field, ''))} |")
        parts.append("")
    return "\n".join(parts)


PAGES = {"commands": commands_page, "hooks-in-short": hooks_page, "recipe": recipe_page}


def _text(spec: Any) -> str:
    return (inspect.getdoc(spec) or "").replace("``", "`")


def _attributes(doc: str) -> dict[str, str]:
    """Read the section Attributes of a Google style docstring: each name's text, on one line."""
    section = doc.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.M)
    return {name: " ".join(text.split()) for name, text in found}


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")
