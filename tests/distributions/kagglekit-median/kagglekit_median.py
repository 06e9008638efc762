"""The median of the members' probabilities, robust to one bad member: `--set ensemble=median`."""

from kagglekit import Ensemble, Provides, hookimpl


@hookimpl
def kagglekit_provides():
    return Provides(ensemble=["median"])


@hookimpl
def kagglekit_ensemble(members, recipe):
    if recipe.ensemble != "median":
        return None
    fitted = {"members": [member.name for member in members]}
    return Ensemble(_median([m.valid for m in members]), _median([m.test for m in members]), fitted)


def _median(tables):
    """Rows are aligned by id, so members may list them in any order."""
    import numpy as np
    import pandas as pd

    first = tables[0]
    stacked = np.stack([table.loc[first.index, first.columns].to_numpy() for table in tables])
    middle = np.median(stacked, axis=0)
    middle /= middle.sum(axis=1, keepdims=True)
    return pd.DataFrame(middle.astype(np.float32), index=first.index, columns=first.columns)
