"""Score predictions as the competition does: a row of the CSV at a time, decided as in the CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.system.errors import UserError
from kagglekit.types.metric import needs
from kagglekit.types.predictions import make_predictions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit.hooks.calls import Hooks
    from kagglekit.tasks.task import Task
    from kagglekit.types.competition import Competition
    from kagglekit.types.decision import Decision
    from kagglekit.types.metric import Metric, Score
    from kagglekit.types.recipe import Recipe


@dataclass(frozen=True)
class Scorer:
    """A metric and what comes before it.

    Attributes:
        metric: The metric.
        task: What is predicted.
        competition: Its facts: how a row's images are combined.
        decision: Turns predictions into what the metric needs; None where it needs the predictions themselves.
    """

    metric: Metric
    task: Task
    competition: Competition
    decision: Decision | None = None

    def value(self, truth: NDArray[Any], values: NDArray[np.float32], table: pd.DataFrame) -> float:
        """Return the score of images' predictions, decided by parameters that no data were seen for.

        Args:
            truth: (N,) or (N, C).
            values: (N, C).
            table: The image table's rows.
        """
        truth, values, table = self.by_row(truth, values, table)
        return self.metric.value(truth, self.decided(values), table)

    def measure(self, truth: NDArray[Any], values: NDArray[np.float32], table: pd.DataFrame) -> Score:
        """Return the score of `value` with its standard error."""
        truth, values, table = self.by_row(truth, values, table)
        return self.metric.measure(truth, self.decided(values), table)

    def decided(self, values: NDArray[np.float32], found: Any = None) -> NDArray[np.float32]:
        """Return what the metric needs of predictions (N, C).

        Args:
            values: (N, C).
            found: What the decision found; None for its plain parameters.
        """
        if self.decision is None:
            return values
        made = self.decision.apply(self.decision.plain if found is None else found, values)
        return self.task.completed(made, values)

    def by_row(
        self, truth: NDArray[Any], values: NDArray[np.float32], table: pd.DataFrame
    ) -> tuple[NDArray[Any], NDArray[np.float32], pd.DataFrame]:
        """Return truth, predictions and table with a row for each row of the CSV, in the order of their names."""
        if not self.competition.rows:
            return truth, values, table
        _, first, rows = np.unique(table["row"].astype("str"), return_index=True, return_inverse=True)
        combined = self.task.pool(values, rows.ravel(), self.competition.rows, self.competition.positive)
        return truth[first], combined, table.iloc[first]


def scorer_of(hooks: Hooks, competition: Competition, recipe: Recipe, task: Task) -> Scorer:
    """Return the scorer of the competition's metric."""
    metric = hooks.metric(competition, task)
    return Scorer(metric, task, competition, decision_of(hooks, competition, recipe, task, metric))


def decision_of(hooks: Hooks, competition: Competition, recipe: Recipe, task: Task, metric: Metric) -> Decision | None:
    """Return the decision of a recipe, ``auto`` by what the metric needs; None for none.

    Raises:
        UserError: The recipe asks for labels or grades, but the metric is computed from probabilities or numbers.
    """
    needed = metric.needs or needs(competition.metric, task.kinds())
    name = task.decision(needed or "") if recipe.decision == "auto" else recipe.decision
    if name == "none":
        return None
    decision = hooks.decision(recipe.model_copy(update={"decision": name}), competition, task)
    if decision.gives and needed in ("probabilities", "numbers"):
        raise UserError(
            f"the decision {name} gives {decision.gives}, but {metric.name} is computed from {needed}",
            "use --set decision=auto, or set Competition.metric to the competition's own metric",
        )
    return decision


def for_csv(
    scorer: Scorer, predictions: pd.DataFrame, images: pd.DataFrame, found: Any = None, clip: float = 0.0
) -> pd.DataFrame:
    """Return what the CSV holds: a row for each of its rows, decided.

    Probabilities are clipped after the decision, which was found on those that are not: a threshold may be lower.

    Args:
        scorer: The competition's.
        predictions: Of the test images.
        images: Their rows of the image table.
        found: What the decision found; None for its plain parameters.
        clip: `Recipe.clip`.

    Raises:
        UserError: Images share rows, but it is not known which.
    """
    if scorer.decision is None:
        predictions = scorer.task.clip(predictions, clip)
    ids, values = predictions.index.to_numpy(), predictions.to_numpy()
    if scorer.competition.rows:
        if "row" not in images:
            raise UserError(
                "several images share a row of the CSV, but the labels hook does not return the test images' rows",
                "let kagglekit_labels return the test images with the column row even if the train images are missing",
            )
        names = images.set_index(images["id"].astype("str"))["row"].astype("str").loc[predictions.index]
        ids, rows = np.unique(names.to_numpy(dtype=str), return_inverse=True)
        values = scorer.task.pool(values, rows.ravel(), scorer.competition.rows, scorer.competition.positive)
    decided = make_predictions(ids, predictions.columns, scorer.decided(values, found))
    hold_probabilities = needs(scorer.competition.metric, scorer.task.kinds()) == "probabilities"
    return scorer.task.clip(decided, clip) if scorer.decision and hold_probabilities else decided
