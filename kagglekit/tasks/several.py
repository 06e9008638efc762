"""Several targets side by side, each of a kind of its own: three classes, say, or a class and a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kagglekit.system.errors import NotForTask, UserError, unknown
from kagglekit.tasks.multi_label import MultiLabel
from kagglekit.tasks.ordinal import Ordinal
from kagglekit.tasks.reading import need_columns
from kagglekit.tasks.regression import Regression
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.tasks.task import FittedHead, Task
from kagglekit.types.records import read_record, write_record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.types.competition import Competition, RowRule

    Truth = NDArray[np.float32]

KINDS: dict[str, type[Task]] = {kind.kind: kind for kind in (SingleLabel, MultiLabel, Regression, Ordinal)}


@dataclass(frozen=True)
class Block:
    """One target.

    Attributes:
        name: Its column in the image table.
        task: Its kind.
        start: The first of its columns.
    """

    name: str
    task: Task
    start: int

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.start, self.start + self.task.n_outputs)

    def names(self) -> tuple[str, ...]:
        """Names of its columns: ``shape=circle``; of a number, the target's own."""
        return tuple(f"{self.name}={each}" for each in self.task.columns) if _is_class(self.task) else (self.name,)

    def encode(self, values: Sequence[Any]) -> Truth:
        """Return the truth (N, outputs) of a target's values: one-hot for a class; nan where unknown."""
        known = [row for row, value in enumerate(values) if value is not None]
        table = np.full((len(values), self.task.n_outputs), np.nan, dtype=np.float32)
        if not _is_class(self.task):
            table[known] = self.task.encode([write_record({self.task.columns[0]: values[row]}) for row in known])
        elif known:
            table[known] = np.eye(self.task.n_outputs, dtype=np.float32)[self.task.encode([values[r] for r in known])]
        return table

    def own_truth(self, truth: Truth) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Return which rows are known (N,), and the truth of those as its kind has it."""
        own = truth[:, self.columns]
        known = np.asarray(~np.isnan(own).any(axis=1))
        return known, np.asarray(own[known].argmax(axis=1) if _is_class(self.task) else own[known])


def _is_class(task: Task) -> bool:
    return isinstance(task, SingleLabel)


@dataclass(frozen=True)
class Several(Task):
    """Blocks of columns, each of a kind; `columns` are those of all blocks in order."""

    blocks: tuple[Block, ...] = ()

    kind = "several"
    loss = "blocks"
    score = "blocks_loss"
    scores = ("blocks_loss",)
    called = "predictions"

    @classmethod
    def read(cls, table: pd.DataFrame, competition: Competition) -> list[str | None]:
        """Return records of the columns `Competition.targets`: names of classes as text, all else as numbers."""
        import pandas as pd

        need_columns(table, competition.targets)
        found: dict[str, list[Any]] = {}
        for name in competition.targets:
            kind = _kind(competition.kinds[name])
            own = pd.DataFrame({"id": table["id"], "label": table[name], name: table[name]})
            targets = () if kind is SingleLabel else (name,)  # classes are read from the column label
            alone = competition.model_copy(update={"targets": targets, "kinds": {}})
            texts = kind.read(own, alone)
            found[name] = [
                text if text is None or kind is SingleLabel else read_record(text).get(name, 0.0) for text in texts
            ]
        rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
        return [None if all(v is None for v in row.values()) else write_record(row) for row in rows]

    @classmethod
    def fit(cls, labels: Sequence[str], competition: Competition) -> Self:
        """Return the task of these targets."""
        records = [read_record(label) for label in labels]
        blocks: list[Block] = []
        for name in competition.targets:
            kind = _kind(competition.kinds[name])
            alone = competition.model_copy(update={"targets": (name,), "kinds": {}})
            values = [value for record in records if (value := record.get(name, 0.0)) is not None]
            texts = [str(v) if kind is SingleLabel else write_record({name: v}) for v in values]
            try:
                task = kind.fit(texts, alone)
            except UserError as error:
                raise UserError(f"target {name!r}: {error.what}", error.hint) from error
            blocks.append(Block(name, task, blocks[-1].columns.stop if blocks else 0))
        return cls._of(blocks)

    @classmethod
    def examples(cls, n: int, competition: Competition) -> list[str]:
        """Return each target's examples side by side."""
        rows: list[dict[str, Any]] = [{} for _ in range(n)]
        for name in competition.targets:
            kind = _kind(competition.kinds[name])
            alone = competition.model_copy(update={"targets": (name,), "kinds": {}})
            for row, text in zip(rows, kind.examples(n, alone), strict=True):
                row[name] = text if kind is SingleLabel else read_record(text).get(name, 0.0)
        return [write_record(row) for row in rows]

    @classmethod
    def _of(cls, blocks: Sequence[Block]) -> Self:
        return cls(tuple(name for block in blocks for name in block.names()), tuple(blocks))

    @classmethod
    def load(cls, columns: Sequence[str], state: dict[str, Any]) -> Self:
        """Return the task of run.json."""
        blocks: list[Block] = []
        for each in state["blocks"]:
            task = KINDS[each["kind"]].load(each["columns"], each["state"])
            blocks.append(Block(each["name"], task, blocks[-1].columns.stop if blocks else 0))
        return cls._of(blocks)

    def state(self) -> dict[str, Any]:
        """Return the blocks."""
        listed = [
            {"name": b.name, "kind": b.task.kind, "columns": list(b.task.columns), "state": b.task.state()}
            for b in self.blocks
        ]
        return {"blocks": listed}

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns, and the targets that they belong to."""
        return (*self.columns, *(block.name for block in self.blocks if block.name not in self.columns))

    def describe(self) -> str:
        """Return ``3 targets (shape: 5 classes, size: 1 number, ...)``."""
        return f"{len(self.blocks)} targets ({', '.join(f'{b.name}: {b.task.describe()}' for b in self.blocks)})"

    def encode(self, labels: Sequence[str]) -> Truth:
        """Return the targets (N, C): one-hot for classes; nan where unknown."""
        records = [read_record(label) for label in labels]
        parts = [block.encode([record.get(block.name, 0.0) for record in records]) for block in self.blocks]
        return np.concatenate(parts, axis=1)

    def unseen(self, truth: Truth) -> list[str]:
        """Return the classes and labels that no image has."""
        return [
            f"{block.name}={name}" for block in self.blocks for name in block.task.unseen(block.own_truth(truth)[1])
        ]

    def train_targets(self, truth: Tensor, smoothing: float) -> Tensor:
        """Return each block's targets."""
        return self._joined(truth, lambda block, own: _targets(block.task, own, smoothing))

    def soft_targets(self, values: Tensor, temperature: float) -> Tensor:
        """Return each block's targets.

        Raises:
            NotForTask: There is a temperature: the blocks' losses differ in what it does to them.
        """
        if temperature != 1:
            raise NotForTask(
                f"a temperature of {temperature:g} cannot be combined with several targets",
                "set options.distil_temperature=1",
            )
        return self._joined(values, lambda block, own: block.task.soft_targets(own, 1.0))

    def most_probable(self, values: NDArray[np.float32]) -> list[str]:
        """Return each block's most probable value."""
        parts = [block.task.most_probable(values[:, block.columns]) for block in self.blocks]
        rows: list[dict[str, Any]] = [{} for _ in range(len(values))]
        for block, texts in zip(self.blocks, parts, strict=True):
            for row, text in zip(rows, texts, strict=True):
                of_class = _is_class(block.task)
                row[block.name] = text if of_class else read_record(text).get(block.task.columns[0], 0.0)
        return [write_record(row) for row in rows]

    def activate(self, logits: Tensor) -> Tensor:
        """Return each block's predictions."""
        return self._joined(logits, lambda block, own: block.task.activate(own))

    def _joined(self, table: Tensor, part: Callable[[Block, Tensor], Tensor]) -> Tensor:
        import torch

        return torch.cat([part(block, table[:, block.columns]) for block in self.blocks], dim=1)

    def rarity(self, truth: Truth) -> NDArray[np.float64]:
        """Return the number of images that share each one's rarest value."""
        found = np.full((len(truth), len(self.blocks)), float(max(1, len(truth))))
        for place, block in enumerate(self.blocks):
            known, own = block.own_truth(truth)
            found[known, place] = block.task.rarity(own)
        return np.asarray(found.min(axis=1))

    def strata(self, truth: Truth) -> NDArray[np.int64]:
        """Return (N, L) membership in the strata of each block."""
        parts = []
        for block in self.blocks:
            known, own = block.own_truth(truth)
            strata = block.task.strata(own)
            hot = np.eye(int(strata.max()) + 1, dtype=np.int64)[strata] if strata.ndim == 1 and len(strata) else strata
            table = np.zeros((len(truth), hot.shape[1] if hot.ndim == 2 else 1), dtype=np.int64)
            if hot.ndim == 2:
                table[known] = hot
            parts.append(table)
        return np.concatenate(parts, axis=1)

    def fit_head(
        self,
        features: NDArray[np.float32],
        truth: Truth,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        strength: Any = None,
    ) -> FittedHead:
        """Fit each block's head to the images that it is known for."""
        heads, held_out = [], np.full((len(truth), self.n_outputs), np.nan, np.float32)
        for block, own_strength in zip(self.blocks, strength or [None] * len(self.blocks), strict=True):
            known, own = block.own_truth(truth)
            own_groups = None if groups is None else groups[known]
            head = block.task.fit_head(features[known], own, seed, own_groups, own_strength)
            if head.held_out is not None:
                held_out[known, block.columns] = head.held_out
            heads.append(head)
        return FittedHead(
            np.concatenate([head.weight for head in heads]),
            np.concatenate([head.bias for head in heads]),
            "; ".join(f"{block.name}: {head.text}" for block, head in zip(self.blocks, heads, strict=True)),
            tuple(head.strength for head in heads),
            held_out if all(head.held_out is not None for head in heads) else None,
        )

    def placeholder(self, n: int) -> NDArray[np.float32]:
        """Return each block's placeholder."""
        return np.concatenate([block.task.placeholder(n) for block in self.blocks], axis=1)

    def check_values(self, values: NDArray[np.floating], ids: pd.Index, whose: str) -> None:
        """Check each block."""
        for block in self.blocks:
            block.task.check_values(values[:, block.columns], ids, f"{whose} of {block.name}")

    def losses(self, truth: Truth, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the sum of the losses of an image's known blocks."""
        total = np.zeros(len(truth))
        for block in self.blocks:
            known, own = block.own_truth(truth)
            total[known] += block.task.losses(own, values[known][:, block.columns])
        return total

    def pool(
        self, values: NDArray[np.floating], rows: NDArray[np.int64], rule: RowRule, positive: str | None
    ) -> NDArray[np.float32]:
        """Combine a row's images, each block as its kind does."""
        parts = [block.task.pool(values[:, block.columns], rows, rule, None) for block in self.blocks]
        return np.concatenate(parts, axis=1)

    def of_targets(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the value of each target: the likeliest class, the grade, the number, or a label's probability."""
        import pandas as pd

        found = {}
        for block in self.blocks:
            own = predictions.iloc[:, block.columns].set_axis(list(block.task.columns), axis=1)
            found[block.name] = _values_of(block.task, own)
        return pd.DataFrame(found, index=predictions.index)

    def clip(self, table: pd.DataFrame, clip: float) -> pd.DataFrame:
        """Clip the blocks that are probabilities."""
        import pandas as pd

        parts = [block.task.clip(table.iloc[:, block.columns], clip) for block in self.blocks]
        return pd.concat(parts, axis=1) if clip else table


def _values_of(task: Task, own: pd.DataFrame) -> list[Any]:
    """Return what the CSV holds of a block with one target."""
    if _is_class(task):
        return own.idxmax(axis=1).tolist()
    cells = None if isinstance(task, MultiLabel) else task.cells(own, " ")
    return own.iloc[:, 0].tolist() if cells is None else cells


def _targets(task: Task, own: Tensor, smoothing: float) -> Tensor:
    """Return a block's targets: one-hot truth is smoothed here, since the kind itself wants class numbers."""
    if _is_class(task):
        return own * (1 - smoothing) + smoothing / task.n_outputs
    return task.train_targets(own, smoothing)


def _kind(name: str) -> type[Task]:
    if name not in KINDS:
        raise UserError(f"Competition.kinds: {unknown('task', name, KINDS)}", "correct it in the plugin")
    return KINDS[name]
