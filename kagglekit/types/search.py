"""A search over recipes: what is tried, and what proposes the next trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Value = float | int | str


@dataclass(frozen=True)
class Parameter:
    """A recipe field that a search varies.

    Attributes:
        key: The field as ``--set`` names it: ``stage.*.lr``.
        kind: ``float`` or ``int``, between `low` and `high`; or one of `choices`, in the words of ``--set``.
        low: The lowest value.
        high: The highest value, included.
        log: Whether equal ratios count as equal steps.
        choices: The values to choose from.
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What a sampler needs to know.

    Attributes:
        space: What is varied.
        file: Where the sampler keeps its state, so that a search can be resumed; it does not exist at the start.
        greater_is_better: Whether scores are better the greater they are.
        seed: Of all randomness.
        pruner: How hopeless trials are found: ``median``, ``asha`` or ``none``.
    """

    space: Sequence[Parameter]
    file: str
    greater_is_better: bool
    seed: int
    pruner: str = "median"


@runtime_checkable
class Sampler(Protocol):
    """Proposes trials, and learns from their scores."""

    def ask(self) -> tuple[int, dict[str, Value]]:
        """Return the next trial's number, from 0, and its values by key."""

    def report(self, trial: int, step: int, score: float) -> bool:
        """Take a running trial's score after `step` epochs; return whether it should be stopped as a hopeless one."""

    def tell(self, trial: int, score: float | None, pruned: bool = False) -> None:
        """Take a trial's score; None if it failed or was pruned."""

    def running(self) -> dict[int, dict[str, Value]]:
        """Return the trials that were asked for and never told, by number, with their values."""

    def importance(self) -> dict[str, float]:
        """Return how much each key matters for the score, as shares of 1; empty if that is unknown."""
