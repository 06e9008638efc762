"""Predictions with known answers."""

from __future__ import annotations

import numpy as np

from kagglekit.report.panels import Judged

CLASSES = ("ant", "bee", "cat")


TABLE = [  # class, probabilities
    (0, (0.9, 0.05, 0.05)),
    (0, (0.2, 0.7, 0.1)),  # an ant taken for a bee
    (0, (0.5, 0.35, 0.15)),
    (1, (0.1, 0.8, 0.1)),
    (1, (0.3, 0.3, 0.4)),  # a bee taken for a cat
    (1, (0.6, 0.4, 0.0)),  # a bee taken for an ant
    (2, (0.0, 0.0, 1.0)),
    (2, (1.0, 0.0, 0.0)),  # a cat taken for an ant, at a probability of 0
]


def judged(table=TABLE, classes=CLASSES) -> Judged:
    truth = np.array([number for number, _ in table])
    return Judged(tuple(f"i{row}" for row in range(len(table))), classes, truth, np.array([p for _, p in table]))
