"""Compare the chosen ensemble with all others, image by image: is a difference more than noise?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kagglekit.prediction.scores import Results, Scored
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CLEAR = 2.0  # standard errors


def report_alternatives(results: Results, others: Sequence[Scored], blended: Sequence[object]) -> None:
    """Print each ensemble's valid loss, and how it differs from that of the chosen one.

    The differences are paired: those of the same images. Their standard error is that of a mean over images.

    Args:
        results: See `Results`; the chosen ensemble's predictions are in the run's folder.
        others: From `candidates`.
        blended: The folders of the runs, to blend them again.
    """
    if not others:
        return
    chosen = results.plan.recipe.ensemble
    valid = load_predictions(results.run.predictions("ensemble", "valid"))
    own = _losses(results, valid)
    rows, best = [(chosen, f"{own.mean():.4f}", "", "chosen")], ("", 0.0)
    for each in others:
        change = _losses(results, each.valid.loc[valid.index]) - own
        error = float(change.std(ddof=1) / np.sqrt(len(change))) if len(change) > 1 else float("inf")
        clear = abs(change.mean()) > CLEAR * error
        verdict = ("clearly better" if change.mean() < 0 else "clearly worse") if clear else "within noise"
        loss = f"{own.mean() + change.mean():.4f}"
        rows.append((each.views, loss, f"{change.mean():+.4f} ± {error:.4f}", verdict))
        if change.mean() < best[1]:
            best = each.views, float(change.mean())
    results.display.table(("ensemble", "valid loss", "difference", ""), rows)
    results.display.report(
        f"a difference within {CLEAR:g} of its standard errors is noise; the best of many is slightly optimistic"
    )
    name = best[0] or others[0].views
    command = results.display.command("blend", *blended, ensemble=name)
    results.display.report(f"hint: to take another: {command}")


def _losses(results: Results, table: pd.DataFrame) -> NDArray[np.float64]:
    """Return (N,) the task's loss of each valid image; 0 for one without a known target."""
    task = results.plan.task
    return np.nan_to_num(task.losses(task.truth(results.labels, table), table.to_numpy(np.float64)))
