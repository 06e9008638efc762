"""The built-in ensembles; those fitted on the valid predictions are in `kagglekit_ensembles.fitted`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Ensemble, Member, Provides, Recipe, UserError, hookimpl
from kagglekit_ensembles.fitted import METHODS, SMALLEST, fitted_ensemble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Combine = Callable[[Sequence[Member], pd.Series[str], int], Ensemble]


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the ensembles."""
    return Provides(ensemble=(*_COMBINE, *METHODS))


@hookimpl
def kagglekit_ensemble(
    members: list[Member], labels: pd.Series[str], groups: pd.Series[str] | None, recipe: Recipe
) -> Ensemble | None:
    """Combine the members if `recipe.ensemble` is one of these names."""
    if recipe.ensemble not in (*_COMBINE, *METHODS):
        return None
    _check_members(members)
    if recipe.ensemble in METHODS:
        return fitted_ensemble(METHODS[recipe.ensemble], members, labels, recipe.seed, groups)
    return _COMBINE[recipe.ensemble](members, labels, recipe.seed)


def mean(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Return the arithmetic mean of the members' probabilities."""
    from kagglekit import average

    valid, test = (average(tables) for tables in _tables(members))
    return Ensemble(valid, test, {"weights": _even(members)})


def geometric(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Return the geometric mean of the members' probabilities, each row normalised to sum 1."""
    valid, test = (_geometric_mean(tables) for tables in _tables(members))
    return Ensemble(valid, test, {"weights": _even(members)})


def ranks(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Return the mean over members of each image's rank among all images, by class, each row normalised to sum 1.

    For scores that depend only on the order of images, such as the ROC AUC: confident members weigh no more than
    others. The numbers are not probabilities, so log loss suffers.
    """
    valid, test = (_rank_mean(tables) for tables in _tables(members))
    return Ensemble(valid, test, {"weights": _even(members)})


def averaged_weights(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Return the member that predicts with the averaged weights of the snapshots.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization",
    arXiv:1803.05407. The run creates that member, since its BatchNorm statistics need the images.
    """
    found = [member for member in members if member.name == "average"]
    if not found:
        names = ", ".join(member.name for member in members)
        raise UserError(
            f"ensemble=average needs a member named 'average', but the members are {names}",
            "use a run with averaged weights, or choose the ensemble 'mean'",
        )
    return Ensemble(found[0].valid, found[0].test, {"weights": {"average": 1.0}})


def last(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Return the last member alone."""
    return Ensemble(members[-1].valid, members[-1].test, {"weights": {members[-1].name: 1.0}})


def _rank_mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    from kagglekit import aligned, make_predictions

    first = tables[0]
    total = np.zeros(first.shape)
    for table in tables:
        total += _ranks(aligned(table, first))
    return make_predictions(first.index, first.columns, total / total.sum(axis=1, keepdims=True))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the numbers of each column, with the mean rank for ties, and scale the ranks into (0, 1)."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(values, axis=0) - 0.5) / max(1, len(values)))


def _geometric_mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    from kagglekit import aligned, make_predictions

    first = tables[0]
    logs = np.zeros(first.shape)
    for table in tables:
        logs += np.log(aligned(table, first).clip(SMALLEST))
    product = np.exp(logs / len(tables))
    return make_predictions(first.index, first.columns, product / product.sum(axis=1, keepdims=True))


def _tables(members: Sequence[Member]) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    return [member.valid for member in members], [member.test for member in members]


def _even(members: Sequence[Member]) -> dict[str, float]:
    return {member.name: 1 / len(members) for member in members}


def _check_members(members: Sequence[Member]) -> None:
    """Refuse members with equal names, or of different images or classes."""
    from kagglekit import check_predictions

    if not members:
        raise UserError("no member to combine", "let a stage keep snapshots: --set stage.1.snapshots=true")
    names = [member.name for member in members]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two members are named {', '.join(sorted(twice))}", "give each member a unique name")
    first = members[0]
    for member in members:
        for split, table, like in (("valid", member.valid, first.valid), ("test", member.test, first.test)):
            try:
                check_predictions(table, list(first.valid.columns), list(like.index))
            except UserError as error:
                raise UserError(
                    f"member {member.name!r} does not fit {first.name!r} ({split}): {error.what}", error.hint
                ) from error


_COMBINE: dict[str, Combine] = {
    "mean": mean,
    "geometric": geometric,
    "rank": ranks,
    "average": averaged_weights,
    "last": last,
}
