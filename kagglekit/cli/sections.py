"""Help texts in sections: commands by what they are for, options by what they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

Rows = Sequence[tuple[str, str]]
WIDEST = 30  # characters; click puts the text of longer names on the next line
ORDER = ("Search", "Data", "Recipe", "Machine", "Folds and resuming", "Side by side", "Output", "Kaggle")
SWEEP, DATA, RECIPE, MACHINE, FOLDS, JOBS, OUTPUT, KAGGLE = ORDER  # the sections of options


def write_sections(formatter: click.HelpFormatter, sections: Mapping[str, Rows]) -> None:
    """Write each section with its rows, all with the same first column width."""
    width = max(len(name) for rows in sections.values() for name, _ in rows if len(name) <= WIDEST)
    for title, rows in sections.items():
        with formatter.section(title):
            formatter.write_dl([(name.ljust(width), text) for name, text in rows], col_max=WIDEST)


class SectionOption(click.Option):
    """An option that knows its section."""

    def __init__(self, *names: Any, section: str = OUTPUT, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.section = section


class SectionCommand(click.Command):
    """A command whose ``--help`` lists its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; click calls this for ``--help``."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in ORDER}
        for option in self.get_params(ctx):
            row = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if row:
                sections[option.section if isinstance(option, SectionOption) else OUTPUT].append(row)
        write_sections(formatter, {title: rows for title, rows in sections.items() if rows})
