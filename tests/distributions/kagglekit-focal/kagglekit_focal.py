"""Focal loss (Lin et al. 2017, arXiv:1708.02002, eq. 4): `--set loss=focal`; and the metric `top_2`."""

from kagglekit import Metric, Provides, Score, hookimpl


@hookimpl
def kagglekit_provides():
    return Provides(loss=["focal"], metric=["top_2"], options={"focal_gamma": 2.0})


@hookimpl
def kagglekit_loss(recipe):
    if recipe.loss != "focal":
        return None
    gamma = recipe.options.get("focal_gamma", 2.0)

    def focal(logits, targets):
        log_p = logits.log_softmax(dim=1)
        return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()

    return focal


@hookimpl
def kagglekit_metric(competition):
    """Return the share of images whose class is among the two most likely ones."""
    if competition.metric != "top_2":
        return None
    import numpy as np

    def top_2(truth, probabilities):
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
        hits = (best == truth[:, None]).any(axis=1)
        return Score(float(hits.mean()), float(hits.std() / len(hits) ** 0.5))

    return Metric("top_2", top_2, greater_is_better=True)
