"""The built-in ensembles: mean, geometric, weighted, average (of weights) and last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit import Ensemble, Member, Provides, Recipe, UserError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Combine = Callable[[Sequence[Member], pd.Series[str], int], Ensemble]

SMALLEST = 1e-15  # log loss clips there too, so nothing below can matter
FOLDS = 5


@hookimpl
def kagglekit_provides() -> Provides:
    """Name the ensembles."""
    return Provides(ensemble=tuple(_COMBINE))


@hookimpl
def kagglekit_ensemble(members: list[Member], labels: pd.Series[str], recipe: Recipe) -> Ensemble | None:
    """Combine the members if `recipe.ensemble` is one of these."""
    if recipe.ensemble not in _COMBINE:
        return None
    _check_members(members)
    return _COMBINE[recipe.ensemble](members, labels, recipe.seed)


def mean(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Take the arithmetic mean of the members' probabilities."""
    from kagglekit.predictions import average

    valid, test = (average(tables) for tables in _tables(members))
    return Ensemble(valid, test, {"weights": _even(members)})


def geometric(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Take the geometric mean of the members' probabilities, each row divided by its sum."""
    valid, test = (_geometric_mean(tables) for tables in _tables(members))
    return Ensemble(valid, test, {"weights": _even(members)})


def weighted(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Mix the members with the weights that give the least log loss on the valid images.

    The test table's weights are found on all valid images. For the valid table each fifth of the images is
    mixed with weights found on the other four, so its score is that of images the weights have not seen.
    """
    from kagglekit.predictions import average

    valid, test = _tables(members)
    ids = valid[0].index.sort_values()  # whatever is found must not depend on the order of rows
    ordered = [table.loc[ids] for table in valid]
    right = _true_probabilities(ordered, labels)
    folds = _folds(labels.loc[ids], seed)
    honest = _cross_fitted(ordered, right, folds)
    weights = mixture_weights(right).tolist()
    names = [member.name for member in members]
    return Ensemble(
        honest.loc[valid[0].index],
        average(test, weights),
        {"weights": dict(zip(names, weights, strict=True))},
    )


def averaged_weights(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Answer the member that predicts with the average of the snapshots' weights.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization",
    arXiv:1803.05407. The run makes that member, since its BatchNorm statistics need the images.
    """
    found = [member for member in members if member.name == "average"]
    if not found:
        names = ", ".join(member.name for member in members)
        raise UserError(
            f"ensemble=average needs a member named 'average', but there are only {names}",
            "give the run its snapshots' averaged weights, or use --set ensemble=mean",
        )
    return Ensemble(found[0].valid, found[0].test, {"weights": {"average": 1.0}})


def last(members: Sequence[Member], labels: pd.Series[str], seed: int) -> Ensemble:
    """Answer the last member alone."""
    return Ensemble(members[-1].valid, members[-1].test, {"weights": {members[-1].name: 1.0}})


def mixture_weights(right: NDArray[np.float64], gap: float = 1e-7, most: int = 20_000) -> NDArray[np.float64]:
    """Find the weights of a mixture that give the least log loss.

    The loss ``-mean_i log sum_k w_k p_ik`` is convex in w. Each step multiplies each weight by its gradient
    ``g_k = mean_i p_ik / sum_j w_j p_ij``, which keeps them non-negative with sum 1 and never raises the
    loss; it is within ``max_k log g_k`` of the least (Cover 1984, "An algorithm for maximizing expected log
    investment return", IEEE Transactions on Information Theory 30(2); it is EM for mixture proportions).

    Args:
        right: (N, K): probability that each of K members gives to an image's true class, above 0.
        gap: Stop when the loss is this close to the least one, nats.
        most: Stop after this many steps.

    Returns:
        (K,): the weights; all equal where there is no image.
    """
    weights = np.full(right.shape[1], 1 / right.shape[1])
    for _ in range(most if len(right) else 0):
        gradient = (right / (right @ weights)[:, None]).mean(axis=0)
        if np.log(gradient.max()) <= gap:
            break
        weights *= gradient
    return np.asarray(weights / weights.sum())


def _cross_fitted(tables: Sequence[pd.DataFrame], right: NDArray[np.float64], folds: NDArray[np.int64]) -> pd.DataFrame:
    import pandas as pd

    from kagglekit.predictions import average

    parts = [
        average([table[folds == fold] for table in tables], mixture_weights(right[folds != fold]).tolist())
        for fold in range(FOLDS)
    ]
    return pd.concat(parts)


def _folds(labels: pd.Series[str], seed: int) -> NDArray[np.int64]:
    """Deal images to folds, stratified: sorted by class, within a class by a hash of the id."""
    from kagglekit.view import image_keys

    order = np.lexsort((image_keys(list(labels.index), "ensemble", seed), labels.to_numpy(dtype="U")))
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def _true_probabilities(tables: Sequence[pd.DataFrame], labels: pd.Series[str]) -> NDArray[np.float64]:
    from kagglekit.predictions import truth_numbers

    truth = truth_numbers(labels, tables[0])
    rows = np.arange(len(truth))
    columns = [table.to_numpy(dtype=np.float64)[rows, truth] for table in tables]
    return np.stack(columns, axis=1).clip(SMALLEST)


def _geometric_mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    from kagglekit.predictions import aligned, make_predictions

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
    """Refuse members that can't be told apart or don't predict the same images and classes."""
    from kagglekit.predictions import check_predictions

    if not members:
        raise UserError("there is no member to combine", "let a stage keep snapshots: --set stage.1.snapshots=true")
    names = [member.name for member in members]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two members are named {', '.join(sorted(twice))}", "give each member its own name")
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
    "weighted": weighted,
    "average": averaged_weights,
    "last": last,
}
