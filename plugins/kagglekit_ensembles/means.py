"""Combine members without fitting anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit_ensembles.method import SMALLEST, Method, like

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit_ensembles.method import Tables


def mean(found: None, tables: Tables) -> pd.DataFrame:
    """Return the arithmetic mean of the members' predictions."""
    from kagglekit import average

    return average(tables)


def geometric(found: None, tables: Tables) -> pd.DataFrame:
    """Return the geometric mean of the members' probabilities, each row normalised to sum 1."""
    from kagglekit import aligned

    logs = np.zeros(tables[0].shape)
    for table in tables:
        logs += np.log(aligned(table, tables[0]).clip(SMALLEST))
    product = np.exp(logs / len(tables))
    return like(tables[0], product / product.sum(axis=1, keepdims=True))


def log_odds(found: None, tables: Tables) -> pd.DataFrame:
    """Return the probabilities with the mean of the members' log-odds.

    It is the geometric mean of each label's two probabilities, of its presence and its absence, divided by their sum.
    """
    from scipy.special import expit

    from kagglekit import aligned

    total = np.zeros(tables[0].shape)
    for table in tables:
        total += logits(aligned(table, tables[0]))
    return like(tables[0], expit(total / len(tables)))


def logits(probabilities: NDArray[np.float64], least: float = SMALLEST) -> NDArray[np.float64]:
    """Return the log-odds of probabilities; neither they nor 1 less them count as smaller than `least`."""
    return np.asarray(np.log(probabilities.clip(least)) - np.log((1 - probabilities).clip(least)))


def rank_shares(found: None, tables: Tables) -> pd.DataFrame:
    """Return the mean over members of each image's rank among all images, by class, each row normalised to sum 1.

    For scores that depend only on the order of images, such as the ROC AUC: confident members weigh no more than
    others. The numbers are not probabilities, so log loss suffers.
    """
    total = _summed_ranks(tables)
    return like(tables[0], total / total.sum(axis=1, keepdims=True))


def ranks(found: None, tables: Tables) -> pd.DataFrame:
    """Return the mean over members of each image's rank among all images, by label, within (0, 1)."""
    return like(tables[0], _summed_ranks(tables) / len(tables))


def _summed_ranks(tables: Tables) -> NDArray[np.float64]:
    from kagglekit import aligned

    total = np.zeros(tables[0].shape)
    for table in tables:
        total += _ranks(aligned(table, tables[0]))
    return total


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the numbers of each column, with the mean rank for ties, and scale the ranks into (0, 1)."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(values, axis=0) - 0.5) / max(1, len(values)))


MEAN, GEOMETRIC, LOG_ODDS = Method(mean), Method(geometric), Method(log_odds)
RANK_SHARES, RANKS = Method(rank_shares), Method(ranks)
