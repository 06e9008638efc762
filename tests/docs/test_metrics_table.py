"""The how-to page lists every built-in metric with its tasks, what its CSV holds, its direction and its bounds."""

from __future__ import annotations

import re

from places import ROOT

from kagglekit.types.metric import BUILT_IN_METRICS

PAGE = (ROOT / "docs" / "how-to" / "loss-and-metric.md").read_text(encoding="utf-8")


def test_the_table_has_the_facts_of_every_built_in_metric() -> None:
    shown = {}
    for names, _, tasks, needs, better, bounds in re.findall(
        r"^\| (`.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.M
    ):
        for name in re.findall(r"`(\w+)`", names):
            shown[name] = (tuple(tasks.split(", ")), needs, better, tuple(float(bound) for bound in bounds.split(", ")))
    assert shown == {
        name: (
            facts.tasks,
            facts.needs,
            "higher" if facts.greater_is_better else "lower",
            (facts.lowest, facts.highest),
        )
        for name, facts in BUILT_IN_METRICS.items()
    }
