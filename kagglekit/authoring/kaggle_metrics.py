"""Recognise Kaggle's names of metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kagglekit.types.metric import BUILT_IN_METRICS

RANKS_UNKNOWN = "Kaggle does not say how many ranked classes count"
_WEIGHTS = "its weights are not known"
_REGIONS = "it compares regions of an image, not classes"
_NUMBERS = "it compares numbers, but only one class an image can be predicted so far"
_LABELS = "it compares several labels an image, but only one class an image can be predicted so far"


@dataclass(frozen=True)
class OurMetric:
    """Our metric for one of Kaggle's.

    Attributes:
        name: Its name; empty if none fits.
        note: What to check, or why none fits; may be empty.
    """

    name: str
    note: str = ""


METRICS = (  # pattern of Kaggle's name, our name with {k} for the number in Kaggle's, note; the first match counts
    (r"\bmap\s*@|average precision\s*(@|at\b)", "map_at_{k}", ""),
    (r"top\W*\d+\W*(categorization |classification )?error|best error", "top_{k}_error", ""),
    (r"intersection over union|\biou\b|dice|object detection|average precision", "", _REGIONS),
    (r"p-?auc|partial.*(\bauc|\broc\b|area under)", "partial_auc_80", ""),
    (r"weighted.*(\bauc\b|\broc\b|area under)", "", _WEIGHTS),
    (r"precision.?recall", "", ""),
    (r"\bauc\b|\broc\b|area under|receiver operating", "roc_auc", ""),
    (r"quadratic.*kappa|kappa.*quadratic", "quadratic_kappa", ""),
    (r"balanced.*accuracy|(macro|average|averaged|mean|columnwise).*recall", "balanced_accuracy", ""),
    (r"weighted.*accuracy", "", _WEIGHTS),
    (r"accuracy", "accuracy", ""),
    (r"brier", "brier", ""),
    (r"probabilistic.*f-?_?1|\bpf-?_?1\b", "probabilistic_f1", ""),
    (r"macro.*f-?_?\{?2|f-?_?\{?2.*macro", "macro_f2", ""),
    (r"macro.*\bf_\{?beta|\bf_\{?beta.*macro", "macro_f1", "Kaggle does not say which beta counts"),
    (r"macro-?f-?score|macro.*\bf-?_?(1|score)|\bf-?_?(1|score).*macro", "macro_f1", ""),
    (r"micro.*\bf(-?_?\{?\d|-?_?\{?beta|-?_?score)|\bf(-?_?\{?\d|-?_?\{?beta|-?_?score).*micro", "micro_f1", ""),
    (r"weighted.*\bf-?_?(1|score)|\bf-?_?(1|score).*weighted", "weighted_f1", ""),
    (r"\bf-?_?(\{?\d|\{?beta|score)", "", _LABELS),
    (r"weighted.*(log\s*loss|multi-?class\s*loss)", "", _WEIGHTS),
    (r"(column|label).*log\s*loss|log\s*loss.*(column|label)", "", _LABELS),
    (r"log\s*loss|multi-?class\s*loss|cross.?entropy", "log_loss", ""),
    (
        r"\brm?sle\b|\brmse\b|\bmae\b|\bmse\b|(squared|absolute|logarithmic) error|\br\s?[2²]\b|r\^2|r.squared",
        "",
        _NUMBERS,
    ),
    (r"pearson|spearman|correlation coefficient of|coefficient of determination", "", _NUMBERS),
)


def our_metric(kaggles: str) -> OurMetric:
    """Return our metric for Kaggle's name of one, such as "MAP@{K}" or "Quadratic Weighted Kappa"."""
    for pattern, name, note in METRICS:
        if re.search(pattern, kaggles, re.IGNORECASE):
            return _with_ranks(name, kaggles) if "{k}" in name else OurMetric(name, note)
    return OurMetric("")


def _with_ranks(name: str, kaggles: str) -> OurMetric:
    """Put the number in Kaggle's name into ours; 5 if it has none."""
    found = re.search(r"\d+", kaggles)
    if found is None:
        return OurMetric(name.format(k=5), RANKS_UNKNOWN)
    made = name.format(k=int(found[0]))
    return OurMetric(made) if made in BUILT_IN_METRICS else OurMetric("", f"no metric counts {found[0]} ranked classes")
