"""Ensembles for several targets side by side: each by the method that its kind has, else by the mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kagglekit_ensembles.means import MEAN
from kagglekit_ensembles.method import Method, even_weights

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit import Several, Task
    from kagglekit_ensembles.method import Tables, Truth


def methods(task: Several, methods_of: Callable[[Task], dict[str, Method]]) -> dict[str, Method]:
    """Return the methods that a kind among the blocks has.

    Args:
        task: The task.
        methods_of: Returns the methods of a block's kind.
    """
    own = [methods_of(block.task) for block in task.blocks]
    names = dict.fromkeys(name for each in own for name in each)
    return {name: _joined(task, [each.get(name, MEAN) for each in own]) for name in names}


def _joined(task: Several, own: list[Method]) -> Method:
    def fit(tables: Tables, truth: Truth) -> list[Any]:
        found = []
        for block, method in zip(task.blocks, own, strict=True):
            known, labels = block.own_truth(truth)
            there = [table.loc[known].iloc[:, block.columns] for table in tables]
            found.append(method.fit(there, labels) if method.fit else None)
        return found

    def apply(found: list[Any] | None, tables: Tables) -> pd.DataFrame:
        import pandas as pd

        fitted = found or [None] * len(own)
        parts = [
            method.apply(each, [table.iloc[:, block.columns] for table in tables])
            for block, method, each in zip(task.blocks, own, fitted, strict=True)
        ]
        return pd.concat(parts, axis=1)

    def describe(found: list[Any] | None, names: list[str]) -> dict[str, Any]:
        if not found:
            return even_weights(None, names)
        parts = zip(task.blocks, own, found, strict=True)
        described = {block.name: method.describe(each, names) for block, method, each in parts}
        return {f"{key} of {name}": value for name, each in described.items() for key, value in each.items()}

    return Method(apply, fit if any(method.fit for method in own) else None, describe)
