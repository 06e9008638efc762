"""Title, metric and files of a competition, asked of Kaggle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from kagglekit.authoring.scaffold import Facts
    from kagglekit.system.console import Display


METRICS = (  # how Kaggle's names for a metric begin or what they hold, and ours
    (r"log\s*loss|multi-?class\s*loss|cross.?entropy", "log_loss"),
    (r"balanced.*accuracy", "balanced_accuracy"),
    (r"accuracy", "accuracy"),
    (r"\bauc\b|roc", "roc_auc"),
    (r"macro.*f1|f1.*macro|f-?score.*macro", "macro_f1"),
)
SECONDS = 30  # without an answer of Kaggle


def ask_kaggle(name: str, slug: str, needed: bool, display: Display) -> tuple[Facts, dict[str, int]]:
    """Ask Kaggle for title, metric and files where a slug was given; unless `needed`, it can do without an answer.

    Raises:
        UserError: There is no such competition, or Kaggle can't be asked though it must.
    """
    from kagglekit.authoring.scaffold import Facts

    if not slug:
        return Facts(name), {}
    from kagglekit.kaggle.failures import UnknownSlug

    try:
        return _asked(name, slug, display)
    except UnknownSlug:
        raise
    except UserError as error:
        if needed:
            raise
        display.warn(f"title, metric and files were not taken from Kaggle: {error.what}")
        if error.hint:
            display.report(error.hint)
    return Facts(name, slug), {}


def _asked(name: str, slug: str, display: Display) -> tuple[Facts, dict[str, int]]:
    from kagglekit.authoring.scaffold import Facts
    from kagglekit.kaggle.client import MAX_FILES
    from kagglekit.kaggle.login import connect
    from kagglekit.kaggle.retry import RetryPolicy

    kaggle = connect(RetryPolicy(SECONDS))
    facts, files = kaggle.competition(slug), kaggle.files(slug)
    metric = next((ours for pattern, ours in METRICS if re.search(pattern, facts.metric, re.IGNORECASE)), "")
    least = "at least " if len(files) >= MAX_FILES else ""
    many = f"{least}{len(files):,} files, {least}{sum(files.values()) / 1e6:,.1f} MB"
    display.report(f"Kaggle: {facts.title}, metric {facts.metric or 'not named'}; {many}: {_few(list(files))}")
    return Facts(name, slug, facts.title, metric, facts.metric), files


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
