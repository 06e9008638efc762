"""Fit ensembles: on all valid predictions for the test images, cross-fitted for the valid score.

The valid table is computed in five parts, each with parameters fitted on the other four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import Ensemble, Member, UserError, assign_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit import Task
    from kagglekit_ensembles.method import Method, Tables, Truth

    Fit = Callable[[Tables, Truth], Any]


def combined(
    method: Method,
    members: Sequence[Member],
    labels: pd.Series[str],
    task: Task,
    seed: int,
    groups: pd.Series[str] | None = None,
) -> Ensemble:
    """Combine the members by a method.

    Raises:
        UserError: It is fitted, and there are no valid predictions.
    """
    valid, test = [member.valid for member in members], [member.test for member in members]
    names = [member.name for member in members]
    if method.fit is None:
        return Ensemble(method.apply(None, valid), method.apply(None, test), method.describe(None, names))
    if not len(valid[0]):
        raise UserError("this ensemble needs valid predictions, but there are none", "use the ensemble 'mean'")
    ids = valid[0].index.sort_values()  # the result must not depend on the order of rows
    ordered = [table.loc[ids] for table in valid]
    truth = task.truth(labels, ordered[0])
    honest = cross_fitted(method, ordered, truth, assign_parts(list(ids), task.strata(truth), seed, groups))
    found = method.fit(ordered, truth)
    return Ensemble(honest.loc[valid[0].index], method.apply(found, test), method.describe(found, names))


def cross_fitted(method: Method, tables: Tables, truth: Truth, parts: NDArray[np.int64]) -> pd.DataFrame:
    """Return the table in which every part is computed with parameters fitted on the other parts."""
    import pandas as pd

    fit: Fit = method.fit or (lambda tables, truth: None)
    made = []
    for part in np.unique(parts):
        own, others = parts == part, parts != part
        found = fit([table[others] for table in tables], truth[others])
        made.append(method.apply(found, [table[own] for table in tables]))
    return pd.concat(made)
