"""Take title, metric and files of a competition from Kaggle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.authoring.kaggle_metrics import our_metric
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.authoring.plugin_facts import Facts
    from kagglekit.system.display.console import Display


SECONDS = 30  # to retry for


def ask_kaggle(name: str, slug: str, needed: bool, display: Display) -> tuple[Facts, dict[str, int]]:
    """Ask Kaggle for title, metric and files if there is a slug.

    Args:
        name: The plugin's.
        slug: The competition's name on Kaggle; empty to ask nothing.
        needed: Fail if Kaggle cannot be reached, instead of warning.
        display: Shows what Kaggle returned.

    Returns:
        The facts, and the size of each file in bytes.

    Raises:
        UserError: There is no such competition, or Kaggle is needed and cannot be reached.
    """
    from kagglekit.authoring.plugin_facts import Facts

    if not slug:
        return Facts(name), {}
    from kagglekit.kaggle.failures import UnknownSlug

    try:
        return _ask(name, slug, display)
    except UnknownSlug:
        raise
    except UserError as error:
        if needed:
            raise
        display.warn(f"title, metric and files are not from Kaggle: {error.what}")
        if error.hint:
            display.report(f"hint: {error.hint}")
    return Facts(name, slug), {}


def _ask(name: str, slug: str, display: Display) -> tuple[Facts, dict[str, int]]:
    from kagglekit.authoring.plugin_facts import Facts
    from kagglekit.kaggle.client import MAX_FILES
    from kagglekit.kaggle.login import connect
    from kagglekit.kaggle.retry import RetryPolicy

    kaggle = connect(RetryPolicy(SECONDS))
    facts, files = kaggle.competition(slug), kaggle.files(slug)
    ours = our_metric(facts.metric)
    least = "at least " if len(files) >= MAX_FILES else ""
    size = f"{least}{len(files):,} files, {least}{sum(files.values()) / 1e6:,.1f} MB"
    display.report(f"Kaggle: {facts.title}, metric {facts.metric or 'unknown'}; {size}: {_first_names(list(files))}")
    if facts.code_only:
        for line in kaggle.demands(slug).lines:
            display.report(line)
    return Facts(name, slug, facts.title, ours.name, facts.metric, ours.note), files


def _first_names(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
