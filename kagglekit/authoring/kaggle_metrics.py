"""Recognise Kaggle's names of metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kagglekit.types.metric import BUILT_IN_METRICS

RANKS_UNKNOWN = "Kaggle does not say how many ranked classes count"
_WEIGHTS = "its weights are not known"
_SET_WEIGHTS = "its weights are not known: set Competition.metric_weights"
_REGIONS = "it compares regions of an image, not classes"
_BETA = "Kaggle does not say which beta counts"
_MEAN = "Kaggle does not say what it is averaged over"
_LOG = r"log(arithmic)?\s*loss"
_R2 = r"\br\s?[2²]\b|\br2|r\^2|r.squared|coefficient of determination"
_F = r"\bf-?_?\{?"


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
    (r"weighted.*(\bauc\b|\broc\b|area under)", "weighted_auc", "areas below a true positive rate of 0.4 count twice"),
    (r"precision.?recall", "", ""),
    (r"\bauc\b|\broc\b|area under|receiver operating", "roc_auc", ""),
    (r"quadratic.*kappa|kappa.*quadratic", "quadratic_kappa", ""),
    (r"balanced.*accuracy|(macro|average|averaged|mean|columnwise).*recall", "balanced_accuracy", ""),
    (r"weighted.*accuracy", "", _WEIGHTS),
    (r"accuracy", "accuracy", ""),
    (r"brier", "brier", ""),
    (r"probabilistic.*f-?_?1|\bpf-?_?1\b", "probabilistic_f1", ""),
    (r"macro.*f-?_?\{?2|f-?_?\{?2.*macro", "macro_f2", ""),
    (r"macro.*\bf_\{?beta|\bf_\{?beta.*macro", "macro_f1", _BETA),
    (r"macro-?f-?score|macro.*\bf-?_?(1|score)|\bf-?_?(1|score).*macro", "macro_f1", ""),
    (rf"micro.*{_F}2|{_F}2.*micro", "micro_f2", ""),
    (r"micro.*\bf(-?_?\{?\d|-?_?\{?beta|-?_?score)|\bf(-?_?\{?\d|-?_?\{?beta|-?_?score).*micro", "micro_f1", ""),
    (r"weighted.*\bf-?_?(1|score)|\bf-?_?(1|score).*weighted", "weighted_f1", ""),
    (rf"mean.*({_F}2|beta\W*2\b)", "sets_f2", ""),
    (rf"{_F}2", "sets_f2", _MEAN),
    (rf"mean.*{_F}1", "sets_f1", ""),
    (r"mean.*\bbeta", "sets_f1", _BETA),
    (rf"mean.*{_F}score", "sets_f1", ""),
    (rf"{_F}(\d|beta|score)", "sets_f1", _MEAN),
    (r"weighted.*multi-?class.*loss", "", _WEIGHTS),
    (rf"weighted.*{_LOG}", "log_loss", _SET_WEIGHTS),
    (rf"{_LOG}|multi-?class\s*loss|cross.?entropy", "log_loss", ""),
    (r"weighted.*(\brmsle\b|\brmse\b|\bmse\b|squared|absolute)", "", _WEIGHTS),
    (r"\brmsle\b|(log|logarithmic) error", "rmsle", ""),
    (r"\bmc-?rmse\b|(column|mean).*(root.mean.squared|\brmse\b)", "mcrmse", ""),
    (r"\brmse\b|root.mean.squared? error", "rmse", ""),
    (r"\bmae\b|absolute error", "mae", ""),
    (r"\bmse\b|squared? error", "rmse", "Kaggle shows its square"),
    (rf"weighted.*({_R2})", "weighted_r2", _SET_WEIGHTS),
    (_R2, "r2", ""),
    (r"pearson", "pearson", ""),
    (r"spearman", "spearman", ""),
)


def our_metric(kaggles: str) -> OurMetric:
    """Return our metric for Kaggle's name of one, such as "MAP@{K}" or "Quadratic Weighted Kappa"."""
    words = re.sub("_|(?<=[a-z])(?=[A-Z])", " ", kaggles)  # of MeanFScore and weighted_r2
    for pattern, name, note in METRICS:
        if re.search(pattern, f"{kaggles}\n{words}", re.IGNORECASE):
            return _with_ranks(name, kaggles) if "{k}" in name else OurMetric(name, note)
    return OurMetric("")


def _with_ranks(name: str, kaggles: str) -> OurMetric:
    """Put the number in Kaggle's name into ours; 5 if it has none."""
    found = re.search(r"\d+", kaggles)
    if found is None:
        return OurMetric(name.format(k=5), RANKS_UNKNOWN)
    made = name.format(k=int(found[0]))
    return OurMetric(made) if made in BUILT_IN_METRICS else OurMetric("", f"no metric counts {found[0]} ranked classes")
