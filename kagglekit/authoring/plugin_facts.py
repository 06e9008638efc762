"""The facts of a competition that a new plugin is written from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """Facts of a competition besides its data.

    Attributes:
        name: The plugin's name.
        slug: Its name in Kaggle's addresses; empty if it is not on Kaggle.
        title: For people; empty for one derived from the name.
        metric: One of kagglekit's metrics; empty if unknown.
        kaggle_metric: Kaggle's own name for the metric; empty if Kaggle was not asked.
        metric_note: What to check about it, or why none of kagglekit's fits; may be empty.
    """

    name: str
    slug: str = ""
    title: str = ""
    metric: str = ""
    kaggle_metric: str = ""
    metric_note: str = ""
