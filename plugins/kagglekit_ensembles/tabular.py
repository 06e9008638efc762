"""Predict from the images' predictions and columns beside the images (age, sex, place) by gradient-boosted trees.

Trees on histograms (Ke et al. 2017, "LightGBM", NeurIPS; scikit-learn's HistGradientBoosting) get the mean prediction
of the members and the columns, with missing values as they are. What they say is then pooled with the mean prediction
itself: the weights of the two are fitted to predictions of trees for images that they were not fitted to (stacked
generalization, Wolpert 1992), so that trees which learnt nothing have the weight 0, and the mean remains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Ensemble, NotForTask, UserError, assign_parts
from kagglekit_ensembles.fitted import cross_fitted
from kagglekit_ensembles.means import MEAN
from kagglekit_ensembles.method import Method, like

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit import Member, Metadata, Task
    from kagglekit_ensembles.method import Floats, Tables, Truth
    from kagglekit_ensembles.trees import Trees

    Parts = Callable[[pd.Index, Truth], NDArray[np.int64]]

MOST_COLUMNS = 30  # of predictions: each of them takes trees of its own


@dataclass(frozen=True)
class Found:
    """Fitted trees, and how they are pooled with the mean of the members.

    Attributes:
        trees: What `Trees.fit` returned for all images.
        weights: (2,) of the mean's outputs and of the trees'.
    """

    trees: Any
    weights: Floats


def combined_with_columns(
    members: Sequence[Member],
    labels: pd.Series[str],
    task: Task,
    seed: int,
    groups: pd.Series[str] | None,
    metadata: Metadata | None,
    trees: Trees,
) -> Ensemble:
    """Combine the members by trees on their mean and the columns; the valid table is cross-fitted.

    Raises:
        NotForTask: There are no columns, or too many columns of predictions.
        UserError: There are no valid predictions.
    """
    if metadata is None:
        raise NotForTask(
            "the ensemble 'tabular' needs columns beside the images, and there are none",
            "name columns of the image table in Competition.metadata, or choose another ensemble",
        )
    if len(task.columns) > MOST_COLUMNS:
        raise NotForTask(
            f"the ensemble 'tabular' is for at most {MOST_COLUMNS} columns of predictions, not {len(task.columns)}: "
            "each one takes trees of its own",
            "choose another ensemble",
        )
    mean = [MEAN.apply(None, [getattr(member, split) for member in members]) for split in ("valid", "test")]
    if not len(mean[0]):
        raise UserError("this ensemble needs valid predictions, but there are none", "use the ensemble 'mean'")
    labelled, test = numbered(metadata)
    ids = mean[0].index.sort_values()  # the result must not depend on the order of rows
    tables = [mean[0].loc[ids], labelled.loc[ids]]
    truth = task.truth(labels, tables[0])

    def parts_of(index: pd.Index, truth: Truth) -> NDArray[np.int64]:
        return assign_parts(list(index), task.strata(truth), seed, groups)

    method = method_of(trees, parts_of)
    honest = cross_fitted(method, tables, truth, parts_of(ids, truth)).loc[ids]
    found = fit(trees, parts_of, tables, truth)
    gain, error = paired_gain(task, truth, tables[0], honest)
    used = ", ".join(metadata.labelled.columns)
    weights = dict(zip(("the mean of the members", f"trees on it and {used}"), found.weights.tolist(), strict=True))
    return Ensemble(
        honest.loc[mean[0].index],
        method.apply(found, [mean[1], test.reindex(mean[1].index)]),
        {"weights of outputs": weights, "gain over the mean, in loss": gain, "standard error of the gain": error},
        () if gain > error else (_doubt(used, gain, error),),
    )


def method_of(trees: Trees, parts_of: Parts) -> Method:
    """Return the method whose tables are the mean prediction and the columns as numbers."""

    def apply(found: Found, tables: Tables) -> pd.DataFrame:
        mean, columns = tables
        base = trees.base(mean.to_numpy(np.float64))
        outputs = np.stack([base, trees.outputs(found.trees, _features(base, columns), base)])
        return like(mean, trees.predictions(np.tensordot(found.weights, outputs, 1)))

    return Method(apply, lambda tables, truth: fit(trees, parts_of, tables, truth))


def fit(trees: Trees, parts_of: Parts, tables: Tables, truth: Truth) -> Found:
    """Fit the trees to all images, and the weights to trees fitted to the other parts of these images."""
    from threadpoolctl import threadpool_limits

    from kagglekit import fit_log_pool

    mean, columns = tables
    base = trees.base(mean.to_numpy(np.float64))
    features, parts = _features(base, columns), parts_of(mean.index, truth)
    kinds: list[Any] = list(columns.columns)
    categories = np.array([False] * base.shape[1] + [kind == "category" for kind, _ in kinds], dtype=np.bool_)
    held = base.copy()
    with threadpool_limits(1, "openmp"):  # sums of threads would differ in the last bits
        for part in np.unique(parts):
            own, others = parts == part, parts != part
            found = trees.fit(features[others], categories, base[others], truth[others])
            held[own] = trees.outputs(found, features[own], base[own])
        found = trees.fit(features, categories, base, truth)
    weights = fit_log_pool(np.stack([base, held]), trees.loss(truth))
    return Found(found, weights)


def numbered(metadata: Metadata) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the columns of labelled and of test images as float64: of categories, the number of each in sorted order.

    A category that no labelled image has is missing. Columns of categories have a name of (``category``, its name).
    """
    import pandas as pd

    made: tuple[dict[Any, Any], dict[Any, Any]] = {}, {}
    for name in metadata.labelled.columns:
        known = metadata.labelled[name]
        texts = None if known.dtype.kind == "f" else sorted(set(known.dropna()))
        for columns, values in zip(made, (known, metadata.test[name]), strict=True):
            if texts is None:
                columns["number", name] = values.to_numpy(np.float64)
            else:
                number = {text: float(code) for code, text in enumerate(texts)}
                columns["category", name] = [number.get(text, np.nan) for text in values]
    labelled, test = (
        pd.DataFrame(columns, index=table.index)
        for columns, table in zip(made, (metadata.labelled, metadata.test), strict=True)
    )
    return labelled, test


def paired_gain(task: Task, truth: Truth, before: pd.DataFrame, after: pd.DataFrame) -> tuple[float, float]:
    """Return how much lower the mean loss of the same rows is after than before, and its standard error over images."""
    gains = task.losses(truth, before.to_numpy()) - task.losses(truth, after.to_numpy())
    gains = gains[np.isfinite(gains)]
    if len(gains) < 2:
        return 0.0, 0.0
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _features(base: Floats, columns: pd.DataFrame) -> Floats:
    """Return the trees' inputs (N, C + M)."""
    return np.concatenate([base, columns.to_numpy(np.float64)], axis=1)


def _doubt(used: str, gain: float, error: float) -> str:
    change = "lowers" if gain > 0 else "raises"
    return (
        f"the ensemble 'tabular' ({used}) {change} the loss of the valid images by {abs(gain):.4f} ± {error:.4f} "
        "against the mean of the members: no gain beyond chance; try --set ensemble=mean"
    )
