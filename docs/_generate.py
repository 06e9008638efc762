"""Writes the pages of the reference, docs/reference, from the code: ``python docs/_generate.py``."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parent / "reference"


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (REFERENCE / f"{name}.md").write_text(page(), encoding="utf-8")


def commands_page() -> str:
    """Return every command's usage, help text and options."""
    import click

    from kagglekit.cli.main import SECTIONS, cli

    above = click.Context(cli, info_name="kagglekit")
    parts = ["# Commands\n\nGenerated from the code. `kagglekit COMMAND --help` prints the same.\n"]
    for title, commands in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in commands:
            command = cli.get_command(above, name)
            assert command is not None
            context = click.Context(command, info_name=name, parent=above)
            parts += _command(command, context)
            for inner, each in getattr(command, "commands", {}).items():  # of a group
                parts += _command(each, click.Context(each, info_name=inner, parent=context))
    return "\n".join(parts)


def _command(command: Any, context: Any) -> list[str]:
    from kagglekit.cli.sections import SectionCommand

    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    parts = [f"### {context.command_path}\n", f"`{usage}`\n", f"{inspect.cleandoc(command.help)}\n"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    return [*parts, *_options_table(options, context, isinstance(command, SectionCommand)), ""]


def _options_table(options: list[Any], context: Any, in_sections: bool) -> list[str]:
    from kagglekit.cli.sections import ORDER

    if not options:
        return []
    rows = ["| option | meaning |", "| --- | --- |"]
    if not in_sections:
        return rows + [_option(option, context) for option in options]
    for title in ORDER:
        found = [_option(option, context) for option in options if option.section == title]
        rows += [f"| **{title}** | |", *found] if found else []
    return rows


def _option(option: Any, context: Any) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    default = f" Default: `{option.default}`." if option.show_default else ""
    return f"| {names} | {_cell(option.help)}{default} |"


def hooks_page() -> str:
    """Return every hook's arguments and return value, with a link to its example."""
    from kagglekit.hooks import specs as hookspecs
    from kagglekit.hooks.specs import HOOKS

    parts = ["# Hooks in short\n\nGenerated from the code. [Hooks](../hooks.md) has an example of each.\n"]
    for name, arguments in HOOKS.items():
        spec = getattr(hookspecs, name)
        heading = f"{name}({', '.join(arguments)})"
        anchor = re.sub(r"[^\w\s-]", "", heading).replace(" ", "-").lower()
        returns = str(inspect.signature(spec).return_annotation)
        parts.append(f"## {name}\n\n[`{heading}`](../hooks.md#{anchor}) returns `{returns}`.\n\n{_text(spec)}\n")
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
    """Return the section Attributes of a Google style docstring: each name's text, on one line."""
    section = doc.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.M)
    return {name: " ".join(text.split()) for name, text in found}


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    main()
